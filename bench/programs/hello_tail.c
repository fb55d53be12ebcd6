/* The mission's third program: tail calls by system call number from a raw tracepoint. */
#include "bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 500);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} syscall SEC(".maps");

SEC("raw_tracepoint/sys_enter")
int hello(struct bpf_raw_tracepoint_args *ctx)
{
	int opcode = ctx->args[1];
	bpf_tail_call(ctx, &syscall, opcode);
	bpf_printk("Another syscall: %d", opcode);
	return 0;
}

SEC("raw_tracepoint/sys_enter")
int hello_exec(void *ctx)
{
	bpf_printk("Executing a program");
	return 0;
}

SEC("raw_tracepoint/sys_enter")
int hello_timer(struct bpf_raw_tracepoint_args *ctx)
{
	int opcode = ctx->args[1];
	switch (opcode) {
	case 222:
		bpf_printk("Creating a timer");
		break;
	case 226:
		bpf_printk("Deleting a timer");
		break;
	default:
		bpf_printk("Some other timer operation");
		break;
	}
	return 0;
}

SEC("raw_tracepoint/sys_enter")
int ignore_opcode(void *ctx)
{
	return 0;
}
