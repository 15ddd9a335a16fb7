// SPDX-License-Identifier: GPL-2.0-only
/*
 * arm64: firmware tables, MSCs, the registers of FEAT_MPAM, interrupts.
 *
 * The kernel must have been told to leave MPAM alone (arm64.nompam); then it
 * hides MPAM from all who ask it, so the processor itself is asked. A kernel
 * that runs at EL2 has left EL2's MPAM registers as it found them, and does
 * not write the labels of guests (MPAM1_EL12); that is done here. One that
 * started at EL2 and runs at EL1 (kvm-arm.mode=nvhe or protected) cannot do
 * that any more, nor can it be told from one in a virtual machine.
 */
#define pr_fmt(fmt) "resctrl: " fmt

#include <linux/acpi.h>
#include <linux/arm-smccc.h>
#include <linux/cpu_pm.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/moduleparam.h>
#include <linux/numa.h>
#include <linux/percpu.h>
#include <linux/platform_device.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <asm/cpufeature.h>
#include <asm/cputype.h>
#include <asm/sysreg.h>
#include <asm/virt.h>
#include "shim.h"

#ifndef CONFIG_ARM64_MPAM
#error "this kernel's tasks have no room for a PARTID and a PMG (CONFIG_ARM64_MPAM)"
#endif

static bool expert;
module_param(expert, bool, 0444);
MODULE_PARM_DESC(expert, "allow CDP, which devices that only know one PARTID a group do not expect");

bool shim_expert_parameter(void)
{
	return expert;
}

/* ---- May it be used? ---- */

/* As the processor says it, not as the kernel shows it. */
static bool cpu_has_mpam(void)
{
	return id_aa64pfr0_mpam(read_cpuid(ID_AA64PFR0_EL1)) ||
	       id_aa64pfr1_mpamfrac(read_cpuid(ID_AA64PFR1_EL1));
}

enum mpam_state { MPAM_READY, MPAM_ABSENT, MPAM_OFF };

static enum mpam_state mpam_state(void)
{
	if (!cpu_has_mpam())
		return MPAM_ABSENT;
	return read_sysreg_s(SYS_MPAM1_EL1) & MPAM1_EL1_MPAMEN ? MPAM_READY : MPAM_OFF;
}

static const char *const why_not[] = {
	[MPAM_ABSENT] = "a processor has no MPAM",
	[MPAM_OFF] = "the firmware has not turned MPAM on",
};

static void note_mpam_state(void *worst)
{
	enum mpam_state state = mpam_state();

	if (state != MPAM_READY)
		WRITE_ONCE(*(int *)worst, state);
}

static int is_msc_device(struct device *dev, const void *unused)
{
	return strstarts(dev_name(dev), "mpam_msc.");
}

int shim_arch_check(void)
{
	struct device *driven = bus_find_device(&platform_bus_type, NULL, NULL, is_msc_device);
	int worst = MPAM_READY;

	if (driven) {
		put_device(driven);
		pr_err("the kernel's own MPAM driver is active; boot with " SHIM_RESCTRL_OFF " to use this module\n");
		return -EBUSY;
	}
	on_each_cpu(note_mpam_state, &worst, true);
	if (worst != MPAM_READY) {
		pr_err("%s\n", why_not[worst]);
		return -ENODEV;
	}
	if (acpi_disabled) {
		pr_err("without ACPI nothing says where the MSCs are\n");
		return -ENODEV;
	}
	if (!is_kernel_in_hyp_mode())
		pr_info("the kernel runs at EL1: a hypervisor at EL2, also its own KVM's, keeps the labels it has, and its guests can choose theirs\n");
	return 0;
}

/* ---- Firmware ---- */

const void *shim_acpi_table(const char *signature, u32 *length)
{
	struct acpi_table_header *table;

	if (ACPI_FAILURE(acpi_get_table((char *)signature, 0, &table)))
		return NULL;
	*length = table->length;
	return table;
}

void shim_acpi_table_put(const void *table)
{
	acpi_put_table((struct acpi_table_header *)table);
}

