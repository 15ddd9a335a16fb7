// SPDX-License-Identifier: GPL-2.0-only
/* CPUs: topology, caches, hotplug, running elsewhere. */
#include <linux/cacheinfo.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/device.h>
#include <linux/lockdep.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/tick.h>
#include <linux/topology.h>
#include "shim.h"

u32 shim_nr_cpu_ids(void)
{
	return nr_cpu_ids;
}

bool shim_cpu_is_isolated(u32 cpu)
{
	return tick_nohz_full_cpu(cpu);
}

struct cache_search {
	u32 level;
	const struct cacheinfo *found;
};

static int is_cache_of_level(struct device *index, void *data)
{
	struct cache_search *search = data;
	const struct cacheinfo *leaf = dev_get_drvdata(index);

	if (!leaf || leaf->level != search->level || !(leaf->attributes & CACHE_ID))
		return 0;
	search->found = leaf;
	return 1;
}

/*
 * get_cpu_cacheinfo() is not exported. The same leaves hang on the devices
 * behind /sys/devices/system/cpu/cpuN/cache/indexM, which exist while the CPU
 * is online.
 */
static const struct cacheinfo *find_cache(u32 cpu, u32 level)
{
	struct cache_search search = { .level = level };
	struct device *cpu_device = get_cpu_device(cpu);
	struct device *caches;

	if (!cpu_device)
		return NULL;
	caches = device_find_child_by_name(cpu_device, "cache");
	if (!caches)
		return NULL;
	device_for_each_child(caches, &search, is_cache_of_level);
	put_device(caches);
	return search.found;
}

bool shim_cpu_cache(u32 cpu, u32 level, struct shim_cache *cache)
{
	const struct cacheinfo *found = find_cache(cpu, level);

	if (found) {
		cache->id = found->id;
		cache->size = found->size;
	}
	return found;
}

u32 shim_cpu_cache_line(u32 cpu, u32 level)
{
	const struct cacheinfo *found = find_cache(cpu, level);

	return found ? found->coherency_line_size : 0;
}

int shim_cpu_node(u32 cpu)
{
	return cpu_to_node(cpu);
}

int shim_cpu_package(u32 cpu)
{
	return topology_physical_package_id(cpu);
}

u32 shim_likely_here(void)
{
	return raw_smp_processor_id();
}

static int call_on(void *closure)
{
	rust_call_on(raw_smp_processor_id(), closure);
	return 0;
}

/* A thread that may not be moved is bound to where it is: it needs no other thread there. */
int shim_call_on(u32 cpu, void *closure)
{
	migrate_disable();
	if (cpu == raw_smp_processor_id()) {
		rust_call_on(cpu, closure);
		migrate_enable();
		return 0;
	}
	migrate_enable();
	return smp_call_on_cpu(cpu, call_on, closure, false);
}

static void interrupt(void *closure)
{
	lockdep_assert_irqs_disabled();
	rust_interrupt(raw_smp_processor_id(), closure);
}

int shim_interrupt(u32 cpu, void *closure)
{
	return smp_call_function_single(cpu, interrupt, closure, true);
}

struct mask_call {
	const u64 *words;
	u32 bits;
	void *closure;
};

static bool is_in_mask(int cpu, void *data)
{
	const struct mask_call *call = data;

	return cpu < call->bits && (call->words[cpu / 64] >> (cpu % 64) & 1);
}

static void interrupt_in_mask(void *data)
{
	const struct mask_call *call = data;

	lockdep_assert_irqs_disabled();
	rust_interrupt_mask(raw_smp_processor_id(), call->closure);
}

/* A condition instead of a mask: a struct cpumask may be longer than nr_cpu_ids, and copying could fail. */
void shim_interrupt_mask(const u64 *words, u32 bits, void *closure)
{
	struct mask_call call = { words, bits, closure };

	on_each_cpu_cond(is_in_mask, interrupt_in_mask, &call, true);
}

static int cpu_online_callback(unsigned int cpu)
{
	int err = shim_arch_cpu_online(cpu);

	if (err)
		return err;
	err = rust_cpu_online(cpu);
	if (err)
		shim_arch_cpu_offline(cpu);
	return err;
}

static int cpu_offline_callback(unsigned int cpu)
{
	if (shim_system_sleeps())
		rust_cpu_suspend(cpu);
	else
		rust_cpu_offline(cpu);
	shim_arch_cpu_offline(cpu);
	return 0;
}

/* 0: not registered. */
static enum cpuhp_state hotplug_state;

int shim_hotplug_start(void)
{
	int state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "resctrl:online",
				      cpu_online_callback, cpu_offline_callback);

	if (state < 0)
		return state;
	hotplug_state = state;
	return 0;
}

void shim_hotplug_stop(void)
{
	if (hotplug_state)
		cpuhp_remove_state(hotplug_state);
	hotplug_state = 0;
}
