"""The exact text of what the compiler says to common mistakes: those of the mission's document, and its readers'."""

from __future__ import annotations

import pytest

from skep.compiler import compile_source
from skep.errors import CompileError


def errors_of(text: str) -> str:
    with pytest.raises(CompileError) as caught:
        compile_source(text, file="program.c")
    return str(caught.value)


PROGRAM = """\
BPF_HASH(counter_table);
struct data_t {{ int pid; int uid; }};
int hello(void *ctx) {{
   u64 uid = bpf_get_current_uid_gid(), counter = 0;
   struct data_t data = {{}};
   {line}
   return 0;
}}
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# lookup the counter of the current UID.\n   # it is a pointer", """\
program.c:6:4: error: '#' starts a preprocessor directive in C, and 'lookup' is not one; comments are '// ...' or '/* ... */' \
(also in the line below)
    6 |    # lookup the counter of the current UID.
      |    ^~~~~~~~"""),
        ('bpf_trace_printk("Executing a program);', """\
program.c:6:21: error: missing closing '"'
    6 |    bpf_trace_printk("Executing a program);
      |                     ^"""),
        ('bpf_trace_printk("Some other timer operation")', """\
program.c:6:49: error: missing ';' after the statement
    6 |    bpf_trace_printk("Some other timer operation")
      |                                                 ^"""),
        ("# bpf_get_current_uid_get() returns the UID", """\
program.c:6:4: error: '#' starts a preprocessor directive in C, and 'bpf_get_current_uid_get' is not one; comments are \
'// ...' or '/* ... */'
    6 |    # bpf_get_current_uid_get() returns the UID
      |    ^~~~~~~~~~~~~~~~~~~~~~~~~"""),
        ("uid = bpf_get_current_uid_get();", """\
program.c:6:10: error: the kernel has no helper 'bpf_get_current_uid_get'; did you mean 'bpf_get_current_uid_gid'?
    6 |    uid = bpf_get_current_uid_get();
      |          ^~~~~~~~~~~~~~~~~~~~~~~"""),
        ("countr++;", """\
program.c:6:4: error: 'countr' is not declared; did you mean 'counter'?
    6 |    countr++;
      |    ^~~~~~"""),
        ("data.pidd = 1;", """\
program.c:6:9: error: 'struct data_t' has no member 'pidd'; did you mean 'pid'?
    6 |    data.pidd = 1;
      |         ^~~~
program.c:2:1: note: 'struct data_t' is defined here
    2 | struct data_t { int pid; int uid; };
      | ^~~~~~"""),
        ("counter_table.lookup(uid);", """\
program.c:6:25: error: counter_table.lookup() wants a pointer to the key, 'u64 *', not 'u64' itself; write '&uid'
    6 |    counter_table.lookup(uid);
      |                         ^~~"""),
        ("counter_table.update(&uid, counter);", """\
program.c:6:31: error: counter_table.update() wants a pointer to the value, 'u64 *', not 'u64' itself; write '&counter'
    6 |    counter_table.update(&uid, counter);
      |                               ^~~~~~~"""),
        ("counter_table.increment(&uid);", """\
program.c:6:28: error: counter_table.increment() wants the key itself, 'u64', not a pointer 'u64 *'; write 'uid'
    6 |    counter_table.increment(&uid);
      |                            ^~~~"""),
        ("counter_table.update(&uid);", """\
program.c:6:4: error: too few arguments: counter_table.update(key, leaf)
    6 |    counter_table.update(&uid);
      |    ^~~~~~~~~~~~~~~~~~~~~~~~~~"""),
        ("counter_table.lokup(&uid);", """\
program.c:6:18: error: hash map 'counter_table' has no method 'lokup'; did you mean 'lookup'?
    6 |    counter_table.lokup(&uid);
      |                  ^~~~~"""),
        ("struct task_strct *t = 0; uid = t->pid;", """\
program.c:6:36: error: 'struct task_strct' is not defined, neither in this text nor in the kernel's BTF; did you mean 'task_struct'?
    6 |    struct task_strct *t = 0; uid = t->pid;
      |                                    ^~~~~~
program.c:6:4: note: it is only named here
    6 |    struct task_strct *t = 0; uid = t->pid;
      |    ^~~~~~"""),
        ("float f = 1.5;", """\
program.c:6:10: error: BPF has no floating point: use integers, for example in thousandths
    6 |    float f = 1.5;
      |          ^
program.c:6:14: error: BPF has no floating point: use integers, for example in thousandths
    6 |    float f = 1.5;
      |              ^~~"""),
        ("helper(1);", """\
program.c:6:4: error: function 'helper' is not declared; a BPF program can call only helpers and functions in this text
    6 |    helper(1);
      |    ^~~~~~"""),
        ("char big[600]; bpf_get_current_comm(big, sizeof(big));", """\
program.c:3:5: error: 'hello' needs 600 bytes of stack, and BPF has 512; keep large data in a BPF_PERCPU_ARRAY and use the \
pointer that lookup() gives
    3 | int hello(void *ctx) {
      |     ^~~~~
program.c:6:9: note: 'big' takes 600 bytes
    6 |    char big[600]; bpf_get_current_comm(big, sizeof(big));
      |         ^~~"""),
    ],
)  # fmt: skip
def test_text_of_an_error_inside_a_function(line: str, expected: str) -> None:
    assert errors_of(PROGRAM.format(line=line)) == expected


def test_every_slip_of_the_tail_call_program_is_reported_in_one_run() -> None:
    text = """\
int hello_execve(void *ctx){
    bpf_trace_printk("Executing a program);
    return 0;
}
int hello_timer(struct bpf_raw_tracepoint_args *ctx){
    if (ctx -> args[1] == 222){
        bpf_trace_printk("Creating a timer");
    } else {
        bpf_trace_printk("Some other timer operation")
    }
    return 0;
}
int ignore_opcode(void *ctx){
    return 0
}
"""
    assert errors_of(text) == """\
program.c:2:22: error: missing closing '"'
    2 |     bpf_trace_printk("Executing a program);
      |                      ^
program.c:9:54: error: missing ';' after the statement
    9 |         bpf_trace_printk("Some other timer operation")
      |                                                      ^
program.c:14:12: error: missing ';' after the return statement
   14 |     return 0
      |            ^"""  # fmt: skip


def test_slips_of_the_factorial_are_explained() -> None:
    text = """\
int factorial_helper(int n, acc){
    if (n == 0) return acc;
    return factorial_helper(n-1, n * acc);
}
static __always_inline void my_function(void *ctx, int val) { }
int factorial(int n){
    return factorial_helper(n, 1)
}
"""
    assert errors_of(text) == """\
program.c:1:29: error: parameter 'acc' has no type
    1 | int factorial_helper(int n, acc){
      |                             ^~~
program.c:7:33: error: missing ';' after the return statement
    7 |     return factorial_helper(n, 1)
      |                                 ^"""  # fmt: skip


def test_recursion_is_refused() -> None:
    text = "static int f(int n) { return n < 2 ? 1 : n * f(n - 1); }\nint hello(void *ctx) { return f(5); }\n"
    assert errors_of(text) == """\
program.c:2:31: error: 'f' calls itself, and BPF has no recursion; use a loop with a bound, or a tail call
    2 | int hello(void *ctx) { return f(5); }
      |                               ^~~~"""  # fmt: skip


def test_writing_to_kernel_memory_is_refused() -> None:
    text = """\
int hello(void *ctx) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    task->pid = 1;
    return 0;
}
"""
    assert errors_of(text) == """\
program.c:3:5: error: BPF cannot write through this pointer: it points to kernel memory; use a map or a copy on the stack
    3 |     task->pid = 1;
      |     ^~~~~~~~~~~~~"""  # fmt: skip
