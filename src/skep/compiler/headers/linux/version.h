// LINUX_VERSION_CODE and KERNEL_VERSION are always there: Skep takes them from the running kernel.
#pragma once
