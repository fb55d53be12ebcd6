/* Compares and copies the command's name: loops over characters with a bound. */
#include "bench.h"

const volatile char wanted[16] = "python3";
u64 matches = 0;
char last[16];

static __always_inline bool equal(const char *a, const volatile char *b)
{
	int i;

#pragma unroll
	for (i = 0; i < 16; i++) {
		if (a[i] != b[i])
			return false;
		if (!a[i])
			break;
	}
	return true;
}

static __always_inline int length(const char *s, int limit)
{
	int n;

	for (n = 0; n < limit; n++)
		if (!s[n])
			break;
	return n;
}

SEC("tracepoint/syscalls/sys_enter_execve")
int match(void *ctx)
{
	char comm[16];
	int n, i;

	if (bpf_get_current_comm(comm, sizeof(comm)))
		return 0;
	n = length(comm, sizeof(comm));
	if (!equal(comm, wanted))
		return 0;
	for (i = 0; i < n && i < 16; i++)
		last[i] = comm[i] >= 'a' && comm[i] <= 'z' ? comm[i] - 'a' + 'A' : comm[i];
	matches++;
	return n;
}
