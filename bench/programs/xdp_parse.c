/* Packets by protocol and port: Ethernet, up to two VLAN tags, IPv4 or IPv6, TCP or UDP, every step checked. */
#include "bench.h"

struct vlan_hdr {
	__be16 tci;
	__be16 proto;
};
struct flow {
	u8 proto;
	u8 pad;
	u16 port;
};
struct counters {
	u64 packets;
	u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, struct counters);
} flows SEC(".maps");

SEC("xdp")
int parse(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct flow flow = {};
	struct counters *found, first = {};
	void *next = eth + 1;
	u16 proto;
	int i;

	if (next > data_end)
		return XDP_DROP;
	proto = eth->h_proto;
#pragma unroll
	for (i = 0; i < 2; i++) {
		struct vlan_hdr *vlan = next;
		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(vlan + 1) > data_end)
			return XDP_DROP;
		proto = vlan->proto;
		next = vlan + 1;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = next;
		if ((void *)(ip + 1) > data_end)
			return XDP_DROP;
		if (ip->ihl != 5)
			return XDP_PASS;
		flow.proto = ip->protocol;
		next = ip + 1;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = next;
		if ((void *)(ip6 + 1) > data_end)
			return XDP_DROP;
		flow.proto = ip6->nexthdr;
		next = ip6 + 1;
	} else {
		return XDP_PASS;
	}
	if (flow.proto == 6) {
		struct tcphdr *tcp = next;
		if ((void *)(tcp + 1) > data_end)
			return XDP_DROP;
		if (tcp->syn && !tcp->ack)
			flow.pad = 1;
		flow.port = bpf_ntohs(tcp->dest);
	} else if (flow.proto == 17) {
		struct udphdr *udp = next;
		if ((void *)(udp + 1) > data_end)
			return XDP_DROP;
		flow.port = bpf_ntohs(udp->dest);
	}
	found = bpf_map_lookup_elem(&flows, &flow);
	if (found) {
		found->packets++;
		found->bytes += data_end - data;
	} else {
		first.packets = 1;
		first.bytes = data_end - data;
		bpf_map_update_elem(&flows, &flow, &first, BPF_ANY);
	}
	return XDP_PASS;
}
