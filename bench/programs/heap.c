/* A heap in a map's value behind a spin lock: records swapped at indices that are masked. */
#include "bench.h"

#define SIZE 8
struct item {
	u64 priority;
	u32 id, next;
};
struct heap {
	struct bpf_spin_lock lock;
	u32 count;
	struct item items[SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap);
} heaps SEC(".maps");
u64 full;

static __always_inline void swap_items(struct item *a, struct item *b)
{
	struct item kept = *a;

	*a = *b;
	*b = kept;
}

SEC("tc")
int enqueue(struct __sk_buff *skb)
{
	u32 zero = 0, at, parent;
	struct heap *heap = bpf_map_lookup_elem(&heaps, &zero);
	struct item item = { .priority = skb->priority, .id = skb->hash };
	int step;

	if (!heap)
		return 0;
	bpf_spin_lock(&heap->lock);
	at = heap->count;
	if (at < SIZE) {
		heap->items[at] = item;
		heap->count++;
		for (step = 0; step < 3 && at > 0; step++) {
			parent = (at - 1) / 2;
			if (heap->items[parent & 7].priority <= heap->items[at & 7].priority)
				break;
			swap_items(&heap->items[parent & 7], &heap->items[at & 7]);
			at = parent;
		}
	} else {
		heap->count = 0;
		full++;
	}
	bpf_spin_unlock(&heap->lock);
	return 0;
}
