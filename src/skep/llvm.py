"""The one place that uses llvmlite: LLVM IR text to an object, in a process of its own.

LLVM ends its process on some errors and keeps its memory; a worker keeps both away from the user's process, and it
loads LLVM while the front end still reads the program. Run as a script it is that worker, or serves `skep.llvm_server`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any


class Worker:
    """A process that compiles one module; `finish` hands it the text and gives (result, messages).

    `what` is "object", "asm", "ir" or "run" (a host module's main is called with `arguments`, its result is the status).
    "jit" is an object for this very processor from several modules, separated by NUL; of their functions only `entry` is kept.
    """

    def __init__(self, target: str, what: str = "object", level: int = 2, arguments: tuple[str, ...] = ()) -> None:
        from skep.interrupts import Uninterrupted  # not at the top: as a script this file knows no package

        with Uninterrupted():
            self._start(target, what, level, arguments)

    def _start(self, target: str, what: str, level: int, arguments: tuple[str, ...]) -> None:
        import subprocess

        text_out, self._text = os.pipe()
        self._result, result_in = os.pipe()
        interactive = what == "run"
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # not -I: it would hide packages of `pip install --user` and of PYTHONPATH
                    os.path.abspath(__file__),
                    str(text_out),
                    str(result_in),
                    target,
                    what,
                    str(level),
                    *arguments,
                ],
                pass_fds=(text_out, result_in),
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=None if interactive else subprocess.DEVNULL,
                stderr=None if interactive else subprocess.PIPE,
            )
        except OSError:
            self._close()
            raise
        finally:
            os.close(text_out)
            os.close(result_in)

    def _close(self, names: tuple[str, ...] = ("_text", "_result")) -> None:
        from skep.interrupts import Uninterrupted

        with Uninterrupted():  # an fd that is closed and not forgotten would be closed again, and be another's by then
            for name in names:
                fd = getattr(self, name)
                if fd >= 0:
                    os.close(fd)
                    setattr(self, name, -1)

    def finish(self, text: str) -> tuple[bytes, str, int]:
        """Compile; gives (result, LLVM's messages, exit status)."""
        try:
            data = memoryview(text.encode())
            try:
                while data:
                    data = data[os.write(self._text, data) :]
            except BrokenPipeError:
                pass  # the worker is gone; its messages say why
            self._close(("_text",))
            parts = []
            while part := os.read(self._result, 1 << 20):
                parts.append(part)
            messages = self.process.stderr.read().decode("utf-8", "replace") if self.process.stderr else ""
            return b"".join(parts), messages, self.process.wait()
        finally:
            self.close()

    def close(self) -> None:
        """End the worker, also when it was never given its text."""
        self._close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "process"):
            self.close()


_LOADED: list[Any] = []


def _load() -> Any:
    """LLVM, ready to make code; its options can be set only once in a process."""
    if not _LOADED:
        import llvmlite.binding as llvm

        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        llvm.initialize_native_asmparser()
        # BPF's own limit is checked by us, with the source line; LLVM's would end the process
        llvm.set_option("skep", "-bpf-stack-size=1048576")
        _LOADED.append(llvm)
    return _LOADED[0]


def processor_machine(llvm: Any, level: int) -> Any:
    """What makes code for this very processor, to be linked by `skep.native`."""
    features = llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=level, reloc="pic", codemodel="small"
    )


def _work(text_fd: int, result_fd: int, target: str, what: str, level: int, arguments: list[str]) -> int:
    import signal

    # they came blocked; Ctrl-C is for the parent, whose end or kill() ends this process, and for a program that runs here
    signal.pthread_sigmask(signal.SIG_SETMASK, () if what == "run" else (signal.SIGINT,))
    llvm = _load()
    if target == "bpf":
        machine = llvm.Target.from_triple("bpf").create_target_machine(cpu="v3", opt=level)
    elif what == "jit":
        machine = processor_machine(llvm, level)
    else:
        run = what == "run"
        machine = llvm.Target.from_default_triple().create_target_machine(
            opt=level, reloc="pic", codemodel="jitdefault" if run else "small", jit=run
        )
    parts = []
    while part := os.read(text_fd, 1 << 20):
        parts.append(part)
    text = b"".join(parts).decode()
    if not text:
        return 0  # the front end found errors
    head = f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.target_data}"\n'
    module, *others = [llvm.parse_assembly(head + part) for part in text.split("\0")]
    for other in others:
        module.link_in(other)
    module.verify()
    if what == "jit":
        for function in module.functions:
            if not function.is_declaration and function.name != "entry":
                function.linkage = "internal"
    if level:
        options = llvm.create_pipeline_tuning_options(level)
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
    elif target == "bpf":
        manager = llvm.create_new_module_pass_manager()
        manager.add_always_inliner_pass()
        manager.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(0)))
    if what == "run":
        return _run(llvm, module, machine, arguments)
    if what in ("object", "jit"):
        result = machine.emit_object(module)
    else:
        result = (str(module) if what == "ir" else machine.emit_assembly(module)).encode()
    data = memoryview(result)
    while data:
        data = data[os.write(result_fd, data) :]
    return 0


def _run(llvm: Any, module: Any, machine: Any, arguments: list[str]) -> int:
    import ctypes

    for library in ("libgcc_s.so.1", "libm.so.6"):  # 128-bit arithmetic calls functions of libgcc's
        try:
            llvm.load_library_permanently(library)
        except RuntimeError:
            pass  # only programs that need it will miss it
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    engine.run_static_constructors()
    address = engine.get_function_address("main")
    if not address:
        print("skep: error: --run: the program has no main()", file=sys.stderr)
        return 1
    main = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))(address)
    values = [a.encode("utf-8", "surrogateescape") for a in arguments]
    status: int = main(len(values), (ctypes.c_char_p * (len(values) + 1))(*values, None))
    libc = ctypes.CDLL(None)
    libc.exit(status & 0xFF)  # runs atexit handlers and flushes stdio, as returning from main does
    return status


def _serve(fd: int, patience: float) -> None:
    """Fork a worker for each request, until the other end of the socket is closed or nothing comes for `patience` seconds.

    The first word to the other side is this process's number.
    """
    if os.fork():
        os._exit(0)
    import select
    import signal
    import socket

    signal.pthread_sigmask(signal.SIG_SETMASK, (signal.SIGINT,))
    _load()
    control = socket.socket(fileno=fd)
    control.sendall(os.getpid().to_bytes(4, "little"))
    while select.select([control], [], [], patience)[0]:
        request, fds, _, _ = socket.recv_fds(control, 256, 3)
        if not request:
            return
        worker = os.fork()
        if not worker:
            control.close()
            os.dup2(fds[2], 2)
            target, what, level = request.decode().split()
            status = 1
            try:
                status = _work(fds[0], fds[1], target, what, int(level), [])
            except Exception:
                sys.excepthook(*sys.exc_info())  # the messages that the other side reads
            finally:
                os._exit(status)
        for given in fds:
            os.close(given)
        ended = os.pidfd_open(worker)
        gone = fd in select.select([fd, ended], [], [])[0]
        os.close(ended)
        if gone:  # nothing is asked before the answer: the other side has closed
            os.kill(worker, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        if gone:
            return
        control.sendall(status.to_bytes(4, "little", signed=True))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]), float(sys.argv[3]))
    else:
        ended = _work(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6:])
        sys.stderr.flush()
        os._exit(ended)  # taking LLVM down in order takes 8 ms
