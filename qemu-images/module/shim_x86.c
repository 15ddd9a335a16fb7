// SPDX-License-Identifier: GPL-2.0-only
/* x86: the processor's registers, the ids of a task, the parameter rdt=. */
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/topology.h>
#include <linux/tracepoint-defs.h>
#include <asm/cpuid/api.h>
#include <asm/extable.h>
#include <asm/msr.h>
#include "shim.h"

#ifndef CONFIG_X86_CPU_RESCTRL
#error "this kernel's tasks have no room for a CLOSID and an RMID (CONFIG_X86_CPU_RESCTRL)"
#endif

/* The kernel's own parameter rdt= is not passed to modules. */
static char *rdt;
module_param(rdt, charp, 0444);
MODULE_PARM_DESC(rdt, "features to turn off (!name) or, against a quirk, on (name), between commas: cmt mbmtotal mbmlocal l3cat l3cdp l2cat l2cdp mba energy[:guid] perf[:guid]");

const char *shim_rdt_parameter(void)
{
	return rdt;
}

u32 shim_nodes_per_package(void)
{
	return topology_num_nodes_per_package();
}

u32 shim_max_packages(void)
{
	return topology_max_packages();
}

void shim_cpuid(u32 leaf, u32 subleaf, struct shim_cpuid *out)
{
	cpuid_count(leaf, subleaf, &out->eax, &out->ebx, &out->ecx, &out->edx);
}

int shim_rdmsr(u32 msr, u64 *value)
{
	return rdmsrq_safe(msr, value);
}

int shim_wrmsr(u32 msr, u64 value)
{
	return wrmsrq_safe(msr, value);
}

/* What write_msr() of registers.rs relies on: an entry of the table of faults, and where it is said that somebody traces. */
static_assert(EX_TYPE_DEFAULT == 1);
static_assert(sizeof(struct exception_table_entry) == 3 * sizeof(int));
static_assert(offsetof(struct static_key, enabled) == 0);

const s32 *shim_wrmsr_traced(void)
{
#ifdef CONFIG_TRACEPOINTS
	return (const s32 *)&__tracepoint_write_msr.key;
#else
	static const s32 never;

	return &never;
#endif
}
