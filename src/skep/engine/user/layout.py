"""The Python mirror of runtime/env.h: offsets for the translator, structures for whoever fills them."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_char, c_uint32, c_uint64, c_void_p

OK, BAD_MEMORY, MISALIGNED, TIME_OVER, BAD_CALL, CLOSED = range(6)


class Task(Structure):
    """struct skep_task: the task that an event comes from."""

    _fields_ = [
        ("pid", c_uint32),
        ("tgid", c_uint32),
        ("uid", c_uint32),
        ("gid", c_uint32),
        ("cpu", c_uint32),
        ("parent", c_uint32),
        ("time", c_uint64),
        ("boot_offset", c_uint64),
        ("cgroup", c_uint64),
        ("reader", c_uint64),
        ("comm", c_char * 16),
    ]


class Region(Structure):
    """struct skep_region: memory that a program may touch besides its context and its stack."""

    _fields_ = [("base", c_uint64), ("size", c_uint64), ("stride", c_uint64), ("span", c_uint64)]


class Shape(Structure):
    """struct skep_shape: what a map is like."""

    _fields_ = [
        ("type", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("flags", c_uint32),
        ("stride", c_uint32),
    ]


class MapHeader(Structure):
    """struct skep_map: a live map; its memory is its owner's."""

    _fields_ = [
        ("shape", Shape),
        ("values", c_void_p),
        ("values_size", c_uint64),
        ("storage", c_void_p),
        ("storage_size", c_uint64),
        ("id", c_uint64),
        ("spare", c_uint64 * 3),
    ]


class Output(Structure):
    """struct skep_output: where lines that programs print go."""

    _fields_ = [("fd", c_uint64), ("lost", c_uint64)]


class Dynptr(Structure):
    """struct skep_dynptr: what a program's struct bpf_dynptr stands for."""

    _fields_ = [("place", c_uint64), ("data", c_uint64), ("size", c_uint32), ("kind", c_uint32)]


HELD = 16


class Env(Structure):
    """struct skep_env: one per thread that runs programs."""

    _fields_ = [
        ("task", POINTER(Task)),
        ("ctx_size", c_uint64),
        ("fault", c_uint64),
        ("fault_insn", c_uint64),
        ("fault_address", c_uint64),
        ("fault_size", c_uint64),
        ("deadline", c_uint64),
        ("time_limit", c_uint64),
        ("stop", c_uint64),
        ("tail_calls", c_uint64),
        ("random", c_uint64),
        ("fuel", c_uint64),
        ("output", POINTER(Output)),
        ("owner", c_void_p),
        ("ctx", c_void_p),
        ("stack", c_void_p),
        ("stack_size", c_uint64),
        ("regions", c_void_p),
        ("holder", c_uint64),
        ("spare", c_uint64 * 3),
        ("held_count", c_uint64),
        ("held", c_uint64 * HELD),
        ("dynptr_count", c_uint64),
        ("dynptrs", Dynptr * HELD),
    ]
