"""Counts execve calls per user id: a hash map, filled in the kernel and read from Python every two seconds."""

from os.path import dirname, join
from time import sleep

from skep import BPF


def show(b):
    print("\t".join(f"ID {uid.value}: {count.value}" for uid, count in b["counter_table"].items()), flush=True)


with BPF(src_file=join(dirname(__file__), "hello_map.c")) as b:
    b.attach_kprobe(event=b.get_syscall_fnname("execve"), fn_name="hello")
    try:
        while True:
            sleep(2)
            show(b)
    except KeyboardInterrupt:
        show(b)
