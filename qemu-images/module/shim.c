// SPDX-License-Identifier: GPL-2.0-only
/*
 * resctrl.ko: start and end, memory, log, time.
 *
 * The files shim*.c only wrap what Rust cannot reach itself: macros, inline
 * functions, structures of the kernel. Decisions are made in Rust.
 */
#define pr_fmt(fmt) "resctrl: " fmt

#include <linux/delay.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/module.h>
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

/* The kernel's own parameter rdt= is not passed to modules. */
static char *rdt;
module_param(rdt, charp, 0444);
MODULE_PARM_DESC(rdt, "features to turn off (!name) or, against a quirk, on (name), between commas: cmt mbmtotal mbmlocal l3cat l3cdp l2cat l2cdp mba");

const char *shim_rdt_parameter(void)
{
	return rdt;
}

/* Looks before anything is touched: sysfs would answer a second mount point with a stack dump. */
static int claim_name(void)
{
	struct kernfs_node *taken = kernfs_find_and_get(fs_kobj->sd, "resctrl");

	if (!taken)
		return 0;
	kernfs_put(taken);
	pr_err("the kernel's own resctrl is active; boot with initcall_blacklist=resctrl_arch_late_init to use this module\n");
	return -EBUSY;
}

static int __init resctrl_module_init(void)
{
	int err = claim_name();

	if (err)
		return err;
	err = shim_workqueue_start();
	if (err)
		return err;
	err = rust_start();
	if (err)
		goto stop_workqueue;
	err = shim_hotplug_start();
	if (err)
		goto stop_rust;
	err = shim_vfs_start();
	if (err)
		goto stop_hotplug;
	return 0;

stop_hotplug:
	shim_hotplug_stop();
stop_rust:
	rust_stop();
stop_workqueue:
	shim_workqueue_stop();
	return err;
}

static void __exit resctrl_module_exit(void)
{
	shim_vfs_stop();
	shim_hotplug_stop();
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
