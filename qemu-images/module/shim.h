/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The border between the Rust of resctrl.ko and the kernel.
 *
 * shim_*    functions of the kernel, wrapped, for Rust to call
 * rust_*    entry points of the Rust part, for the kernel to call
 *
 * Mirrored by src/ffi.rs; xtask/tests/border compares them. What crosses are
 * numbers, pointers that the other side never looks into, and the structures
 * below. Errors are negative error numbers.
 */
#ifndef RESCTRL_SHIM_H
#define RESCTRL_SHIM_H

#include <linux/types.h>

struct dentry;
struct task_struct;
struct shim_mutex;
struct shim_rwsem;
struct shim_work;

/* ---- shim.c: memory, log, fate ---- */

enum shim_log_level { SHIM_LOG_WARN = 0, SHIM_LOG_INFO = 1 };

void *shim_realloc(void *old, size_t size, size_t align);
void shim_free(const void *memory);
void shim_log(u32 level, const char *text, size_t len);
void __noreturn shim_bug(const char *text, size_t len);
void shim_sleep_ms(u32 ms);
void shim_now(s64 *sec, u32 *nsec);
/* The hardware failed, and Rust has ended all use of it: neither CPUs nor mounts are reported to it any more, for good. */
void shim_end_service(void);

/* ---- shim_lock.c: locks and delayed works ---- */

#define SHIM_LOCK_CLASSES 4

struct shim_mutex *shim_mutex_new(u32 lock_class);
void shim_mutex_free(struct shim_mutex *mutex);
void shim_mutex_lock(struct shim_mutex *mutex);
/* May be called with interrupts off, in a thread. */
bool shim_mutex_trylock(struct shim_mutex *mutex);
void shim_mutex_unlock(struct shim_mutex *mutex);
struct shim_rwsem *shim_rwsem_new(u32 lock_class);
void shim_rwsem_free(struct shim_rwsem *rwsem);
void shim_rwsem_read(struct shim_rwsem *rwsem);
void shim_rwsem_read_end(struct shim_rwsem *rwsem);
void shim_rwsem_write(struct shim_rwsem *rwsem);
void shim_rwsem_write_end(struct shim_rwsem *rwsem);
void shim_cpus_read_lock(void);
void shim_cpus_read_unlock(void);

/* bound_cpu: the CPU whose worker thread runs it, -1 if the CPU has gone. */
typedef void (*shim_work_fn)(const void *target, int bound_cpu);

struct shim_work *shim_work_new(void);
void shim_work_free(struct shim_work *work);
bool shim_work_queue(struct shim_work *work, shim_work_fn run,
		     const void *target, u32 cpu, unsigned long jiffies);
unsigned long shim_jiffies(u32 ms);
int shim_workqueue_start(void);
void shim_workqueue_stop(void);

/* ---- shim_trace.c: trace events ---- */

void shim_trace_start(void);
void shim_trace_limbo(u32 ctrl_hw_id, u32 mon_hw_id, s32 domain_id, u64 llc_occupancy_bytes);
void shim_trace_latency(u32 cycles);
void shim_trace_residency(u32 level, u64 hits, u64 misses);

/* ---- shim_cpu.c: CPUs, caches ---- */

struct shim_cache {
	u32 id;
	u32 size;
};

u32 shim_nr_cpu_ids(void);
bool shim_cpu_is_isolated(u32 cpu);
bool shim_cpu_cache(u32 cpu, u32 level, struct shim_cache *cache);
/* 0 if unknown. */
u32 shim_cpu_cache_line(u32 cpu, u32 level);
int shim_cpu_node(u32 cpu);
int shim_cpu_package(u32 cpu);
u32 shim_nodes_per_package(void);
u32 shim_max_packages(void);
/* The caller may be elsewhere as soon as it has returned. */
u32 shim_likely_here(void);
int shim_call_on(u32 cpu, void *closure);
int shim_interrupt(u32 cpu, void *closure);
void shim_interrupt_mask(const u64 *words, u32 bits, void *closure);
int shim_hotplug_start(void);
/* Reports every CPU offline to Rust, once. */
void shim_hotplug_stop(void);

int rust_cpu_online(u32 cpu);
void rust_cpu_offline(u32 cpu);
void rust_cpu_suspend(u32 cpu);
void rust_call_on(u32 cpu, void *closure);
void rust_interrupt(u32 cpu, void *closure);
void rust_interrupt_mask(u32 cpu, void *closure);

/* ---- shim_power.c: the system's sleep ---- */

int shim_power_start(void);
void shim_power_stop(void);
/* Whether CPUs go offline and come back because the system sleeps. */
bool shim_system_sleeps(void);

bool rust_last_cpu_suspend(u32 cpu);
void rust_first_cpu_resume(u32 cpu);
void rust_system_resumed(void);

/* ---- shim_task.c: tasks and their ids ---- */

