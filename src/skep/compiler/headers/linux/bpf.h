// Types and constants are the kernel's BTF's.
#pragma once
#include <linux/errno.h>
