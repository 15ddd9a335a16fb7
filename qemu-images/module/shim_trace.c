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
 *
 * The tracepoints are not exported; the list of all of them is.
 */
enum event { LIMBO, LATENCY, L2_RESIDENCY, L3_RESIDENCY, EVENTS };

static const char *const names[EVENTS] = {
	[LIMBO] = "mon_llc_occupancy_limbo",
	[LATENCY] = "pseudo_lock_mem_latency",
	[L2_RESIDENCY] = "pseudo_lock_l2",
	[L3_RESIDENCY] = "pseudo_lock_l3",
};

static struct tracepoint *tracepoints[EVENTS];

static void find(struct tracepoint *tracepoint, void *unused)
{
	for (enum event event = 0; event < EVENTS; event++)
		if (!strcmp(tracepoint->name, names[event]))
			tracepoints[event] = tracepoint;
}

void shim_trace_start(void)
{
	for_each_kernel_tracepoint(find, NULL);
}

/* What calls the probes of an event, as the kernel's own trace_*() does; NULL where nobody traces it. */
static void *probes_of(enum event event)
{
	const struct tracepoint *tracepoint = tracepoints[event];

	return tracepoint && static_key_enabled(&tracepoint->key) ? tracepoint->iterator : NULL;
}

/* The arguments are those that fs/resctrl/monitor_trace.h and arch/x86/kernel/cpu/resctrl/pseudo_lock_trace.h declare. */

void shim_trace_limbo(u32 ctrl_hw_id, u32 mon_hw_id, s32 domain_id, u64 llc_occupancy_bytes)
{
	int (*probes)(void *data, u32 ctrl, u32 mon, int domain, u64 bytes) = probes_of(LIMBO);

	if (!probes)
		return;
	guard(srcu_fast_notrace)(&tracepoint_srcu);
	probes(NULL, ctrl_hw_id, mon_hw_id, domain_id, llc_occupancy_bytes);
}

void shim_trace_latency(u32 cycles)
{
	int (*probes)(void *data, u32 cycles) = probes_of(LATENCY);

	if (!probes)
		return;
	guard(srcu_fast_notrace)(&tracepoint_srcu);
	probes(NULL, cycles);
}

void shim_trace_residency(u32 level, u64 hits, u64 misses)
{
	int (*probes)(void *data, u64 hits, u64 misses) = probes_of(level == 2 ? L2_RESIDENCY : L3_RESIDENCY);

	if (!probes)
		return;
	guard(srcu_fast_notrace)(&tracepoint_srcu);
	probes(NULL, hits, misses);
}
