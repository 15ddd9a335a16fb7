/* SPDX-License-Identifier: GPL-2.0-only */
/* What the shim has on arm64 only: MPAM. Included by shim.h. */
#ifndef RESCTRL_SHIM_ARM64_H
#define RESCTRL_SHIM_ARM64_H

#include <linux/types.h>

/* The boot argument that keeps the kernel's own MPAM driver off. */
#define SHIM_RESCTRL_OFF "arm64.nompam"

struct shim_msc;

/* Errors: -ENODEV without what MPAM needs, -EBUSY while the kernel's own driver is there. */
int shim_arch_check(void);
int shim_arch_start(void);
void shim_arch_stop(void);
int shim_arch_cpu_online(unsigned int cpu);
void shim_arch_cpu_offline(unsigned int cpu);

bool shim_expert_parameter(void);

/* ---- Firmware ---- */

const void *shim_acpi_table(const char *signature, u32 *length);
void shim_acpi_table_put(const void *table);
int shim_cpu_of_processor(u32 uid);
int shim_node_of_proximity(u64 domain);

/* ---- MSCs: offsets are below the size that was mapped ---- */

struct shim_msc *shim_msc_map(u64 address, u32 size);
void shim_msc_unmap(struct shim_msc *page);
u32 shim_msc_read(struct shim_msc *page, u32 offset);
void shim_msc_write(struct shim_msc *page, u32 offset, u32 value);

/* ---- The chip: offsets as above, whole registers of 64 bits ---- */

/* What firmware says which chip this is (SMCCC_ARCH_SOC_ID), or an error of its own, which is negative. */
s32 shim_soc_id(void);
u64 shim_msc_read64(struct shim_msc *page, u32 offset);
void shim_msc_write64(struct shim_msc *page, u32 offset, u64 value);

/* ---- The processor that runs ---- */

bool shim_has_streaming(void);
/* The kernel runs at EL2. */
bool shim_has_guests(void);
void shim_wait_us(u32 us);

/* ---- Error interrupts ---- */

/* Otherwise an interrupt is triggered by level, and can be had by all CPUs. */
enum shim_interrupt { SHIM_INTERRUPT_EDGE = 1, SHIM_INTERRUPT_PRIVATE = 2 };

/* kind: of enum shim_interrupt. */
int shim_error_interrupt_watch(u32 gsi, u32 kind);

int rust_arch_start(void);
/* From the thread that handles an interrupt of all CPUs, which stays on `cpu`. */
bool rust_shared_error(u32 cpu, u32 gsi);
/* From the handler of an interrupt of each CPU, with interrupts off. */
bool rust_private_error(u32 cpu, u32 gsi);
void rust_shutdown(void);
void rust_cpu_resumed(u32 cpu);

#endif
