"""One map, several processes: one counts execve calls per user id, others read the counts by the map's id or its pin.

usage: shared_map.py [--pin PATH]     counts until Ctrl-C; PATH is a name in a bpffs (mount -t bpf bpf /sys/fs/bpf)
       shared_map.py ID | PATH        prints the counts once: no C text, no program, no hook
"""

import sys
from time import sleep

from skep import BPF
from skep.maps import from_id, open_pinned

PROGRAM = r"""
%s;

RAW_TRACEPOINT_PROBE(sched_process_exec)
{
    u32 uid = bpf_get_current_uid_gid();
    counts.increment(uid);
    return 0;
}
"""


def count(pin):
    table = f'BPF_TABLE_PINNED("hash", u32, u64, counts, 1024, "{pin}")' if pin else "BPF_HASH(counts, u32, u64, 1024)"
    with BPF(text=PROGRAM % table) as b:
        print(f"map id {b['counts'].map_id}", flush=True)
        try:
            while True:
                sleep(1)
        except KeyboardInterrupt:
            pass


def show(place):
    with from_id(int(place)) if place.isdigit() else open_pinned(place) as counts:
        for uid, number in counts.items():
            print(f"user id {uid.value}: {number.value} programs")


if sys.argv[1:2] == ["--pin"]:
    count(sys.argv[2])
elif len(sys.argv) > 1:
    show(sys.argv[1])
else:
    count(None)
