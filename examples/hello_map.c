// Counts execve calls per user id in a hash map.
BPF_HASH(counter_table);

// The map looks like this:
// {
//   uid: counter
// }

int hello(void *ctx) {
    u64 uid;
    u64 counter = 0;
    u64 *p;

    // The helper returns the group id in the upper and the user id in the lower 32 bits.
    uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;
    // A pointer to the value of this user id, or a null pointer when there is none yet.
    p = counter_table.lookup(&uid);
    if (p != 0) {
        counter = *p;
    }
    counter++;
    counter_table.update(&uid, &counter);
    return 0;
}
