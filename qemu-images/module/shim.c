// SPDX-License-Identifier: GPL-2.0-only
/*
 * resctrl.ko: start and end, memory, log, time.
 *
 * The files shim*.c only wrap what Rust cannot reach itself: macros, inline
 * functions, structures of the kernel. Decisions are made in Rust.
 */
#define pr_fmt(fmt) "resctrl: " fmt

#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include "shim.h"

void *shim_realloc(void *old, size_t size, size_t align)
{
	return kvrealloc_node_align(old, ALIGN(size, align), align, GFP_KERNEL, NUMA_NO_NODE);
}

void shim_free(const void *memory)
{
	kvfree(memory);
}

void shim_log(u32 level, const char *text, size_t len)
{
	if (level == SHIM_LOG_WARN)
		pr_warn("%.*s\n", (int)len, text);
	else
		pr_info("%.*s\n", (int)len, text);
}

void __noreturn shim_bug(const char *text, size_t len)
{
	pr_emerg("%.*s\n", (int)len, text);
	BUG();
}

void shim_sleep_ms(u32 ms)
{
	msleep(ms);
}

void shim_now(s64 *sec, u32 *nsec)
{
	struct timespec64 now;

	ktime_get_real_ts64(&now);
	*sec = now.tv_sec;
	*nsec = now.tv_nsec;
}

/* Looks before anything is touched: sysfs would answer a second mount point with a stack dump. */
static int claim_name(void)
{
	struct kernfs_node *taken = kernfs_find_and_get(fs_kobj->sd, "resctrl");

	if (!taken)
		return 0;
	kernfs_put(taken);
	pr_err("the kernel's own resctrl is active; boot with " SHIM_RESCTRL_OFF " to use this module\n");
	return -EBUSY;
}

/* What users and CPUs reach. It may end before the module does. */
static DEFINE_MUTEX(service_lock);
static bool ended;

static int start_service(void)
{
	int err;

	mutex_lock(&service_lock);
	/* The hardware may have failed before it was used. */
	err = ended ? -ENODEV : shim_hotplug_start();
	if (!err)
		err = shim_vfs_start();
	if (err)
		shim_hotplug_stop();
	mutex_unlock(&service_lock);
	return err;
}

void shim_end_service(void)
{
	mutex_lock(&service_lock);
	ended = true;
	shim_vfs_disable();
	shim_hotplug_stop();
	mutex_unlock(&service_lock);
}

static int __init resctrl_module_init(void)
{
	int err = claim_name();

	if (!err)
		err = shim_arch_check();
	if (err)
		return err;
	err = shim_workqueue_start();
	if (err)
		return err;
	shim_trace_start();
	err = rust_start();
	if (err)
		goto stop_workqueue;
	err = shim_arch_start();
	if (err)
		goto stop_rust;
	err = shim_power_start();
	if (err)
		goto stop_arch;
	err = start_service();
	if (err)
		goto stop_power;
	return 0;

stop_power:
	shim_power_stop();
stop_arch:
	shim_arch_stop();
stop_rust:
	rust_stop();
stop_workqueue:
	shim_workqueue_stop();
	return err;
}

static void __exit resctrl_module_exit(void)
{
	shim_end_service();
	shim_power_stop();
	shim_vfs_stop();
	shim_sched_stop();
	shim_arch_stop();
	rust_stop();
	shim_workqueue_stop();
}

module_init(resctrl_module_init);
module_exit(resctrl_module_exit);

/* The version comes from Cargo: src/lib.rs. */
MODULE_DESCRIPTION("Shares caches and memory bandwidth out between tasks (resctrl in Rust)");
MODULE_AUTHOR("The resctrl project");
MODULE_LICENSE("GPL");
MODULE_ALIAS_FS("resctrl");
