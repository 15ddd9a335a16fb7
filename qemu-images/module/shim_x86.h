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
/* Where it is said whether somebody traces writes of MSRs; then it is not 0. For good. */
const s32 *shim_wrmsr_traced(void);
void shim_flush_caches(void);

/* ---- shim_telemetry.c: what is counted by package ---- */

struct resctrl_aet_group;

struct shim_telemetry_region {
	u32 guid, package, num_rmids;
	size_t size;
};

struct resctrl_aet_group *shim_telemetry_get(u32 feature);
void shim_telemetry_put(struct resctrl_aet_group *group);
size_t shim_telemetry_count(const struct resctrl_aet_group *group);
void shim_telemetry_region(const struct resctrl_aet_group *group, size_t index,
			   struct shim_telemetry_region *region);
u64 shim_telemetry_read(const struct resctrl_aet_group *group, size_t index, size_t offset);

/* ---- shim_pseudo_lock.c: pseudo-locked regions ---- */

struct dev_pm_qos_request;
struct perf_event;
struct vm_area_struct;
struct shim_nodes;

/* What a thread is for, and so what it is called. */
enum shim_thread { SHIM_THREAD_LOCK = 0, SHIM_THREAD_MEASURE = 1 };

/* How memory is mapped. */
enum shim_mapping { SHIM_MAPPING_SHARED = 1 };

u32 shim_region_max(void);
void *shim_region_alloc(u32 size);
void shim_region_free(void *memory);
void shim_region_read(const void *memory, u32 size, u32 stride);
u32 shim_region_time(const void *memory, u32 offset);
void shim_region_clear(void *memory, u32 offset, u32 len);
int shim_latency_limit(u32 cpu, struct dev_pm_qos_request **limit);
void shim_latency_free(struct dev_pm_qos_request *limit);
/* kind: of enum shim_thread. */
int shim_region_thread(u32 cpu, u32 kind, void *closure, bool *interrupted);
void shim_irqs_off(void *closure);
struct perf_event *shim_event_new(u32 cpu, u64 config);
void shim_event_free(struct perf_event *event);
bool shim_region_count(struct perf_event *hits, struct perf_event *misses, const void *memory, u32 size, u32 stride,
		       u32 counts[2]);
int shim_region_map(struct vm_area_struct *area, const void *memory);
bool shim_affinity_within(const u64 *words, u32 bits);
struct shim_nodes *shim_nodes_new(u32 minor, const char *name, size_t len, int *err);
void shim_nodes_free(struct shim_nodes *nodes);

void rust_region_thread(u32 cpu, void *closure);
void rust_irqs_off(u32 cpu, void *closure);
int rust_region_open(u32 minor);
void rust_region_close(u32 minor);
/* flags: of enum shim_mapping. */
int rust_region_map(u32 minor, u64 offset, u64 len, u32 flags, struct vm_area_struct *area);
int rust_region_measure(u32 minor, const char *text, size_t len);

/* The device numbers and the class of regions. */
int shim_arch_start(void);
void shim_arch_stop(void);

static inline int shim_arch_check(void) { return 0; }
static inline int shim_arch_cpu_online(unsigned int cpu) { return 0; }
static inline void shim_arch_cpu_offline(unsigned int cpu) { }

#endif
