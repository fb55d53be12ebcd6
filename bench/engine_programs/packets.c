/* Looks at the headers of 64 frames: Ethernet, VLAN, IPv4, TCP ports. */
#include "bench.h"
static inline u32 half(u8 *at)
{
	return at[0] << 8 | at[1];
}
SEC("syscall") int program(struct memory *m)
{
	u32 n, at, kind, length, found = 0;
	for (n = 0; n < 64; n++) {
		u8 *frame = m->bytes + n * 128;
		kind = half(frame + 12);
		at = 14;
		if (kind == 0x8100) {
			kind = half(frame + 16);
			at = 18;
		}
		if (kind != 0x0800)
			continue;
		length = (frame[at] & 15) * 4;
		if (length < 20 || frame[at + 9] != 6)
			continue;
		found += half(frame + at + length) ^ half(frame + at + length + 2);
	}
	return found;
}
