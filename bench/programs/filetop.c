/* Reads and writes by file and thread: a large key, several counters, the first path component. */
#include "bench.h"
enum op { READ, WRITE };

struct file_id {
	u64 inode;
	u32 dev, rdev, pid, tid;
};
struct file_stat {
	u64 reads, read_bytes, writes, write_bytes;
	u32 pid, tid;
	char filename[64];
	char comm[16];
	char type;
};

const volatile int target_pid = 0;
static struct file_stat zero_value = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct file_id);
	__type(value, struct file_stat);
} entries SEC(".maps");

static __always_inline int entry(struct pt_regs *ctx, u64 inode, const char *name, size_t count, enum op op)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 pid = pid_tgid >> 32;
	u32 tid = (u32)pid_tgid;
	struct file_id key = {};
	struct file_stat *value;

	if (target_pid && target_pid != pid)
		return 0;
	key.dev = inode >> 40;
	key.rdev = 0;
	key.inode = inode;
	key.pid = pid;
	key.tid = tid;
	value = bpf_map_lookup_elem(&entries, &key);
	if (!value) {
		bpf_map_update_elem(&entries, &key, &zero_value, BPF_ANY);
		value = bpf_map_lookup_elem(&entries, &key);
		if (!value)
			return 0;
		value->pid = pid;
		value->tid = tid;
		bpf_get_current_comm(&value->comm, sizeof(value->comm));
		bpf_probe_read_kernel_str(&value->filename, sizeof(value->filename), name);
		if (value->filename[0] == '/')
			value->type = 'R';
		else if (value->filename[0] == '[')
			value->type = 'S';
		else
			value->type = 'O';
	}
	if (op == READ) {
		value->reads++;
		value->read_bytes += count;
	} else {
		value->writes++;
		value->write_bytes += count;
	}
	return 0;
}

SEC("kprobe/vfs_read")
int vfs_read(struct pt_regs *ctx)
{
	return entry(ctx, PT_REGS_PARM1(ctx), (const char *)PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), READ);
}

SEC("kprobe/vfs_write")
int vfs_write(struct pt_regs *ctx)
{
	return entry(ctx, PT_REGS_PARM1(ctx), (const char *)PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), WRITE);
}
