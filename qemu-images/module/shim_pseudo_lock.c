// SPDX-License-Identifier: GPL-2.0-only
/* x86: pseudo-locked regions. Memory, the threads that read it, devices, debugfs. */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/irqflags.h>
#include <linux/kdev_t.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/perf_event.h>
#include <linux/pm_qos.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/barrier.h>
#include <asm/special_insns.h>
#include <asm/tsc.h>
#include "shim.h"

/* ---- Memory ---- */

u32 shim_region_max(void)
{
	return KMALLOC_MAX_SIZE;
}

void *shim_region_alloc(u32 size)
{
	return kzalloc(size, GFP_KERNEL);
}

void shim_region_free(void *memory)
{
	kfree(memory);
}

/* The barrier keeps the processor from reading ahead, beyond the end. */
static __always_inline void read_words(const void *memory, u32 size, u32 stride)
{
	u32 offset;

	if (!stride)
		return;
	for (offset = 0; size - offset >= sizeof(u32); offset += stride) {
		rmb();
		(void)READ_ONCE(*(const u32 *)(memory + offset));
		if (size - offset <= stride)
			break;
	}
	rmb();
}

void notrace shim_region_read(const void *memory, u32 size, u32 stride)
{
	read_words(memory, size, stride);
}

u32 notrace shim_region_time(const void *memory, u32 offset)
{
	u64 begin = rdtsc_ordered();

	(void)READ_ONCE(*(const u32 *)(memory + offset));
	return rdtsc_ordered() - begin;
}

void shim_region_clear(void *memory, u32 offset, u32 len)
{
	memset(memory + offset, 0, len);
}

void shim_flush_caches(void)
{
	wbinvd();
}

/* ---- What keeps CPUs from flushing their caches ---- */

#define RESUME_LATENCY_US 30

int shim_latency_limit(u32 cpu, struct dev_pm_qos_request **limit)
{
	struct dev_pm_qos_request *request = kzalloc(sizeof(*request), GFP_KERNEL);
	int err;

	if (!request)
		return -ENOMEM;
	err = dev_pm_qos_add_request(get_cpu_device(cpu), request, DEV_PM_QOS_RESUME_LATENCY,
				     RESUME_LATENCY_US);
	if (err < 0) {
		kfree(request);
		return -EINVAL;
	}
	*limit = request;
	return 0;
}

void shim_latency_free(struct dev_pm_qos_request *limit)
{
	dev_pm_qos_remove_request(limit);
	kfree(limit);
}

/* ---- Threads ---- */

struct region_thread {
	void *closure;
	struct completion done;
};

static int region_thread(void *data)
{
	struct region_thread *thread = data;

	rust_region_thread(raw_smp_processor_id(), thread->closure);
	complete(&thread->done);
	return 0;
}

/*
 * Waits for the thread in any case. Only while it has not begun can it be kept
 * from running: then kthread_stop() says -EINTR, and *interrupted is set.
 */
int shim_region_thread(u32 cpu, u32 kind, void *closure, bool *interrupted)
{
	struct region_thread thread = { .closure = closure };
	struct task_struct *task;

	init_completion(&thread.done);
	task = kthread_create_on_cpu(region_thread, &thread, cpu,
				     kind == SHIM_THREAD_MEASURE ? "pseudo_lock_measure/%u" : "pseudo_lock/%u");
	if (IS_ERR(task))
		return PTR_ERR(task);
	get_task_struct(task);
	wake_up_process(task);
	/* A signal only ends the waiting early: kthread_stop() waits for a thread that has begun. */
	(void)wait_for_completion_interruptible(&thread.done);
	*interrupted = kthread_stop(task) == -EINTR;
	put_task_struct(task);
	return 0;
}

void shim_irqs_off(void *closure)
{
	unsigned long flags;

	local_irq_save(flags);
	rust_irqs_off(raw_smp_processor_id(), closure);
	local_irq_restore(flags);
}

/* ---- Counting and tracing ---- */

/* NULL where that cannot be counted. */
struct perf_event *shim_event_new(u32 cpu, u64 config)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_RAW,
		.size = sizeof(attr),
		.config = config,
		.pinned = 1,
		.exclude_user = 1,
	};
	struct perf_event *event = perf_event_create_kernel_counter(&attr, cpu, NULL, NULL, NULL);

	return IS_ERR(event) ? NULL : event;
}

void shim_event_free(struct perf_event *event)
{
	perf_event_release_kernel(event);
}

/* Whether this CPU counts it in a register of its own now. Interrupts are off, so that will not change. */
static __always_inline bool counts_here(const struct perf_event *event)
{
	return READ_ONCE(event->state) == PERF_EVENT_STATE_ACTIVE &&
	       READ_ONCE(event->oncpu) == raw_smp_processor_id() && event->hw.idx >= 0;
}

/* The low half is enough: there are fewer readings than that. */
static __always_inline u32 read_counter(int index)
{
	u32 low, high;

	asm volatile("rdpmc" : "=a" (low), "=d" (high) : "c" (index));
	return low;
}

/*
 * The counters are read right before the memory and right after it. Asking perf
 * for them would count the asking; so this reads the registers that perf uses,
 * and does so once before, that the code of it is in the cache. The barriers are
 * LFENCE: what is before them has been counted before what is behind them.
 */