int shim_cpu_of_processor(u32 uid)
{
	unsigned int cpu;
	u32 known;

	for_each_possible_cpu(cpu)
		if (!acpi_get_cpu_uid(cpu, &known) && known == uid)
			return cpu;
	return -1;
}

/* MSCs say which node they are of; nobody counts. */
u32 shim_nodes_per_package(void)
{
	return 1;
}

/* Nor of packages. */
u32 shim_max_packages(void)
{
	return 1;
}

int shim_node_of_proximity(u64 domain)
{
	return domain > S32_MAX ? NUMA_NO_NODE : pxm_to_node(domain);
}

/* ---- MSCs ---- */

struct shim_msc *shim_msc_map(u64 address, u32 size)
{
	return (__force struct shim_msc *)ioremap(address, size);
}

void shim_msc_unmap(struct shim_msc *page)
{
	iounmap((__force void __iomem *)page);
}

u32 shim_msc_read(struct shim_msc *page, u32 offset)
{
	return readl_relaxed((__force void __iomem *)page + offset);
}

void shim_msc_write(struct shim_msc *page, u32 offset, u32 value)
{
	writel_relaxed(value, (__force void __iomem *)page + offset);
}

/* ---- The chip ---- */

/* The kernel has asked as well, but does not tell modules. */
s32 shim_soc_id(void)
{
	struct arm_smccc_res res;

	if (arm_smccc_1_1_get_conduit() == SMCCC_CONDUIT_NONE)
		return SMCCC_RET_NOT_SUPPORTED;
	arm_smccc_1_1_invoke(ARM_SMCCC_ARCH_FEATURES_FUNC_ID, ARM_SMCCC_ARCH_SOC_ID, &res);
	if ((s32)res.a0 < 0)
		return SMCCC_RET_NOT_SUPPORTED;
	arm_smccc_1_1_invoke(ARM_SMCCC_ARCH_SOC_ID, 0, &res);
	return res.a0;
}

u64 shim_msc_read64(struct shim_msc *page, u32 offset)
{
	return readq_relaxed((__force void __iomem *)page + offset);
}

void shim_msc_write64(struct shim_msc *page, u32 offset, u64 value)
{
	writeq_relaxed(value, (__force void __iomem *)page + offset);
}

/* ---- The processor ---- */

bool shim_has_streaming(void)
{
	return system_supports_sme();
}

bool shim_has_guests(void)
{
	return is_kernel_in_hyp_mode();
}

void shim_wait_us(u32 us)
{
	fsleep(us);
}

/* ---- Error interrupts ---- */

/* The hardware failed: ends all use of it. In a thread of its own; interrupts cannot wait. */
static void shutdown_work(struct work_struct *unused)
{
	/* In one piece with respect to commands; what comes afterwards finds that all is over. */
	rust_shutdown();
	shim_end_service();
}
static DECLARE_WORK(shutdown, shutdown_work);

struct watched {
	struct list_head list;
	u32 gsi;
	unsigned int irq;
	/* The GSI again, for each CPU; for an interrupt that is private to each. */
	u32 __percpu *private;
};

/* Changes only while this module does not hear of CPUs. */
static LIST_HEAD(watched);

static irqreturn_t handled(bool ends)
{
	if (!ends)
		return IRQ_NONE;
	schedule_work(&shutdown);
	return IRQ_HANDLED;
}

/*
 * A thread on every kernel. PREEMPT_RT would make one of a handler in any case,
 * and run it with interrupts on. It may be moved, but not while Rust works.
 */
static irqreturn_t shared_interrupt(int irq, void *data)
{
	const struct watched *entry = data;
	bool ends;

	migrate_disable();
	might_sleep();
	ends = rust_shared_error(raw_smp_processor_id(), entry->gsi);
	migrate_enable();
	return handled(ends);
}

