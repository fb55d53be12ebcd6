// The length of a name that is kept inside its dentry; the member was renamed in Linux 6.14.
#pragma once
#include <linux/list.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define DNAME_INLINE_LEN sizeof(((struct dentry *)0)->d_shortname)
#else
#define DNAME_INLINE_LEN sizeof(((struct dentry *)0)->d_iname)
#endif