/* Those whose word has these bits in these places, until the function says false. */
void shim_each_task(u64 places, u64 bits, bool (*f)(struct task_struct *task, void *closure), void *closure);
/* Gives those this word, and sets the bits of the CPUs that run one of them: running has one for each of shim_nr_cpu_ids(). */
void shim_relabel_tasks(u64 places, u64 bits, u64 word, u64 *running);
void shim_set_every_task(u64 word);
bool shim_with_task(s32 id, bool (*f)(struct task_struct *task, void *closure), void *closure);
s32 shim_task_id(struct task_struct *task);
bool shim_task_may_move(struct task_struct *task);
u64 shim_task_word(struct task_struct *task);
/* Where the task runs that has this word now, -1 if it does not. */
s32 shim_relabel_task(struct task_struct *task, u64 word);
u64 shim_current_word(void);
void shim_owner(u32 *uid, u32 *gid);
/* Before anybody watches: the file system that rust_sched_in() is called with, until shim_sched_stop() has returned. */
void shim_sched_start(void *resctrl);
int shim_sched_watch(void);
void shim_sched_unwatch(void);
void shim_sched_stop(void);

void rust_sched_in(const void *resctrl, u32 cpu, u64 word);

/* ---- shim_vfs.c: the file system ---- */

/* PATH_MAX - 1. */
#define SHIM_NAME_MAX 4095
#define SHIM_OPTIONS_SIZE 32

/* What a node is like, or that there is none: id is 0 then. */
struct shim_attr {
	/* The tree's when it was so: still is while the tree has this one. */
	u64 version;
	u64 id;
	s64 atime_sec, mtime_sec, ctime_sec;
	u32 atime_nsec, mtime_nsec, ctime_nsec;
	u32 mode;
	u32 uid, gid;
	u32 nlink;
	u32 is_dir;
};

/* What a file is opened for. */
enum shim_open { SHIM_OPEN_READ = 1, SHIM_OPEN_WRITE = 2 };

/* As the kernel numbers them. */
enum shim_xattr { SHIM_XATTR_CREATE = 1, SHIM_XATTR_REPLACE = 2 };

/* ctime is always set: every change of attributes has one. */
enum shim_set {
	SHIM_SET_MODE = 1,
	SHIM_SET_UID = 2,
	SHIM_SET_GID = 4,
	SHIM_SET_ATIME = 8,
	SHIM_SET_MTIME = 16,
};

struct shim_entry {
	u64 position;
	u64 id;
	u32 len;
	u32 is_dir;
	/* Behind it is the name, with a NUL. */
};

/* For entries one after the other, each aligned as the first: at least the longest. */
#define SHIM_ENTRIES_SIZE 8192

int shim_vfs_start(void);
/* Ends mounting; what is mounted stays and can be unmounted. */
void shim_vfs_disable(void);
/* Takes away the place to mount; nothing is mounted any more. */
void shim_vfs_stop(void);
/* Where debugfs has files of resctrl. */
struct dentry *shim_debug_dir(void);

void rust_options_init(void *options);
int rust_option(void *options, const char *key, size_t len,
		const char **message, size_t *message_len);
int rust_mount(const void *options);
void rust_unmount(void);
/* These fill len bytes at most, and say how many they have filled; len if that was not enough. */
ssize_t rust_show_options(char *text, size_t len);
u64 rust_root(void);
/* Never 0; takes no lock. */
u64 rust_tree_version(void);
bool rust_entry(u64 parent, const char *name, size_t len, struct shim_attr *attr);
bool rust_attr(u64 node, struct shim_attr *attr);
/* Nothing happens to a node that has gone. */
void rust_set_attr(u64 node, u32 set, const struct shim_attr *attr);
/* How many bytes it has filled, 0 at the end. -ERANGE: too few for the next entry. */
int rust_entries(u64 dir, u64 after, void *entries, size_t size);
/* How long the value is. NULL: it is not wanted. */
int rust_xattr_get(u64 node, const char *name, size_t len, void *value, size_t size);
/* NULL: it is removed. flags: of enum shim_xattr. */
int rust_xattr_set(u64 node, const char *name, size_t len, const void *value, size_t size, int flags);
/* How long all names are, each with a NUL. Those that have no room are left out. */
ssize_t rust_xattr_list(u64 node, char *names, size_t size);
/* access: of enum shim_open. */
int rust_open(u64 node, u32 access);
/* As rust_show_options(), or an error. */
ssize_t rust_read(u64 node, char *text, size_t len);
int rust_write(u64 node, const char *data, size_t len);
int rust_mkdir(u64 parent, const char *name, size_t len, u32 mode);
int rust_rmdir(u64 dir);
int rust_rename(u64 node, u64 new_parent, const char *name, size_t len, u32 flags);
ssize_t rust_show_stats(char *text, size_t len);

/* ---- shim_x86.c, shim_arm64.c ---- */

#if defined(CONFIG_X86)
#include "shim_x86.h"
#elif defined(CONFIG_ARM64)
#include "shim_arm64.h"
#endif

/* ---- the Rust part as a whole ---- */

/* In .modinfo. */
extern const char rust_version[];

int rust_start(void);
void rust_stop(void);

#endif
