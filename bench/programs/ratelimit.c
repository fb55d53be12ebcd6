/* A token bucket per source address: elapsed time to tokens, saturating, with a lock in the value. */
#include "bench.h"

struct bucket {
	struct bpf_spin_lock lock;
	u32 dropped;
	u64 tokens, last;
};

const volatile u64 rate = 1000;
const volatile u64 burst = 100;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, struct bucket);
} buckets SEC(".maps");

SEC("xdp")
int limit(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct bucket *bucket, fresh = {};
	u64 now, earned;
	__be32 key;
	int verdict = XDP_PASS;

	if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	key = ip->saddr;
	now = bpf_ktime_get_ns();
	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket) {
		fresh.tokens = burst - 1;
		fresh.last = now;
		bpf_map_update_elem(&buckets, &key, &fresh, BPF_NOEXIST);
		return XDP_PASS;
	}
	bpf_spin_lock(&bucket->lock);
	earned = (now - bucket->last) * rate / 1000000000;
	if (earned) {
		bucket->tokens += earned;
		if (bucket->tokens > burst)
			bucket->tokens = burst;
		bucket->last = now;
	}
	if (bucket->tokens) {
		bucket->tokens--;
	} else {
		bucket->dropped++;
		verdict = XDP_DROP;
	}
	bpf_spin_unlock(&bucket->lock);
	return verdict;
}
