/* A switch over system calls: dense and sparse cases, ranges, and different work in each. */
#include "bench.h"

struct counts {
	u64 file, network, memory, process, time, other;
};
struct counts counts = {};
u32 last_class = 0;

SEC("raw_tracepoint/sys_enter")
int classify(struct bpf_raw_tracepoint_args *ctx)
{
	u64 id = ctx->args[1];
	u32 class;

	switch (id) {
	case 0 ... 8:
	case 16 ... 22:
	case 257:
		class = 1;
		counts.file++;
		break;
	case 41 ... 55:
		class = 2;
		counts.network++;
		break;
	case 9 ... 12:
	case 25:
	case 28:
		class = 3;
		counts.memory++;
		break;
	case 56 ... 62:
	case 231:
		class = 4;
		counts.process++;
		break;
	case 35:
	case 96:
	case 201:
	case 222 ... 230:
		class = 5;
		counts.time++;
		break;
	default:
		class = 6;
		counts.other++;
	}
	last_class = class;
	switch (class) {
	case 1:
		return 10;
	case 2:
		return 17;
	case 3:
		return -3;
	case 4:
		return 42;
	case 5:
		return 5;
	}
	return 0;
}
