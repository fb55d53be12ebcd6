/* A socket filter that reads the question of DNS packets byte by byte, within a bound. */
#include "bench.h"

struct query {
	char name[64];
	u16 type;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct query);
	__type(value, u32);
} queries SEC(".maps");

SEC("socket")
int dns(struct __sk_buff *skb)
{
	struct query query = {};
	struct iphdr ip;
	u16 ports[2], type = 0;
	u32 offset, one = 1, *count;
	u8 c;
	int i;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return 0;
	if (bpf_skb_load_bytes(skb, 14, &ip, sizeof(ip)))
		return 0;
	if (ip.protocol != 17 || (bpf_ntohs(ip.frag_off) & 0x1fff))
		return 0;
	offset = 14 + ip.ihl * 4;
	if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
		return 0;
	if (ports[1] != bpf_htons(53))
		return 0;
	offset += 8 + 12;
	for (i = 0; i < 63; i++) {
		if (bpf_skb_load_bytes(skb, offset + i, &c, 1))
			return 0;
		if (!c)
			break;
		query.name[i] = c;
	}
	if (bpf_skb_load_bytes(skb, offset + i + 1, &type, sizeof(type)))
		return 0;
	query.type = bpf_ntohs(type);
	count = bpf_map_lookup_elem(&queries, &query);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&queries, &query, &one, BPF_ANY);
	return skb->len;
}
