// SPDX-License-Identifier: GPL-2.0-only
/* Tasks: finding them, the ids they carry, and the context switch. */
#include <linux/cred.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include "shim.h"
#include "shim_task.h"

/* The task that each CPU switched to last. Compared, never followed. */
static DEFINE_PER_CPU(struct task_struct *, switched_to);

static inline s32 running_on(struct task_struct *task)
{
	unsigned int cpu = task_cpu(task);

	/* on_cpu: tasks that run since before the tracepoint was watched. */
	if (READ_ONCE(task->on_cpu) || READ_ONCE(per_cpu(switched_to, cpu)) == task)
		return cpu;
	return -1;
}

u64 shim_task_word(struct task_struct *task)
{
	return task_word(task);
}

/* Systems have many threads: nothing is called for those that do not matter. */
void shim_each_task(u64 places, u64 bits, bool (*f)(struct task_struct *task, void *closure), void *closure)
{
	struct task_struct *process, *thread;

	rcu_read_lock();
	for_each_process_thread(process, thread) {
		if ((task_word(thread) & places) == bits && !f(thread, closure))
			goto unlock;
	}
unlock:
	rcu_read_unlock();
}

/* The barrier: see on_sched_switch(). */
s32 shim_relabel_task(struct task_struct *task, u64 word)
{
	set_task_word(task, word);
	smp_mb();
	return running_on(task);
}

void shim_relabel_tasks(u64 places, u64 bits, u64 word, u64 *running)
{
	struct task_struct *process, *thread;
	s32 cpu;

	rcu_read_lock();
	for_each_process_thread(process, thread) {
		if ((task_word(thread) & places) != bits)
			continue;
		cpu = shim_relabel_task(thread, word);
		if (cpu >= 0)
			running[cpu / 64] |= 1ULL << (cpu % 64);
	}
	rcu_read_unlock();
}

void shim_set_every_task(u64 word)
{
	struct task_struct *process, *thread;

	rcu_read_lock();
	for_each_process_thread(process, thread) {
		if (task_word(thread) != word)
			set_task_word(thread, word);
	}
	rcu_read_unlock();
}

bool shim_with_task(s32 id, bool (*f)(struct task_struct *task, void *closure), void *closure)
{
	struct task_struct *task;

	rcu_read_lock();
	task = id ? pid_task(find_vpid(id), PIDTYPE_PID) : current;
	if (task)
		f(task, closure);
	rcu_read_unlock();
	return task;
}

s32 shim_task_id(struct task_struct *task)
{
	return task_pid_vnr(task);
}

bool shim_task_may_move(struct task_struct *task)
{
	const struct cred *caller = current_cred();
	const struct cred *owner;
	bool may;

	rcu_read_lock();
	owner = __task_cred(task);
	may = uid_eq(caller->euid, GLOBAL_ROOT_UID) ||
	      uid_eq(caller->euid, owner->uid) ||
	      uid_eq(caller->euid, owner->suid);
	rcu_read_unlock();
	return may;
}

void shim_owner(u32 *uid, u32 *gid)
{
	*uid = __kuid_val(current_fsuid());
	*gid = __kgid_val(current_fsgid());
}

/*
 * Whoever moves a task stores its word, then asks where it runs; a CPU that
 * switches to a task says so, then loads its word. With a full barrier between
 * the two on both sides, either the mover sees the CPU or the CPU sees the
 * word. task->on_cpu alone would not do: it is set after the tracepoint.
 */
static void on_sched_switch(void *resctrl, bool preempt, struct task_struct *prev,
			    struct task_struct *next, unsigned int prev_state)
{
	lockdep_assert_irqs_disabled();
	__this_cpu_write(switched_to, next);
	smp_mb();
	rust_sched_in(resctrl, raw_smp_processor_id(), task_word(next));
}

/*
 * Interrupts are off in a context switch, so a CPU that answers has left the
 * one it was in when the probe was registered: from now on it sees every one.
 * (Where somebody else watches the tracepoint, a CPU may still be going through
 * the old list of probes.) What it missed is made up for here.
 */
static void see_current(void *resctrl)
{
	__this_cpu_write(switched_to, current);
	smp_mb();
	rust_sched_in(resctrl, raw_smp_processor_id(), task_word(current));
}

/*
 * A task that was being created while its group went keeps the group's ids, and
 * its CPU would go on with them for all others, too.
 */
static void see_nobody(void *resctrl)
{
	rust_sched_in(resctrl, raw_smp_processor_id(), 0);
}

/*
 * How many need the context switch; and whether it is watched. That ends a while
 * after the last: to end it takes interrupts of all CPUs and a grace period,
 * nobody is to wait for that, and who begins again soon finds everything as it
 * was. Meanwhile every task and CPU has the same ids, and nothing is written.
 */
static DEFINE_MUTEX(watch_lock);
static atomic_t watchers = ATOMIC_INIT(0);
static bool watched;
/* What rust_sched_in() is called with. */
static void *watching;
static struct tracepoint *sched_switch;

#define UNWATCH_AFTER_MS 100

/* Not that of a task which see_nobody() is about. */
u64 shim_current_word(void)
{
	return READ_ONCE(watched) ? task_word(current) : 0;
}

static void find_sched_switch(struct tracepoint *tracepoint, void *unused)
{
	if (!strcmp(tracepoint->name, "sched_switch"))
		sched_switch = tracepoint;
}

void shim_sched_start(void *resctrl)
{
	watching = resctrl;
}

/* Not to be called with the hotplug lock held: the tracepoint takes it. */
int shim_sched_watch(void)
{
	int err = 0;

	mutex_lock(&watch_lock);
	if (!watched) {
		/* The tracepoint itself is not exported, the list of all of them is. */
		for_each_kernel_tracepoint(find_sched_switch, NULL);
		err = sched_switch ? tracepoint_probe_register(sched_switch, on_sched_switch, watching) : -ENODEV;
		if (!err) {
			WRITE_ONCE(watched, true);
			on_each_cpu(see_current, watching, true);
		}
	}
	if (!err)
		atomic_inc(&watchers);
	mutex_unlock(&watch_lock);
	return err;
}

static void end_watch(struct work_struct *unused)
{
	mutex_lock(&watch_lock);
	if (!atomic_read(&watchers) && watched) {
		tracepoint_probe_unregister(sched_switch, on_sched_switch, watching);
		WRITE_ONCE(watched, false);
		on_each_cpu(see_nobody, watching, true);
	}
	mutex_unlock(&watch_lock);
}
static DECLARE_DELAYED_WORK(end_watch_work, end_watch);

/* Called with the hotplug lock held, too, for which those wait who have watch_lock. */
void shim_sched_unwatch(void)
{
	if (atomic_dec_and_test(&watchers))
		mod_delayed_work(system_dfl_long_wq, &end_watch_work, msecs_to_jiffies(UNWATCH_AFTER_MS));
}

/* Nothing is mounted and nothing will be: returns when no CPU is in here. */
void shim_sched_stop(void)
{
	cancel_delayed_work_sync(&end_watch_work);
	end_watch(NULL);
	tracepoint_synchronize_unregister();
}
