/* SYNs over IPv6: extension headers skipped by a subprogram, TCP options read by bpf_loop's callback, a record with bit-fields. */
#include "bench.h"

struct walk {
	struct __sk_buff *skb;
	u32 offset, count;
	u16 mss;
	u8 scale;
	bool sack;
};
struct record {
	struct in6_addr from, to;
	u16 source, dest, mss;
	u8 scale : 4, sack : 1, bare : 1;
	u8 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8192);
} records SEC(".maps");

static long option(u32 index, struct walk *walk)
{
	u8 head[2], value[2];

	if (bpf_skb_load_bytes(walk->skb, walk->offset, head, 2) || head[0] == 0)
		return 1;
	if (head[0] == 1) {
		walk->offset++;
		return 0;
	}
	if (head[1] < 2)
		return 1;
	switch (head[0]) {
	case 2:
		if (bpf_skb_load_bytes(walk->skb, walk->offset + 2, value, 2))
			return 1;
		walk->mss = value[0] << 8 | value[1];
		break;
	case 3:
		if (bpf_skb_load_bytes(walk->skb, walk->offset + 2, value, 1))
			return 1;
		walk->scale = value[0];
		break;
	case 4:
		walk->sack = true;
		break;
	}
	walk->offset += head[1];
	walk->count++;
	return 0;
}

static __noinline int skip_extensions(struct __sk_buff *skb, u32 *offset, u8 *next)
{
	struct { u8 next, length; } extension;
	int i;

	for (i = 0; i < 6; i++) {
		switch (*next) {
		case 0:
		case 43:
		case 60:
			if (bpf_skb_load_bytes(skb, *offset, &extension, 2))
				return -1;
			*offset += (extension.length + 1) * 8;
			break;
		case 44:
			if (bpf_skb_load_bytes(skb, *offset, &extension, 2))
				return -1;
			*offset += 8;
			break;
		default:
			return 0;
		}
		*next = extension.next;
	}
	return -1;
}

SEC("tc")
int syn_options(struct __sk_buff *skb)
{
	struct ipv6hdr ip;
	struct tcphdr tcp;
	struct record *record;
	struct walk walk = { .skb = skb };
	u32 offset = sizeof(struct ethhdr);
	u8 next;

	if (skb->protocol != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return 0;
	offset += sizeof(ip);
	next = ip.nexthdr;
	if (skip_extensions(skb, &offset, &next) || next != 6 || bpf_skb_load_bytes(skb, offset, &tcp, sizeof(tcp)) || !tcp.syn)
		return 0;
	walk.offset = offset + sizeof(tcp);
	if (tcp.doff > 5)
		bpf_loop(tcp.doff * 4 - sizeof(tcp), option, &walk, 0);
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return 0;
	*record = (struct record){
		.from = ip.saddr, .to = ip.daddr, .source = bpf_ntohs(tcp.source), .dest = bpf_ntohs(tcp.dest), .mss = walk.mss,
		.scale = walk.scale, .sack = walk.sack, .bare = tcp.doff == 5, .count = walk.count,
	};
	bpf_ringbuf_submit(record, 0);
	return 0;
}
