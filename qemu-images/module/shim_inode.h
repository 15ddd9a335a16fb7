/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RESCTRL_SHIM_INODE_H
#define RESCTRL_SHIM_INODE_H

#include <linux/fs.h>
#include "shim.h"

extern const struct xattr_handler *const resctrl_xattr_handlers[];

/* The inode of a node, with these attributes. */
struct inode *resctrl_inode(struct super_block *sb, const struct shim_attr *attr,
			    const struct inode_operations *dir_inode_operations,
			    const struct file_operations *dir_operations);
void resctrl_update_inode(struct inode *inode, const struct shim_attr *attr);
int resctrl_permission(struct mnt_idmap *idmap, struct inode *inode, int mask);
int resctrl_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		    u32 request_mask, unsigned int query_flags);
int resctrl_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *change);
ssize_t resctrl_listxattr(struct dentry *dentry, char *buffer, size_t size);
int resctrl_label(struct inode *inode, struct inode *dir, const struct qstr *name);

#endif
