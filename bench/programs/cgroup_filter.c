/* What a control group may send: allowed ports as a bitmap, everything counted. */
#include "bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} allowed SEC(".maps");

u64 passed = 0;
u64 refused = 0;

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct iphdr ip;
	struct udphdr udp;
	u32 index;
	u64 *bits;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) < 0)
		return 0;
	if (ip.version != 4)
		return 1;
	if (ip.protocol != 17 && ip.protocol != 6)
		return 1;
	if (bpf_skb_load_bytes(skb, ip.ihl * 4, &udp, sizeof(udp)) < 0)
		return 0;
	index = bpf_ntohs(udp.dest) / 64;
	bits = bpf_map_lookup_elem(&allowed, &index);
	if (!bits || !(*bits & (1ULL << (bpf_ntohs(udp.dest) % 64)))) {
		__sync_fetch_and_add(&refused, 1);
		return 0;
	}
	__sync_fetch_and_add(&passed, 1);
	return 1;
}
