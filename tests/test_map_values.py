"""Maps whose definition says what is in them: maps of maps, arrays of programs."""

from __future__ import annotations

import os

import pytest

from skep import BPF
from skep.errors import SkepError

MAPS = """
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); };
struct inner first SEC(".maps"), second SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, u32); __array(values, struct inner);
} outer SEC(".maps") = { .values = { [2] = &second, [0] = &first } };
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 4); __uint(key_size, 4); __array(values, int (void *));
} programs SEC(".maps") = { .values = { [3] = (void *)&target } };
"""
TEXT = """
int target(void *ctx);
%s
SEC("raw_tracepoint") int target(void *ctx) {
    u32 zero = 0;
    u64 *v = bpf_map_lookup_elem(&second, &zero);
    if (v) *v |= 2;
    return 0;
}
SEC("raw_tracepoint") int start(void *ctx) {
    u32 slot = 2, zero = 0;
    if (bpf_get_current_pid_tgid() >> 32 != %d) return 0;
    void *map = bpf_map_lookup_elem(&outer, &slot);
    if (!map) return 0;
    u64 *v = bpf_map_lookup_elem(map, &zero);
    if (v) *v |= 1;
    bpf_tail_call(ctx, &programs, 3);
    return 0;
}
"""


@pytest.mark.kernel
def test_values_of_maps_are_there_before_the_first_event() -> None:
    with BPF(text=TEXT % (MAPS, os.getpid())) as b:
        b.attach_raw_tracepoint(tp="sys_enter", fn_name="start")
        os.getppid()
        assert b["second"][0].value == 3
        assert b["first"][0].value == 0


@pytest.mark.kernel
def test_a_value_of_another_sort_is_an_error() -> None:
    with pytest.raises(SkepError, match="map outer: its value 'target' is not a map of this object"):
        BPF(text=TEXT % (MAPS.replace("&second,", "(void *)&target,"), 1))
