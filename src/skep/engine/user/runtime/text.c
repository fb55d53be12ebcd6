/* Helpers about text: lines that programs print, snprintf, numbers in strings. Formats are those of kernel/bpf/helpers.c. */
#include "lock.h"

enum { EFAULT = 14, ERANGE = 34, ROOM = 512, LINE = 640, LOOK = 4096 };

struct skep_span {
	u64 base;
	u64 size;
};

struct text_time {
	long seconds;
	long nanoseconds;
};

/* Where text goes; `length` goes on counting behind the end. */
struct text {
	u8 *to;
	u64 room;
	u64 length;
};

extern long process_vm_readv(int pid, const void *local, u64 locals, const void *remote, u64 remotes, u64 flags);
extern long write(int fd, const void *from, u64 size);
extern int clock_gettime(int clock, void *to);
u64 skep_refuel(struct skep_env *env);
u64 skep_allowed(struct skep_env *env, u8 *ctx, u8 *stack, u64 stack_size, struct skep_regions *regions, u64 packet,
		 u64 packet_end, u64 address, u64 size);

static void text_put(struct text *text, u8 character)
{
	if (text->length + 1 < text->room)
		text->to[text->length] = character;
	text->length++;
}

/* One byte at an address of the program's memory, or of the traced process's; -1: neither. */
static int text_byte(struct skep_env *env, u64 address)
{
	u8 byte;
	struct skep_span local = { (u64)&byte, 1 }, remote = { address, 1 };
	if (skep_allowed(env, env->ctx, env->stack, env->stack_size, env->regions, 0, 0, address, 1))
		return *(const u8 *)address;
	if (env->task->reader && process_vm_readv(env->task->reader, &local, 1, &remote, 1, 0) == 1)
		return byte;
	return -1;
}

struct text_field {
	u64 width;
	u8 left;
	u8 zeros;
	u8 sign; /* 0, '+' or ' ' */
	u8 other; /* # */
};

static void text_pad(struct text *text, const struct text_field *field, u64 length, int before)
{
	if (before == !field->left)
		for (; length < field->width; length++)
			text_put(text, ' ');
}

static void text_number(struct text *text, const struct text_field *field, u64 value, u32 base, int is_signed, int capital)
{
	u8 digits[24];
	u32 count = 0, extra = 0;
	u8 sign = 0;
	if (is_signed && (s64)value < 0) {
		sign = '-';
		value = -value;
	} else if (is_signed) {
		sign = field->sign;
	}
	do {
		u32 digit = value % base;
		digits[count++] = digit < 10 ? '0' + digit : (capital ? 'A' : 'a') + digit - 10;
		value /= base;
	} while (value);
	extra = (sign != 0) + (field->other && base == 16 ? 2 : 0);
	if (!field->zeros)
		text_pad(text, field, count + extra, 1);
	if (sign)
		text_put(text, sign);
	if (field->other && base == 16) {
		text_put(text, '0');
		text_put(text, capital ? 'X' : 'x');
	}
	if (field->zeros && !field->left)
		for (extra += count; extra < field->width; extra++)
			text_put(text, '0');
	extra = count + (sign != 0) + (field->other && base == 16 ? 2 : 0);
	while (count)
		text_put(text, digits[--count]);
	text_pad(text, field, extra, 0);
}

static void text_string(struct skep_env *env, struct text *text, const struct text_field *field, u64 address)
{
	u64 length = 0, at;
	int byte;
	while (length < ROOM && (byte = text_byte(env, address + length)) > 0)
		length++;
	text_pad(text, field, length, 1);
	for (at = 0; at < length; at++)
		text_put(text, text_byte(env, address + at));
	text_pad(text, field, length, 0);
}

/* %pi4, %pI4, %pi6, %pI6: an address at `address`; i6 without colons. */
static void text_network(struct skep_env *env, struct text *text, u64 address, int six, int colons)
{
	static const struct text_field plain;
	u32 at;
	for (at = 0; at < (six ? 16 : 4); at++) {
		int byte = text_byte(env, address + at);
		if (byte < 0)
			byte = 0;
		if (six) {
			if (at && at % 2 == 0 && colons)
				text_put(text, ':');
			text_put(text, "0123456789abcdef"[byte >> 4]);
			text_put(text, "0123456789abcdef"[byte & 15]);
		} else {
			if (at)
				text_put(text, '.');
			text_number(text, &plain, byte, 10, 0, 0);
		}
	}
}

