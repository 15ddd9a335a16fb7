/* SPDX-License-Identifier: GPL-2.0-only */
/* What the shim has on x86 only. Included by shim.h. */
#ifndef RESCTRL_SHIM_X86_H
#define RESCTRL_SHIM_X86_H

#include <linux/types.h>

/* The boot argument that keeps the kernel's own resctrl off. */
#define SHIM_RESCTRL_OFF "initcall_blacklist=resctrl_arch_late_init"

struct task_struct;

struct shim_cpuid {
	u32 eax, ebx, ecx, edx;
};

const char *shim_rdt_parameter(void);
void shim_cpuid(u32 leaf, u32 subleaf, struct shim_cpuid *out);
int shim_rdmsr(u32 msr, u64 *value);
int shim_wrmsr(u32 msr, u64 value);

/* There are no other devices than the processors. */
static inline int shim_arch_check(void) { return 0; }
static inline int shim_arch_start(void) { return 0; }
static inline void shim_arch_stop(void) { }
static inline int shim_arch_cpu_online(unsigned int cpu) { return 0; }
static inline void shim_arch_cpu_offline(unsigned int cpu) { }

#endif
