// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system's sleep: suspend and hibernation.
 *
 * Tasks and freezable workqueues are frozen before a device is told to
 * prepare, and go on after it has been told that all is complete. In between
 * every CPU but one goes offline and comes back by the hotplug callbacks; the
 * one that is left is told with interrupts off.
 */
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include "shim.h"

/* Only changes while tasks are frozen, and so is nobody's business but of those who run then. */
static bool asleep;

bool shim_system_sleeps(void)
{
	return asleep;
}

static int on_last_suspend(void *unused)
{
	return rust_last_cpu_suspend(raw_smp_processor_id()) ? 0 : -EBUSY;
}

static void on_first_resume(void *unused)
{
	rust_first_cpu_resume(raw_smp_processor_id());
}

static const struct syscore_ops syscore_ops = {
	.suspend = on_last_suspend,
	.resume = on_first_resume,
};

static struct syscore syscore = { .ops = &syscore_ops };

static int on_prepare(struct device *dev)
{
	asleep = true;
	return 0;
}

static void on_complete(struct device *dev)
{
	rust_system_resumed();
	asleep = false;
}

static const struct dev_pm_ops pm_ops = {
	.prepare = on_prepare,
	.complete = on_complete,
};

/* No hardware: a place among the devices, which are told of sleep. */
static struct platform_driver driver = {
	.driver = { .name = "resctrl", .pm = &pm_ops },
};

static int __init probe(struct platform_device *unused)
{
	return 0;
}

static struct platform_device *device;

int __init shim_power_start(void)
{
	device = platform_create_bundle(&driver, probe, NULL, 0, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	register_syscore(&syscore);
	return 0;
}

void shim_power_stop(void)
{
	unregister_syscore(&syscore);
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
}