/* The text of a format; 0, or -EINVAL for what the kernel does not take either. */
static s64 text_format(struct skep_env *env, struct text *text, const u8 *format, u64 size, const u64 *arguments, u64 count)
{
	u64 at, used = 0;
	for (at = 0; at < size && format[at]; at++) {
		struct text_field field = { 0, 0, 0, 0, 0 };
		u32 longs = 0;
		u64 value;
		if (format[at] != '%') {
			text_put(text, format[at]);
			continue;
		}
		at++;
		if (at < size && format[at] == '%') {
			text_put(text, '%');
			continue;
		}
		for (; at < size; at++) {
			if (format[at] == '-')
				field.left = 1;
			else if (format[at] == '0')
				field.zeros = 1;
			else if (format[at] == '+' || (format[at] == ' ' && !field.sign))
				field.sign = format[at];
			else if (format[at] == '#')
				field.other = 1;
			else
				break;
		}
		for (; at < size && format[at] >= '0' && format[at] <= '9'; at++)
			field.width = (field.width * 10 + format[at] - '0') % 10000;
		for (; at < size && format[at] == 'l'; at++)
			longs++;
		if (at >= size || used >= count || longs > 2)
			return -EINVAL;
		value = arguments[used++];
		switch (format[at]) {
		case 'd':
		case 'i':
			text_number(text, &field, longs ? value : (u64)(s64)(s32)value, 10, 1, 0);
			break;
		case 'u':
			text_number(text, &field, longs ? value : (u32)value, 10, 0, 0);
			break;
		case 'x':
		case 'X':
			text_number(text, &field, longs ? value : (u32)value, 16, 0, format[at] == 'X');
			break;
		case 'c':
			text_pad(text, &field, 1, 1);
			text_put(text, value);
			text_pad(text, &field, 1, 0);
			break;
		case 's':
			text_string(env, text, &field, value);
			break;
		case 'p':
			if (at + 2 < size && (format[at + 1] == 'k' || format[at + 1] == 'u') && format[at + 2] == 's') {
				at += 2;
				text_string(env, text, &field, value);
			} else if (at + 2 < size && (format[at + 1] | 32) == 'i' && (format[at + 2] == '4' || format[at + 2] == '6')) {
				text_network(env, text, value, format[at + 2] == '6', format[at + 1] == 'I');
				at += 2;
			} else {
				if (at + 1 < size && (format[at + 1] == 'x' || format[at + 1] == 'K' || format[at + 1] == 'B' ||
						      (format[at + 1] | 32) == 's'))
					at++;
				field.zeros = 1;
				field.width = 16;
				text_number(text, &field, value, 16, 0, 0);
			}
			break;
		default:
			return -EINVAL;
		}
	}
	return 0;
}

static void text_words(struct text *text, const char *words)
{
	while (*words)
		text_put(text, *words++);
}

/* The line as trace_pipe shows it: task, thread, CPU, flags, seconds. */
static void text_head(struct skep_env *env, struct text *text)
{
	struct text_field field = { 7, 1, 0, 0, 0 };
	struct text_time time;
	u64 length = 0, at, now = env->task->time;
	if (!now) {
		clock_gettime(1, &time); /* CLOCK_MONOTONIC */
		now = time.seconds * 1000000000ull + time.nanoseconds;
	}
	while (length < 16 && env->task->comm[length])
		length++;
	for (at = length; at < 16; at++)
		text_put(text, ' ');
	for (at = 0; at < length; at++)
		text_put(text, env->task->comm[at]);
	text_put(text, '-');
	text_number(text, &field, env->task->pid, 10, 0, 0);
	text_words(text, " [");
	field = (struct text_field){ 3, 0, 1, 0, 0 };
	text_number(text, &field, env->task->cpu, 10, 0, 0);
	text_words(text, "] ..... ");
	field = (struct text_field){ 5, 0, 0, 0, 0 };
	text_number(text, &field, now / 1000000000, 10, 0, 0);
	text_put(text, '.');
	field = (struct text_field){ 6, 0, 1, 0, 0 };
	text_number(text, &field, now % 1000000000 / 1000, 10, 0, 0);
	text_words(text, ": bpf_trace_printk: ");
}

static u64 print(struct skep_env *env, u64 format, u64 size, const u64 *arguments, u64 count)
{
	u8 line[LINE];
	struct text text = { line, LINE - 1, 0 };
	s64 result;
	u64 head;
	text_head(env, &text);
	head = text.length;
	result = text_format(env, &text, (const u8 *)format, size, arguments, count);
	if (result)
		return result;
	if (text.length > LINE - 2)
		text.length = LINE - 2;
	if (text.length == head || line[text.length - 1] != '\n')
		line[text.length++] = '\n';
	/* less than PIPE_BUF: whole or not at all */
	if (env->output && write(env->output->fd, line, text.length) < 0)
		env->output->lost++;
	return text.length - head;
}

