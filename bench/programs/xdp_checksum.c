/* Answers an echo request in place: addresses swapped, the checksum renewed, the TTL counted down. */
#include "bench.h"

struct icmphdr {
	u8 type;
	u8 code;
	__sum16 checksum;
	u32 rest;
};

static __always_inline void swap_mac(struct ethhdr *eth)
{
	u8 tmp[6];

	memcpy(tmp, eth->h_source, 6);
	memcpy(eth->h_source, eth->h_dest, 6);
	memcpy(eth->h_dest, tmp, 6);
}

static __always_inline u16 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline u16 ip_checksum(struct iphdr *ip)
{
	u16 *word = (u16 *)ip;
	u32 sum = 0;
	int i;

	ip->check = 0;
#pragma unroll
	for (i = 0; i < (int)sizeof(*ip) >> 1; i++)
		sum += *word++;
	return fold(sum);
}

SEC("xdp")
int answer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip;
	struct icmphdr *icmp;
	u32 addr, sum;

	ip = (struct iphdr *)(eth + 1);
	icmp = (struct icmphdr *)(ip + 1);
	if ((void *)(icmp + 1) > data_end)
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != 1)
		return XDP_PASS;
	if (icmp->type != 8 || ip->ttl <= 1)
		return XDP_PASS;
	swap_mac(eth);
	addr = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	ip->ttl--;
	ip->check = ip_checksum(ip);
	icmp->type = 0;
	sum = (u16)~icmp->checksum;
	sum += (u16)~bpf_htons(0x0800);
	icmp->checksum = fold(sum);
	return XDP_TX;
}
