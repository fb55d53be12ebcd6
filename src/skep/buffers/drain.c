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

static inline void copy(u8 *to, const u8 *from, u64 bytes)
{
    for (; bytes >= 64; bytes -= 64, to += 64, from += 64)
        __builtin_memcpy(to, from, 64);
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

static inline void fill(u8 *to, u64 bytes)
{
    for (; bytes; bytes--)
        *to++ = 0;
}

long perf_copy(struct ring *ring, u8 *rows, long room)
{
    u64 mask = ring->mask, position = ring->position, prefix = ring->prefix, size = ring->size, lost = 0;
    u64 head = __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);
    u8 *data = ring->data;
    u8 *row = rows;
    long count = 0;

    ring->status = DONE;
    while (position != head && count < room) {
        u64 offset = position & mask;
        u64 header = *(u64 *)(data + offset);
        u64 length = header >> 48;
        u64 bytes = length - prefix;

        if ((u32)header == PERF_RECORD_SAMPLE) {
            if (bytes > ring->longest) {
                ring->status = length < prefix ? DAMAGED : TOO_LONG;
                break;
            }
            if (bytes > size)
                bytes = size;
            if (ring->start) { /* a multiple of 8 bytes does not wrap */
                *(u64 *)row = prefix == TIME_PREFIX ? *(u64 *)(data + ((offset + 8) & mask)) : 0;
                *(u64 *)(row + 8) = ring->cpu;
            }
            if (offset + length <= mask + 1)
                copy(row + ring->start, data + offset + prefix, bytes);
            else
                for (u64 byte = 0; byte < bytes; byte++)
                    row[ring->start + byte] = data[(offset + prefix + byte) & mask];
            if (bytes < size)
                fill(row + ring->start + bytes, size - bytes);
            row += ring->row;
            count++;
        } else if (length < 8) {
            ring->status = DAMAGED;
            break;
        } else if ((u32)header == PERF_RECORD_LOST) {
            lost += *(u64 *)(data + ((offset + 16) & mask)); /* header, id, lost */
        }
        position += length;
    }
    ring->position = position;
    ring->lost += lost;
    __atomic_store_n(ring->tail, position, __ATOMIC_RELEASE);
    return count;
}

long ring_copy(struct ring *ring, u8 *rows, long room)
{
    u64 mask = ring->mask, position = ring->position, size = ring->size;
    u64 head = __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);
    u8 *data = ring->data;
    u8 *row = rows;
    long count = 0;

    ring->status = DONE;
    while (position < head && count < room) {
        u8 *record = data + (position & mask);
        /* the kernel clears BUSY after it has written the record */
        u32 header = __atomic_load_n((u32 *)record, __ATOMIC_ACQUIRE);
        u64 bytes = header & ~(RING_BUSY | RING_DISCARD);
        u64 length = (bytes + RING_HEADER + 7) & ~7ul;

        if (header & RING_BUSY)
            break;
        if (!(header & RING_DISCARD)) {
            if (bytes > ring->longest) {
                ring->status = TOO_LONG;
                break;
            }
            copy(row, record + RING_HEADER, bytes);
            if (bytes < size)
                fill(row + bytes, size - bytes);
            row += ring->row;
            count++;
        }
        position += length;
    }
    ring->position = position;
    __atomic_store_n(ring->tail, position, __ATOMIC_RELEASE);
    return count;
}
