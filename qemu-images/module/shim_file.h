/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RESCTRL_SHIM_FILE_H
#define RESCTRL_SHIM_FILE_H

#include <linux/fs.h>

extern const struct file_operations resctrl_file_operations;

#endif