bool notrace shim_region_count(struct perf_event *hits, struct perf_event *misses, const void *memory, u32 size,
			       u32 stride, u32 counts[2])
{
	int hits_index, misses_index;
	u32 hits_before, misses_before;

	if (!counts_here(hits) || !counts_here(misses))
		return false;
	hits_index = hits->hw.event_base_rdpmc;
	misses_index = misses->hw.event_base_rdpmc;
	read_counter(hits_index);
	read_counter(misses_index);
	rmb();
	hits_before = read_counter(hits_index);
	misses_before = read_counter(misses_index);
	rmb();
	read_words(memory, size, stride);
	counts[0] = read_counter(hits_index) - hits_before;
	counts[1] = read_counter(misses_index) - misses_before;
	rmb();
	return true;
}

/* ---- The device ---- */

static int region_open(struct inode *inode, struct file *file)
{
	int err = rust_region_open(iminor(inode));

	if (!err) {
		file->private_data = (void *)(unsigned long)iminor(inode);
		file->f_mode &= ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE);
	}
	return err;
}

static int region_release(struct inode *inode, struct file *file)
{
	rust_region_close((unsigned long)file->private_data);
	return 0;
}

/* What is mapped is checked against size and CPUs once: it stays where it is. */
static int region_mremap(struct vm_area_struct *area)
{
	return -EINVAL;
}

static const struct vm_operations_struct region_vm_operations = {
	.mremap = region_mremap,
};

static int region_mmap(struct file *file, struct vm_area_struct *area)
{
	return rust_region_map((unsigned long)file->private_data, (u64)area->vm_pgoff << PAGE_SHIFT,
			       area->vm_end - area->vm_start,
			       area->vm_flags & VM_SHARED ? SHIM_MAPPING_SHARED : 0, area);
}

int shim_region_map(struct vm_area_struct *area, const void *memory)
{
	area->vm_ops = &region_vm_operations;
	return remap_pfn_range(area, area->vm_start, (__pa(memory) >> PAGE_SHIFT) + area->vm_pgoff,
			       area->vm_end - area->vm_start, area->vm_page_prot);
}

bool shim_affinity_within(const u64 *words, u32 bits)
{
	BUILD_BUG_ON(sizeof(long) != sizeof(u64));
	return bitmap_subset(cpumask_bits(current->cpus_ptr), (const unsigned long *)words, bits);
}

static const struct file_operations region_file_operations = {
	.owner = THIS_MODULE,
	.open = region_open,
	.release = region_release,
	.mmap = region_mmap,
};

static char *region_devnode(const struct device *device, umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, "pseudo_lock/%s", dev_name(device));
}

static const struct class region_class = {
	.name = "pseudo_lock",
	.devnode = region_devnode,
};

static int region_major;

/* ---- debugfs ---- */

#define MEASURE_TEXT 31

static ssize_t measure_write(struct file *file, const char __user *user, size_t count, loff_t *offset)
{
	char text[MEASURE_TEXT];
	size_t len = min(count, sizeof(text));
	int err;

	if (copy_from_user(text, user, len))
		return -EFAULT;
	err = rust_region_measure((unsigned long)file->private_data, text, len);
	return err ?: count;
}

static const struct file_operations measure_file_operations = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = measure_write,
	.llseek = default_llseek,
};

struct shim_nodes {
	struct dentry *directory;
	dev_t device;
};

struct shim_nodes *shim_nodes_new(u32 minor, const char *name, size_t len, int *err)
{
	struct shim_nodes *nodes = kzalloc(sizeof(*nodes), GFP_KERNEL);
	char *text = kasprintf(GFP_KERNEL, "%.*s", (int)len, name);
	struct device *device;

	*err = -ENOMEM;
	if (!nodes || !text)
		goto fail;
	nodes->device = MKDEV(region_major, minor);
	device = device_create(&region_class, NULL, nodes->device, NULL, "%s", text);
	if (IS_ERR(device)) {
		*err = PTR_ERR(device);
		goto fail;
	}
	/* debugfs is something to do without. */
	nodes->directory = debugfs_create_dir(text, shim_debug_dir());
	if (!IS_ERR(nodes->directory))
		debugfs_create_file("pseudo_lock_measure", 0200, nodes->directory,
				    (void *)(unsigned long)minor, &measure_file_operations);
	kfree(text);
	return nodes;

fail:
	kfree(text);
	kfree(nodes);
	return NULL;
}

/* Waits for those who are measuring. */
void shim_nodes_free(struct shim_nodes *nodes)
{
	debugfs_remove(nodes->directory);
	device_destroy(&region_class, nodes->device);
	kfree(nodes);
}

/* ---- Start and end ---- */

int shim_arch_start(void)
{
	int err = register_chrdev(0, "pseudo_lock", &region_file_operations);
	if (err < 0)
		return err;
	region_major = err;
	err = class_register(&region_class);
	if (err)
		unregister_chrdev(region_major, "pseudo_lock");
	return err;
}

void shim_arch_stop(void)
{
	class_unregister(&region_class);
	unregister_chrdev(region_major, "pseudo_lock");
}
