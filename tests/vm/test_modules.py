"""Programs on functions of kernel modules, with the modules' types. Needs a module with BTF (CONFIG_DEBUG_INFO_BTF_MODULES):

Debian's kernel in the VM has overlay: run-vm.sh 6.12 'PYTHONPATH=src python -m pytest tests/vm'
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skep import BPF
from skep.btf import kernel_btf, module_btfs
from skep.engine.kernel.relocations import find_kernel_type
from skep.errors import SkepError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not Path("/sys/kernel/btf/overlay").exists(), reason="the module overlay is not loaded here")


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Path]:
    """A folder in an overlay file system of the test's."""
    from ctypes import CDLL, get_errno

    libc = CDLL(None, use_errno=True)
    for name in ("lower", "upper", "work", "merged", "base"):
        (tmp_path / name).mkdir()
    base = str(tmp_path / "base").encode()
    assert libc.mount(b"tmpfs", base, b"tmpfs", 0, None) == 0, get_errno()
    for name in ("lower", "upper", "work"):
        (tmp_path / "base" / name).mkdir()
    options = b"lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work" % (base, base, base)
    merged = str(tmp_path / "merged").encode()
    assert libc.mount(b"overlay", merged, b"overlay", 0, options) == 0, get_errno()
    yield tmp_path / "merged"
    libc.umount2(merged, 2)
    libc.umount2(base, 2)


def test_a_modules_types_continue_the_kernels() -> None:
    base = kernel_btf()
    (btf,) = module_btfs("ovl_entry", only="overlay")
    assert (btf.first_id, btf.module) == (base.count, "overlay")
    id = btf.find("ovl_entry", "struct")
    assert id is not None
    assert id >= base.count
    assert btf.find("task_struct", "struct") == base.find("task_struct", "struct")
    assert btf.type(base.find("task_struct", "struct") or 0).name == "task_struct"
    assert find_kernel_type("ovl_mkdir", "func") is not None
    assert find_kernel_type("nosuchmodule:ovl_mkdir", "func") is None


@pytest.mark.parametrize("probe", ["MODULE_KFUNC_PROBE(overlay, ovl_mkdir", "KFUNC_PROBE(ovl_mkdir"])
def test_fentry_on_a_modules_function_reads_its_structs(overlay: Path, probe: str) -> None:
    text = f"""
    BPF_ARRAY(out, u64, 3);
    {probe}, struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode) {{
        struct ovl_inode *i = container_of(dir, struct ovl_inode, vfs_inode);
        int zero = 0, one = 1, two = 2;
        u64 pid = bpf_get_current_pid_tgid() >> 32, size = sizeof(struct ovl_inode), number = i->vfs_inode.i_ino;
        out.update(&zero, &pid); out.update(&one, &size); out.update(&two, &number);
        return 0;
    }}
    """
    with BPF(text=text) as b:
        if not b.links:
            b.attach_kfunc(fn_name=next(iter(b.object.programs)))
        (overlay / "made").mkdir()
        values = [b["out"][i].value for i in range(3)]
    (btf,) = module_btfs("ovl_inode", only="overlay")
    assert values == [os.getpid(), btf.size_of(btf.find("ovl_inode", "struct") or 0), overlay.stat().st_ino]


def test_a_module_that_is_not_loaded_is_named() -> None:
    with pytest.raises(SkepError, match="nosuch"), BPF(text="MODULE_KFUNC_PROBE(nosuch, f) { return 0; }") as b:
        b.attach_kfunc(fn_name="kfunc__nosuch__f")
