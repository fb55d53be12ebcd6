struct event { u32 pid; char comm[16]; u64 time; };

struct { __uint(type, 1); __uint(max_entries, 1024); __type(key, u32); __type(value, struct event); } counts SEC(".maps");
struct { __uint(type, 4); __uint(key_size, 4); __uint(value_size, 4); } events SEC(".maps");
struct { __uint(type, 3); __uint(max_entries, 8); __uint(key_size, 4); __uint(value_size, 4); } tails SEC(".maps");
struct table { __uint(type, 2); __uint(max_entries, 8); __type(key, u32); __type(value, u64); };
struct {
    __uint(type, 12); __uint(max_entries, 4); __type(key, u32); __uint(pinning, 1);
    __array(values, struct table);
} outer SEC(".maps");

struct { struct event events[0]; } __skep_records SEC(".skep");

u64 global_count = 7;
const volatile u32 limit = 3;
static u64 hidden_count;
static volatile u32 ring[4];

static __noinline int leaf(int x) { ring[x & 3] += x; return x * global_count; }
__noinline int global_function(int x) { return leaf(x + 1) + limit; }
__noinline __weak int weak_function(int x) { return x + 3; }
__hidden __noinline int hidden_function(u64 *p) { return *p + 1; }
static int callback(u32 index, void *context) { hidden_count += index; return 0; }

SEC("tracepoint/syscalls/sys_enter_execve") int first(void *ctx)
{
    struct event e = {};
    u32 key = 1;
    u64 x = 4;
    e.pid = leaf(2) + hidden_function(&x);
    bpf_map_update_elem(&counts, &key, &e, 0);
    bpf_map_lookup_elem(&outer, &key);
    return 0;
}

SEC("tracepoint/syscalls/sys_enter_execve") int second(void *ctx)
{
    bpf_trace_printk("hello %d\n", 10, global_function(bpf_ktime_get_ns() & 7) + weak_function(1));
    bpf_loop(3, callback, 0, 0);
    return 0;
}

SEC("raw_tp/sys_enter") __attribute__((btf_decl_tag("skep:uses_registers"))) int third(void *ctx) { return leaf(2); }

char _license[] SEC("license") = "GPL";
