// Registers are read by PT_REGS_PARM1(ctx) and its kin, which are always there.
#pragma once
#include <linux/errno.h>
#include <asm/page.h>
