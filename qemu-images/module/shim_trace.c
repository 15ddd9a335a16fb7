// SPDX-License-Identifier: GPL-2.0-only
/* Trace events of the system `resctrl`. */
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include "shim.h"

/*
 * A kernel whose own resctrl is built in has its trace events, too, whether
 * that resctrl is on or not. A second event of the same name could not be told
 * from the first by tracefs; so it is the kernel's that is fired, and clients
 * find it where they always did. Without it there is none.
 */
static struct tracepoint *limbo;

static void find_limbo(struct tracepoint *tracepoint, void *unused)
{
	if (!strcmp(tracepoint->name, "mon_llc_occupancy_limbo"))
		limbo = tracepoint;
}

void shim_trace_start(void)
{
	for_each_kernel_tracepoint(find_limbo, NULL);
}

/* What trace_mon_llc_occupancy_limbo() is; its probes are called as fs/resctrl/monitor_trace.h declares them. */
void shim_trace_limbo(u32 ctrl_hw_id, u32 mon_hw_id, s32 domain_id, u64 llc_occupancy_bytes)
{
	int (*probes)(void *data, u32 ctrl, u32 mon, int domain, u64 bytes);

	if (!limbo || !static_key_enabled(&limbo->key))
		return;
	probes = limbo->iterator;
	guard(srcu_fast_notrace)(&tracepoint_srcu);
	probes(NULL, ctrl_hw_id, mon_hw_id, domain_id, llc_occupancy_bytes);
}
