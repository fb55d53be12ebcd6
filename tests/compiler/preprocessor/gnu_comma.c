#define LOG(fmt, args...) printk(fmt, ##args)
LOG("a"); LOG("a", b); LOG("a", b, c); LOG("x", LOG("y", z)); LOG(,);
#define LOG2(fmt, ...) printk(fmt, ## __VA_ARGS__)
LOG2("a"); LOG2("a",); LOG2("a", b, c);
#define LOG3(...) printk(0, ## __VA_ARGS__)
LOG3(); LOG3(1); LOG3(1,2); LOG3(,)
#define N 5
LOG3(N, N) LOG(N) LOG(N, N)
#define ARGC(a, ...) f(a, ##__VA_ARGS__, 9)
ARGC(1) ARGC(1,2)
