"""The Python mirror of runtime/tracer.h: the state of the tracing loop and what it is given."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p

CALLS = 512  # places of a table of system calls; the last is for numbers that are none
HAPPENED = 64
KICK = 10
START, ATTACH, TABLES, SIGNAL, CLOSE = range(1, 6)
BEGAN, NOT_STARTED, ENDED, FAULT, IS_COMPAT = range(1, 6)
ROOT, FOLLOW = 2, 4  # flags of a tracee
# How a command that could not be started ends; below 200 it is execve's errno
EXIT_NO_TRACER, EXIT_NO_FILTER, EXIT_NO_DIRECTORY, EXIT_NO_USER = range(200, 204)
EXIT_CRASH = 128  # the keeper's, and a signal's number
NEEDS_CPU = 1


class HookRow(Structure):
    """struct hook: one attached program."""

    _fields_ = [
        ("entry", c_uint64),
        ("context", c_uint32),
        ("flags", c_uint32),
        ("runs", c_uint64),
        ("period", c_uint64),
        ("due", c_uint64),
        ("is_due", c_uint32),
        ("id", c_uint32),
    ]


class HappeningRow(Structure):
    """struct happening: what the loop has to say."""

    _fields_ = [
        ("kind", c_uint32),
        ("pid", c_int32),
        ("a", c_uint64),
        ("b", c_uint64),
        ("c", c_uint64),
        ("d", c_uint64),
    ]


class Tables(Structure):
    """struct tables: which programs run when."""

    _fields_ = [
        ("hooks", c_void_p),
        ("lists", c_void_p),
        ("enter", c_void_p),
        ("exit", c_void_p),
        ("on_exec", c_uint32),
        ("on_fork", c_uint32),
        ("on_end", c_uint32),
        ("on_timer", c_uint32),
        ("options", c_uint32),
        ("filter_covers", c_uint32),
        ("period", c_uint64),
    ]


class State(Structure):
    """The first part of struct tracer; what follows is the loop's own."""

    _fields_ = [
        ("env", c_void_p),
        ("tables", c_void_p),
        ("stack_end", c_uint64),
        ("answer_fd", c_int32),
        ("happened_fd", c_int32),
        ("idle_fd", c_int32),
        ("cpus", c_uint32),
        ("request", c_uint32),
        ("keeper", c_int32),
        ("arguments", c_uint64 * 2),
        ("result", c_int64),
        ("happened_tail", c_uint64),
        ("happened_head", c_uint64),
        ("happened_lost", c_uint64),
        ("stops", c_uint64),
        ("calls", c_uint64),
        ("tracees", c_uint64),
        ("happened", HappeningRow * HAPPENED),
    ]


class Start(Structure):
    """struct start: what a command starts with."""

    _fields_ = [
        ("path", c_char_p),
        ("words", POINTER(c_char_p)),
        ("environment", POINTER(c_char_p)),
        ("directory", c_char_p),
        ("filter", c_void_p),
        ("mask", c_void_p),
        ("default_signals", c_uint64),
        ("group", c_uint64),
        ("files", c_int32 * 3),
        ("user", c_int32),
    ]
