/* SPDX-License-Identifier: GPL-2.0-only */
/* The ids of a task, where a call for them would cost more than they do. For C alone. */
#pragma once

#include <linux/sched.h>

#ifdef CONFIG_X86
/* The CLOSID is in the upper and the RMID in the lower half. */
static inline u64 task_word(struct task_struct *task)
{
	return (u64)READ_ONCE(task->closid) << 32 | READ_ONCE(task->rmid);
}

static inline void set_task_word(struct task_struct *task, u64 word)
{
	WRITE_ONCE(task->closid, word >> 32);
	WRITE_ONCE(task->rmid, (u32)word);
}
#else
/* The kernel's own driver stays off, so its place in a task is free. */
static inline u64 task_word(struct task_struct *task)
{
	return READ_ONCE(task_thread_info(task)->mpam_partid_pmg);
}

static inline void set_task_word(struct task_struct *task, u64 word)
{
	WRITE_ONCE(task_thread_info(task)->mpam_partid_pmg, word);
}
#endif
