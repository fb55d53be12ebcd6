# /* null */
#
# define /* c */ SP /* d */ 1 /* multi
line */ + 2
SP
/* c */ # define LATE 7
LATE
