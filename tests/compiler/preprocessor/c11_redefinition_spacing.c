#define OBJ_LIKE (1-1)
#define FTN_LIKE(a) ( a )
FTN_LIKE(OBJ_LIKE) FTN_LIKE
(
3 /* foo */ ) FTN_LIKE OBJ_LIKE