/* What is private to a CPU is handled there with interrupts off, under PREEMPT_RT too. */
static irqreturn_t private_interrupt(int irq, void *data)
{
	const u32 *gsi = data;

	lockdep_assert_irqs_disabled();
	return handled(rust_private_error(raw_smp_processor_id(), *gsi));
}

static int request_private(struct watched *entry)
{
	unsigned int cpu;
	int err;

	entry->private = alloc_percpu(u32);
	if (!entry->private)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		*per_cpu_ptr(entry->private, cpu) = entry->gsi;
	err = request_percpu_irq(entry->irq, private_interrupt, "resctrl:msc", entry->private);
	if (err)
		free_percpu(entry->private);
	return err;
}

int shim_error_interrupt_watch(u32 gsi, u32 kind)
{
	struct watched *entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	int irq, err;

	if (!entry)
		return -ENOMEM;
	irq = acpi_register_gsi(NULL, gsi, kind & SHIM_INTERRUPT_EDGE ? ACPI_EDGE_SENSITIVE : ACPI_LEVEL_SENSITIVE,
				ACPI_ACTIVE_HIGH);
	if (irq < 0) {
		kfree(entry);
		return irq;
	}
	entry->gsi = gsi;
	entry->irq = irq;
	if (kind & SHIM_INTERRUPT_PRIVATE)
		err = request_private(entry);
	else
		err = request_threaded_irq(irq, NULL, shared_interrupt, IRQF_SHARED | IRQF_ONESHOT, "resctrl:msc", entry);
	if (err) {
		acpi_unregister_gsi(gsi);
		kfree(entry);
		return err;
	}
	list_add(&entry->list, &watched);
	return 0;
}

static void unwatch_all(void)
{
	struct watched *entry, *next;

	list_for_each_entry_safe(entry, next, &watched, list) {
		if (entry->private) {
			free_percpu_irq(entry->irq, entry->private);
			free_percpu(entry->private);
		} else {
			free_irq(entry->irq, entry);
		}
		acpi_unregister_gsi(entry->gsi);
		list_del(&entry->list);
		kfree(entry);
	}
}

/* ---- CPUs ---- */

/* No virtual PARTIDs; what guests ask about them is for KVM to answer. */
static void set_up_el2(void)
{
	if (is_kernel_in_hyp_mode() && read_sysreg_s(SYS_MPAMIDR_EL1) & MPAMIDR_EL1_HAS_HCR)
		write_sysreg_s(MPAMHCR_EL2_TRAP_MPAMIDR_EL1, SYS_MPAMHCR_EL2);
}

int shim_arch_cpu_online(unsigned int cpu)
{
	enum mpam_state state = mpam_state();
	struct watched *entry;

	if (state != MPAM_READY) {
		pr_err("CPU %u stays offline: %s\n", cpu, why_not[state]);
		return -EINVAL;
	}
	set_up_el2();
	list_for_each_entry(entry, &watched, list)
		if (entry->private)
			enable_percpu_irq(entry->irq, IRQ_TYPE_NONE);
	return 0;
}

void shim_arch_cpu_offline(unsigned int cpu)
{
	struct watched *entry;

	list_for_each_entry(entry, &watched, list)
		if (entry->private)
			disable_percpu_irq(entry->irq);
}

static int on_cpu_pm(struct notifier_block *self, unsigned long event, void *unused)
{
	if (event == CPU_PM_EXIT) {
		lockdep_assert_irqs_disabled();
		set_up_el2();
		rust_cpu_resumed(raw_smp_processor_id());
	}
	return NOTIFY_OK;
}

static struct notifier_block cpu_pm_notifier = { .notifier_call = on_cpu_pm };

/* ---- Start and end ---- */

int shim_arch_start(void)
{
	int err = rust_arch_start();

	if (!err)
		err = cpu_pm_register_notifier(&cpu_pm_notifier);
	if (err)
		unwatch_all();
	return err;
}

void shim_arch_stop(void)
{
	cpu_pm_unregister_notifier(&cpu_pm_notifier);
	unwatch_all();
	/* Nothing can ask for it any more. */
	cancel_work_sync(&shutdown);
}
