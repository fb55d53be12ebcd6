#define BPF_HASH1(n) H1 n
#define BPF_HASH2(n,k) H2 n k
#define BPF_HASH3(n,k,l) H3 n k l
#define BPF_HASHX(_1, _2, _3, NAME, ...) NAME
#define BPF_HASH(...) BPF_HASHX(__VA_ARGS__, BPF_HASH3, BPF_HASH2, BPF_HASH1)(__VA_ARGS__)
BPF_HASH(counter); BPF_HASH(a, u32); BPF_HASH(a, struct key_t, u64);
