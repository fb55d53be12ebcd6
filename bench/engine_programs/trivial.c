/* Nothing: what entering a program costs. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	return 1;
}
