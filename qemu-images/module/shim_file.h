/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RESCTRL_SHIM_FILE_H
#define RESCTRL_SHIM_FILE_H

#include <linux/fs.h>

struct seq_file;

extern const struct file_operations resctrl_file_operations;

int resctrl_seq_filled(struct seq_file *seq, ssize_t filled, size_t room);

#endif
