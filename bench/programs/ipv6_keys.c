/* Sessions by IPv6 address pair: 128-bit keys, compared, masked and copied. */
#include "bench.h"

struct session {
	unsigned __int128 saddr;
	unsigned __int128 daddr;
	u16 sport, dport;
	u32 pid;
};
struct traffic {
	u64 sent, received;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct session);
	__type(value, struct traffic);
} sessions SEC(".maps");

SEC("kprobe/tcp_sendmsg")
int send(struct pt_regs *ctx)
{
	struct sock *sk = (struct sock *)PT_REGS_PARM1(ctx);
	u64 size = PT_REGS_PARM3(ctx);
	struct session key = {};
	struct traffic *traffic, zero = {};
	unsigned __int128 mapped = (unsigned __int128)0xffff0000 << 64;

	key.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_probe_read_kernel(&key.saddr, sizeof(key.saddr), &sk->__sk_common.skc_v6_rcv_saddr);
	bpf_probe_read_kernel(&key.daddr, sizeof(key.daddr), &sk->__sk_common.skc_v6_daddr);
	bpf_probe_read_kernel(&key.dport, sizeof(key.dport), &sk->__sk_common.skc_dport);
	bpf_probe_read_kernel(&key.sport, sizeof(key.sport), &sk->__sk_common.skc_num);
	key.dport = bpf_ntohs(key.dport);
	if (key.saddr == key.daddr || (key.daddr & mapped) == mapped)
		return 0;
	traffic = bpf_map_lookup_elem(&sessions, &key);
	if (!traffic) {
		bpf_map_update_elem(&sessions, &key, &zero, BPF_NOEXIST);
		traffic = bpf_map_lookup_elem(&sessions, &key);
		if (!traffic)
			return 0;
	}
	traffic->sent += size;
	return 0;
}