COLD u64 helper_trace_printk(struct skep_env *env, u64 format, u64 size, u64 a, u64 b, u64 c)
{
	u64 arguments[3] = { a, b, c };
	return print(env, format, size, arguments, 3);
}

COLD u64 helper_trace_vprintk(struct skep_env *env, u64 format, u64 size, u64 data, u64 data_size, u64 e)
{
	if (data_size % 8 || data_size > 96)
		return FAILED(EINVAL);
	return print(env, format, size, (const u64 *)data, data_size / 8);
}

COLD u64 helper_snprintf(struct skep_env *env, u64 to, u64 room, u64 format, u64 data, u64 data_size)
{
	struct text text = { (u8 *)to, room, 0 };
	u8 copy[ROOM];
	u64 length = 0;
	s64 result;
	int byte;
	if (data_size % 8 || data_size > 96)
		return FAILED(EINVAL);
	while (length < ROOM && (byte = text_byte(env, format + length)) > 0)
		copy[length++] = byte;
	if (length == ROOM || byte < 0)
		return FAILED(EINVAL);
	result = text_format(env, &text, copy, length, (const u64 *)data, data_size / 8);
	if (result)
		return result;
	if (room)
		((u8 *)to)[text.length < room ? text.length : room - 1] = 0;
	return text.length + 1;
}

static u32 digit_of(u8 character)
{
	if (character <= '9')
		return (u32)character - '0'; /* below: a large number */
	return (character | 32) >= 'a' ? (u32)(character | 32) - 'a' + 10 : ~0u;
}

/* bpf_strtol() and bpf_strtoul(): how many bytes the number has. `flags` is the base, or 0. */
static s64 parse(const u8 *from, u64 size, u64 flags, u64 *magnitude, int *negative)
{
	u64 at = 0, first, value = 0;
	u32 base = flags & 31;
	if (!from || !size || flags & ~31ull || (base != 0 && base != 8 && base != 10 && base != 16))
		return -EINVAL;
	while (at < size && (from[at] == ' ' || (from[at] >= 9 && from[at] <= 13)))
		at++;
	*negative = at < size && from[at] == '-';
	at += *negative;
	if (at + 1 < size && from[at] == '0' && (from[at + 1] | 32) == 'x' &&
	    (base == 16 || (!base && at + 2 < size && digit_of(from[at + 2]) < 16))) {
		base = 16;
		at += 2;
	} else if (!base) {
		base = at < size && from[at] == '0' ? 8 : 10;
	}
	for (first = at; at < size; at++) {
		u32 digit = digit_of(from[at]);
		if (digit >= base)
			break;
		if (value > (~0ull - digit) / base)
			return -ERANGE;
		value = value * base + digit;
	}
	if (at == first)
		return -EINVAL;
	*magnitude = value;
	return at;
}

COLD u64 helper_strtol(struct skep_env *env, u64 from, u64 size, u64 flags, u64 result, u64 e)
{
	u64 magnitude = 0;
	int negative = 0;
	s64 used = parse((const u8 *)from, size, flags, &magnitude, &negative);
	*(s64 *)result = 0;
	if (used < 0)
		return used;
	if (magnitude > (1ull << 63) - !negative)
		return FAILED(ERANGE);
	*(s64 *)result = negative ? -magnitude : magnitude;
	return used;
}

COLD u64 helper_strtoul(struct skep_env *env, u64 from, u64 size, u64 flags, u64 result, u64 e)
{
	u64 magnitude = 0;
	int negative = 0;
	s64 used = parse((const u8 *)from, size, flags, &magnitude, &negative);
	*(u64 *)result = 0;
	if (used < 0)
		return used;
	if (negative)
		return FAILED(EINVAL);
	*(u64 *)result = magnitude;
	return used;
}

COLD u64 helper_strncmp(struct skep_env *env, u64 one, u64 size, u64 other, u64 d, u64 e)
{
	u64 at;
	for (at = 0; at < size; at++) {
		if (at % LOOK == LOOK - 1 && !skep_refuel(env))
			return 0; /* the time is over: the run ends at its next look at the clock */
		int a = ((const u8 *)one)[at], b = text_byte(env, other + at);
		if (b < 0)
			b = 0;
		if (a != b)
			return (s64)(a < b ? -1 : 1);
		if (!a)
			break;
	}
	return 0;
}
