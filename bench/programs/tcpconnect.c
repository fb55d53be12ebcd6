/* Connections by address and port, IPv4 and IPv6, read out of struct sock. */
#include "bench.h"
#define AF_INET 2
#define AF_INET6 10
#define MAX_PORTS 8

const volatile int filter_ports_len = 0;
const volatile int filter_ports[MAX_PORTS];

struct event {
	union {
		u32 saddr_v4;
		u8 saddr_v6[16];
	};
	union {
		u32 daddr_v4;
		u8 daddr_v6[16];
	};
	char task[16];
	u64 ts_us;
	u32 af;
	u32 pid;
	u32 uid;
	u16 sport;
	u16 dport;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct sock *);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} events SEC(".maps");

static __always_inline bool filter_port(u16 port)
{
	int i;

	if (filter_ports_len == 0)
		return false;
	for (i = 0; i < filter_ports_len && i < MAX_PORTS; i++) {
		if (port == filter_ports[i])
			return false;
	}
	return true;
}

SEC("kprobe/tcp_v4_connect")
int enter(struct pt_regs *ctx)
{
	struct sock *sk = (struct sock *)PT_REGS_PARM1(ctx);
	u32 tid = bpf_get_current_pid_tgid();
	bpf_map_update_elem(&sockets, &tid, &sk, 0);
	return 0;
}

static __always_inline int leave(struct pt_regs *ctx, int ret, int family)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 pid = id >> 32;
	u32 tid = id;
	struct sock **skpp;
	struct sock *sk;
	struct event event = {};
	u16 dport = 0, sport = 0;

	skpp = bpf_map_lookup_elem(&sockets, &tid);
	if (!skpp)
		return 0;
	if (ret)
		goto end;
	sk = *skpp;
	bpf_probe_read_kernel(&sport, sizeof(sport), (void *)&sk->__sk_common.skc_num);
	bpf_probe_read_kernel(&dport, sizeof(dport), (void *)&sk->__sk_common.skc_dport);
	if (filter_port(bpf_ntohs(dport)))
		goto end;
	event.af = family;
	event.pid = pid;
	event.uid = bpf_get_current_uid_gid();
	event.ts_us = bpf_ktime_get_ns() / 1000;
	if (family == AF_INET) {
		bpf_probe_read_kernel(&event.saddr_v4, sizeof(event.saddr_v4), (void *)&sk->__sk_common.skc_rcv_saddr);
		bpf_probe_read_kernel(&event.daddr_v4, sizeof(event.daddr_v4), (void *)&sk->__sk_common.skc_daddr);
	} else {
		bpf_probe_read_kernel(&event.saddr_v6, sizeof(event.saddr_v6),
				      (void *)&sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
		bpf_probe_read_kernel(&event.daddr_v6, sizeof(event.daddr_v6),
				      (void *)&sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32);
	}
	event.dport = dport;
	event.sport = sport;
	bpf_get_current_comm(event.task, sizeof(event.task));
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
end:
	bpf_map_delete_elem(&sockets, &tid);
	return 0;
}

SEC("kretprobe/tcp_v4_connect")
int leave_v4(struct pt_regs *ctx)
{
	return leave(ctx, (int)PT_REGS_RC(ctx), AF_INET);
}

SEC("kretprobe/tcp_v6_connect")
int leave_v6(struct pt_regs *ctx)
{
	return leave(ctx, (int)PT_REGS_RC(ctx), AF_INET6);
}
