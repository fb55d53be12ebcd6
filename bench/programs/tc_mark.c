/* Marks outgoing packets by a table of networks (longest prefix) and counts bytes per class, per CPU. */
#include "bench.h"
#define TC_ACT_OK 0
#define TC_ACT_SHOT 2

struct prefix {
	u32 length;
	__be32 address;
};
struct class {
	u32 mark;
	u32 flags;
};
struct usage {
	u64 bytes;
	u64 packets;
	u64 dropped;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, struct prefix);
	__type(value, struct class);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct usage);
} usage SEC(".maps");

SEC("tc")
int mark(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *data_end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct prefix prefix = {.length = 32};
	struct class *class;
	struct usage *used;
	u32 index;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if ((void *)(ip + 1) > data_end)
		return TC_ACT_SHOT;
	prefix.address = ip->daddr;
	class = bpf_map_lookup_elem(&networks, &prefix);
	if (!class)
		return TC_ACT_OK;
	index = class->mark & 15;
	used = bpf_map_lookup_elem(&usage, &index);
	if (!used)
		return TC_ACT_SHOT;
	if (class->flags & 1) {
		used->dropped++;
		return TC_ACT_SHOT;
	}
	used->bytes += skb->len;
	used->packets++;
	skb->mark = class->mark;
	skb->cb[0] = class->flags;
	skb->priority = class->flags >> 8;
	return TC_ACT_OK;
}
