/* Copies the records of a ring into rows of one size; the twin of the `copy` methods in cursor.py.
   The kernel writes at the head and never behind it; what is before the tail is the kernel's again. */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

enum { PERF_RECORD_LOST = 2, PERF_RECORD_SAMPLE = 9 }; /* include/uapi/linux/perf_event.h */
enum { TIME_PREFIX = 20 }; /* header, u64 time, u32 size; without the time 12 */
enum { RING_HEADER = 8 };                               /* include/uapi/linux/bpf.h */
#define RING_BUSY (1u << 31)
#define RING_DISCARD (1u << 30)

enum status { DONE, TOO_LONG, DAMAGED };

/* machine.py has the same struct */
struct ring {
    u64 *head;
    u64 *tail;
    u8 *data;
    u64 mask;
    u64 position; /* of the next record to read */
    u64 lost;     /* what the LOST records on the way say, added up */
    u64 row;      /* bytes from one row to the next */
    u64 start;    /* perf: where a record begins in its row; what is before takes the time and the CPU */
    u64 size;     /* of the record in a row: a shorter one is filled up with zeros */
    u64 longest;  /* bytes of a record that fit, the kernel's padding counted */
    u64 prefix;   /* perf: bytes of a sample before its data */
    u64 cpu;
    u64 status;
};

enum { AHEAD = 1024 }; /* bytes: the processor's own prefetching ends at each page */

/* 16 bytes at a time, which LLVM does not do for a processor that it is not told about */
static inline void copy_64(u8 *to, const u8 *from)
{
    asm volatile("prefetcht0 %c2(%1)\n\t"
                 "movups (%1), %%xmm0\n\t"
                 "movups 16(%1), %%xmm1\n\t"
                 "movups 32(%1), %%xmm2\n\t"
                 "movups 48(%1), %%xmm3\n\t"
                 "movups %%xmm0, (%0)\n\t"
                 "movups %%xmm1, 16(%0)\n\t"
                 "movups %%xmm2, 32(%0)\n\t"
                 "movups %%xmm3, 48(%0)"
                 :
                 : "r"(to), "r"(from), "i"(AHEAD)
                 : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

static inline void copy(u8 *to, const u8 *from, u64 bytes)
{
    for (; bytes >= 64; bytes -= 64, to += 64, from += 64)
        copy_64(to, from);
    for (; bytes >= 16; bytes -= 16, to += 16, from += 16)
        __builtin_memcpy(to, from, 16);
    if (bytes & 8) {
        __builtin_memcpy(to, from, 8);
        to += 8;
        from += 8;
    }
    for (bytes &= 7; bytes; bytes--)
        *to++ = *from++;
}

static inline void stamp(struct ring *ring, u8 *row, u64 offset)
{
    if (ring->start) { /* 8 bytes at a multiple of 8 do not wrap */
        *(u64 *)row = ring->prefix == TIME_PREFIX ? *(u64 *)(ring->data + ((offset + 8) & ring->mask)) : 0;
        *(u64 *)(row + 8) = ring->cpu;
    }
}

static inline void fill(u8 *to, u64 bytes)
{
    for (; bytes; bytes--)
        *to++ = 0;
}

long perf_copy(struct ring *ring, u8 *rows, long room)
{
    u64 mask = ring->mask, position = ring->position, prefix = ring->prefix, size = ring->size, start = ring->start;
    u64 head = __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);
    u8 *data = ring->data;
    u8 *row = rows, *end = rows + room * ring->row;

    ring->status = DONE;
    while (position != head && row != end) {
        u64 offset = position & mask;
        u64 header = *(u64 *)(data + offset);
        u64 length = header >> 48;
        u64 bytes = length - prefix;

        if ((u32)header == PERF_RECORD_SAMPLE && bytes <= ring->longest) {
            u64 kept = bytes < size ? bytes : size;

            if (offset + length > mask + 1) {
                stamp(ring, row, offset);
                for (u64 byte = 0; byte < kept; byte++)
                    row[start + byte] = data[(offset + prefix + byte) & mask];
                fill(row + start + kept, size - kept);
                row += ring->row;
                position += length;
                continue;
            }
            /* A run of records of this size: where the next one is does not depend on its header, so that the processor
               need not wait for it. */
            do {
                stamp(ring, row, offset);
                copy(row + start, data + offset + prefix, kept);
                fill(row + start + kept, size - kept);
                row += ring->row;
                position += length;
                offset += length;
            } while (position != head && row != end && offset + length <= mask + 1 && *(u64 *)(data + offset) == header);
            continue;
        }
        if ((u32)header == PERF_RECORD_SAMPLE || length < 8) {
            ring->status = (u32)header == PERF_RECORD_SAMPLE && length >= prefix ? TOO_LONG : DAMAGED;
            break;
        }
        if ((u32)header == PERF_RECORD_LOST)
            ring->lost += *(u64 *)(data + ((offset + 16) & mask)); /* header, id, lost */
        position += length;
    }
    ring->position = position;
    __atomic_store_n(ring->tail, position, __ATOMIC_RELEASE);
    return (row - rows) / ring->row;
}

long ring_copy(struct ring *ring, u8 *rows, long room)
{
    u64 mask = ring->mask, position = ring->position, size = ring->size;
    u64 head = __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);
    u8 *data = ring->data;
    u8 *row = rows, *end = rows + room * ring->row;

    ring->status = DONE;
    while (position < head && row != end) {
        u8 *record = data + (position & mask);
        /* the kernel clears BUSY after it has written the record */
        u32 header = __atomic_load_n((u32 *)record, __ATOMIC_ACQUIRE);
        u64 bytes = header & ~(RING_BUSY | RING_DISCARD);
        u64 length = (bytes + RING_HEADER + 7) & ~7ul;
        u64 kept = bytes < size ? bytes : size;

        if (header & RING_BUSY)
            break;
        if (header & RING_DISCARD) {
            position += length;
            continue;
        }
        if (bytes > ring->longest) {
            ring->status = TOO_LONG;
            break;
        }
        do { /* a run, as above; the data is mapped twice in a row: no record wraps, a run may */
            copy(row, record + RING_HEADER, kept);
            fill(row + kept, size - kept);
            row += ring->row;
            position += length;
            record += length;
        } while (position < head && row != end && record < data + mask + 1 &&
                 __atomic_load_n((u32 *)record, __ATOMIC_ACQUIRE) == header);
    }
    ring->position = position;
    __atomic_store_n(ring->tail, position, __ATOMIC_RELEASE);
    return (row - rows) / ring->row;
}
