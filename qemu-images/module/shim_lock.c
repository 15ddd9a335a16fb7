// SPDX-License-Identifier: GPL-2.0-only
/* Mutexes, shared locks, the hotplug lock, delayed works. */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/workqueue.h>
#include "shim.h"

struct shim_mutex {
	struct mutex lock;
};

/* One class a use, so that lockdep tells them apart. */
static struct lock_class_key lock_classes[SHIM_LOCK_CLASSES];

struct shim_mutex *shim_mutex_new(u32 lock_class)
{
	struct shim_mutex *mutex = kmalloc(sizeof(*mutex), GFP_KERNEL);

	if (mutex)
		mutex_init_with_key(&mutex->lock, &lock_classes[lock_class]);
	return mutex;
}

void shim_mutex_free(struct shim_mutex *mutex)
{
	mutex_destroy(&mutex->lock);
	kfree(mutex);
}

void shim_mutex_lock(struct shim_mutex *mutex)
{
	mutex_lock(&mutex->lock);
}

bool shim_mutex_trylock(struct shim_mutex *mutex)
{
	return mutex_trylock(&mutex->lock);
}

void shim_mutex_unlock(struct shim_mutex *mutex)
{
	mutex_unlock(&mutex->lock);
}

struct shim_rwsem {
	struct rw_semaphore lock;
};

struct shim_rwsem *shim_rwsem_new(u32 lock_class)
{
	struct shim_rwsem *rwsem = kmalloc(sizeof(*rwsem), GFP_KERNEL);

	if (!rwsem)
		return NULL;
	init_rwsem(&rwsem->lock);
	lockdep_set_class(&rwsem->lock, &lock_classes[lock_class]);
	return rwsem;
}

void shim_rwsem_free(struct shim_rwsem *rwsem)
{
	kfree(rwsem);
}

void shim_rwsem_read(struct shim_rwsem *rwsem)
{
	down_read(&rwsem->lock);
}

void shim_rwsem_read_end(struct shim_rwsem *rwsem)
{
	up_read(&rwsem->lock);
}

void shim_rwsem_write(struct shim_rwsem *rwsem)
{
	down_write(&rwsem->lock);
}

void shim_rwsem_write_end(struct shim_rwsem *rwsem)
{
	up_write(&rwsem->lock);
}

void shim_cpus_read_lock(void)
{
	cpus_read_lock();
}

void shim_cpus_read_unlock(void)
{
	cpus_read_unlock();
}

struct shim_work {
	struct delayed_work dwork;
	shim_work_fn run;
	const void *target;
};

/* Its own queue: once it is destroyed, no worker executes code of this module. */
static struct workqueue_struct *workqueue;

/*
 * The CPU that this worker is bound to. A worker whose CPU goes offline is let
 * loose, and bound again when the CPU comes back; in between, and until it has
 * got there, it is bound to none.
 */
static int bound_cpu(void)
{
	int cpu;

	preempt_disable();
	cpu = smp_processor_id();
	if (!is_percpu_thread() || !cpumask_test_cpu(cpu, current->cpus_ptr))
		cpu = -1;
	preempt_enable();
	return cpu;
}

static void run_work(struct work_struct *work_struct)
{
	struct shim_work *work = container_of(to_delayed_work(work_struct), struct shim_work, dwork);

	/* run may free work. */
	work->run(work->target, bound_cpu());
}

struct shim_work *shim_work_new(void)
{
	struct shim_work *work = kzalloc(sizeof(*work), GFP_KERNEL);

	if (work)
		INIT_DELAYED_WORK(&work->dwork, run_work);
	return work;
}

void shim_work_free(struct shim_work *work)
{
	kfree(work);
}

/* A work has one function and one target for life, so a pending work is not disturbed by storing them again. */
bool shim_work_queue(struct shim_work *work, shim_work_fn run,
		     const void *target, u32 cpu, unsigned long jiffies)
{
	WRITE_ONCE(work->run, run);
	WRITE_ONCE(work->target, target);
	return queue_delayed_work_on(cpu, workqueue, &work->dwork, jiffies);
}

unsigned long shim_jiffies(u32 ms)
{
	return msecs_to_jiffies(ms);
}

int shim_workqueue_start(void)
{
	/* Frozen with the tasks: no worker runs while CPUs are away because the system sleeps. */
	workqueue = alloc_workqueue("resctrl", WQ_PERCPU | WQ_FREEZABLE, 0);
	return workqueue ? 0 : -ENOMEM;
}

void shim_workqueue_stop(void)
{
	destroy_workqueue(workqueue);
}
