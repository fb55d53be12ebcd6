/* The programs that the tests of maps, buffers and BPF run. A test machine needs no clang, so what
 *   clang -target bpf -O2 -g -c programs.c -o programs.o
 * makes of them is kept beside. */
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

static void *(*map_lookup)(void *, const void *) = (void *)1;
static long (*map_update)(void *, const void *, const void *, u64) = (void *)2;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*trace_printk)(const char *, u32, ...) = (void *)6;
static long (*tail_call)(void *, void *, u32) = (void *)12;
static long (*perf_output)(void *, void *, u64, void *, u64) = (void *)25;
static long (*ringbuf_output)(void *, void *, u64, u64) = (void *)130;
static void *(*ringbuf_reserve)(void *, u64, u64) = (void *)131;
static void (*ringbuf_discard)(void *, u64) = (void *)133;

struct pair { u32 a, b; };
struct nested { struct pair pair; char name[8]; u64 list[2]; };
struct padded { u32 a; u64 b; struct { char c; u32 d; } e[2]; };
struct event { u32 pid; u32 n; char text[36]; };

#define MAP(name, kind, entries, k, v) \
  struct { __uint(type, kind); __uint(max_entries, entries); __type(key, k); __type(value, v); } name SEC(".maps")
MAP(counts, 1, 1024, u64, u64);
MAP(small, 1, 4, struct pair, u32);
MAP(lru, 9, 128, u32, struct nested);
MAP(gaps, 1, 4, u32, struct padded);
MAP(names, 1, 16, struct { char text[16]; }, u32);
MAP(array, 2, 4, u32, u64);
MAP(cpu_hash, 5, 16, u32, int);
MAP(cpu_array, 6, 4, u32, u64);
MAP(cpu_odd, 6, 2, u32, struct event);
MAP(stacks, 8, 4, u32, u32);
/* what to do: [0] process id, [1] system call, [2] so far */
MAP(control, 2, 3, u32, u32);
struct { __uint(type, 3); __uint(max_entries, 8); __uint(key_size, 4); __uint(value_size, 4); } programs SEC(".maps");
struct { __uint(type, 4); __uint(key_size, 4); __uint(value_size, 4); } events SEC(".maps");
struct { __uint(type, 4); __uint(key_size, 4); __uint(value_size, 4); } untyped SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 8192); } ring SEC(".maps");

/* how Skep's compiler says what a buffer carries */
struct { struct event events[1]; struct event ring[1]; } __skep_records SEC(".skep");

struct raw_args { u64 args[2]; };

static __attribute__((always_inline)) u32 *wanted(struct raw_args *ctx) {
  u32 zero = 0, one = 1, two = 2;
  u32 *pid = map_lookup(&control, &zero), *call = map_lookup(&control, &one), *so_far = map_lookup(&control, &two);
  if (!pid || !call || !so_far || *pid != (u32)(pid_tgid() >> 32) || *call != (u32)ctx->args[1])
    return 0;
  *so_far += 1;
  return so_far;
}

SEC("raw_tp") int count(struct raw_args *ctx) {
  u32 *so_far = wanted(ctx);
  if (!so_far)
    return 0;
  u64 key = pid_tgid() >> 32, one = 1, *value = map_lookup(&counts, &key);
  if (value)
    __sync_fetch_and_add(value, 1);
  else
    map_update(&counts, &key, &one, 0);
  return 0;
}

SEC("raw_tp") int send(struct raw_args *ctx) {
  u32 *so_far = wanted(ctx);
  if (!so_far)
    return 0;
  struct event event = {.pid = pid_tgid() >> 32, .n = *so_far, .text = "forty-four bytes in all"};
  perf_output(ctx, &events, 0xffffffffULL, &event, sizeof event);
  return 0;
}

/* every third record is discarded */
SEC("raw_tp") int put(struct raw_args *ctx) {
  u32 *so_far = wanted(ctx);
  if (!so_far)
    return 0;
  struct event event = {.pid = pid_tgid() >> 32, .n = *so_far, .text = "forty-four bytes in all"};
  if (event.n % 3) {
    ringbuf_output(&ring, &event, sizeof event, 0);
  } else {
    void *record = ringbuf_reserve(&ring, 20, 0);
    if (record)
      ringbuf_discard(record, 0);
  }
  return 0;
}

SEC("raw_tp") int jump(struct raw_args *ctx) {
  u32 *so_far = wanted(ctx);
  if (!so_far)
    return 0;
  tail_call(ctx, &programs, 3);
  return 0;
}

SEC("raw_tp") int landed(struct raw_args *ctx) {
  u64 key = 3, one = 1;
  map_update(&counts, &key, &one, 0);
  return 0;
}

SEC("raw_tp") int say(struct raw_args *ctx) {
  u32 *so_far = wanted(ctx);
  if (!so_far)
    return 0;
  char format[] = "skep test %d: %d";
  trace_printk(format, sizeof format, *so_far, (u32)(pid_tgid() >> 32));
  return 0;
}

SEC("raw_tp") int broken(struct raw_args *ctx) {
  u64 key = 0;
  return *(u32 *)map_lookup(&counts, &key);
}

SEC("kprobe") int on_call(void *ctx) {
  u64 key = pid_tgid() >> 32, one = 1, *value = map_lookup(&counts, &key);
  if (value)
    __sync_fetch_and_add(value, 1);
  else
    map_update(&counts, &key, &one, 0);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
