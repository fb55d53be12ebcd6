"""Metrics from one map that three processes have: one counts started programs, one ended processes, one prints the counts.

usage: metrics.py start       makes the map, prints its id and counts starts until Ctrl-C
       metrics.py end ID      counts ends into the same map until Ctrl-C
       metrics.py show ID     prints the map as text in Prometheus' exposition format; loads no program
"""

import sys
from time import sleep

from skep import BPF
from skep.maps import from_id

MAP = r"""
struct what {
    u32 ended;
    u32 uid;
};
BPF_HASH(processes, struct what, u64, 4096);
"""
START = (
    MAP
    + r"""
RAW_TRACEPOINT_PROBE(sched_process_exec)
{
    struct what what = { .uid = bpf_get_current_uid_gid() };
    processes.atomic_increment(what);
    return 0;
}
"""
)
END = (
    MAP
    + r"""
RAW_TRACEPOINT_PROBE(sched_process_exit)
{
    u64 id = bpf_get_current_pid_tgid();
    struct what what = { .ended = 1, .uid = bpf_get_current_uid_gid() };
    if (id >> 32 == (u32)id)  // other threads end here, too
        processes.atomic_increment(what);
    return 0;
}
"""
)
HEAD = """\
# HELP processes_total Programs that were started and processes that ended, by user id.
# TYPE processes_total counter
"""


def wait():
    try:
        while True:
            sleep(1)
    except KeyboardInterrupt:
        pass


def show(id):
    lines = []
    with from_id(id) as processes:
        for key, count in processes.items():
            lines.append(f'processes_total{{event="{"end" if key.ended else "start"}",uid="{key.uid}"}} {count.value}\n')
    print(HEAD + "".join(sorted(lines)), end="")


match sys.argv[1:]:
    case ["start"]:
        with BPF(text=START) as b:
            print(f"map id {b['processes'].map_id}", flush=True)
            wait()
    case ["end", id]:
        with from_id(int(id)) as processes, BPF(text=END, maps={"processes": processes}):
            print(f"counting into map {id}", flush=True)
            wait()
    case ["show", id]:
        show(int(id))
    case _:
        sys.exit(__doc__)
