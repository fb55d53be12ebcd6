"""BCC's `bcc.containers`: C text that says whether the current task is in the containers that pinned maps list."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Keys of the sets: cgroup ids; inode numbers of mount namespaces. The kernel's BTF knows struct mnt_namespace, so a tool
# must not bring a definition of its own (mountsnoop looks at MNT_NAMESPACE_DEFINED).
_CGROUP = """
BPF_TABLE_PINNED("hash", u64, u64, skep_cgroups, 1024, "%s");
static inline int skep_other_cgroup(void)
{
    u64 id = bpf_get_current_cgroup_id();
    return !skep_cgroups.lookup(&id);
}
"""
_MOUNTS = """
#define MNT_NAMESPACE_DEFINED
BPF_TABLE_PINNED("hash", u64, u32, skep_mount_namespaces, 1024, "%s");
static inline int skep_other_mounts(void)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    u64 id = task->nsproxy->mnt_ns->ns.inum;
    return !skep_mount_namespaces.lookup(&id);
}
"""
_FILTER = """
static inline int container_should_be_filtered(void)
{
    return %s;
}
"""


def filter_by_containers(args: Any) -> str:
    """A C function `container_should_be_filtered()`, for pinned maps at `args.cgroupmap` and `args.mntnsmap` (or None)."""
    text, conditions = "", []
    for path, definitions, condition in (
        (args.cgroupmap, _CGROUP, "skep_other_cgroup()"),
        (args.mntnsmap, _MOUNTS, "skep_other_mounts()"),
    ):
        if path:
            text += definitions % path
            conditions.append(condition)
    return text + _FILTER % (" || ".join(conditions) or "0")
