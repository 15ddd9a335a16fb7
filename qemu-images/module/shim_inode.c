// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes: a cache of the tree's attributes, and what has to be asked of the
 * tree each time (extended attributes).
 *
 * An inode remembers the tree's version with which its attributes were copied.
 * As long as the tree has that version they are the tree's, and no lock is
 * taken to find that out. Otherwise whoever uses them first looks at the tree,
 * shared with others who look, and copies. Copying happens under the inode's
 * i_lock and only from the older to the newer.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>
#include <linux/xattr.h>
#include "shim.h"
#include "shim_file.h"
#include "shim_inode.h"

/* In i_private: twice the version, and 1 if the node had gone. 0 in an inode that is new. */
static u64 stamp_of(const struct inode *inode)
{
	return (u64)smp_load_acquire(&inode->i_private);
}

static bool is_fresh(const struct inode *inode)
{
	return stamp_of(inode) >> 1 == rust_tree_version();
}

/* Ids are never used again, so what has gone stays away. */
static bool is_gone(const struct inode *inode)
{
	return stamp_of(inode) & 1;
}

/*
 * A node that has gone leaves its inode as it was. It keeps its links, too: the
 * superblock counts inodes without, and could not be made read-only until the
 * last who has one open has closed it.
 */
void resctrl_update_inode(struct inode *inode, const struct shim_attr *attr)
{
	u64 stamp = attr->version << 1 | !attr->id;

	spin_lock(&inode->i_lock);
	/* Somebody may have looked later, and been here before. */
	if (stamp_of(inode) < stamp) {
		if (attr->id) {
			inode->i_mode = attr->mode | (attr->is_dir ? S_IFDIR : S_IFREG);
			inode->i_uid = KUIDT_INIT(attr->uid);
			inode->i_gid = KGIDT_INIT(attr->gid);
			inode_set_atime(inode, attr->atime_sec, attr->atime_nsec);
			inode_set_mtime(inode, attr->mtime_sec, attr->mtime_nsec);
			inode_set_ctime(inode, attr->ctime_sec, attr->ctime_nsec);
			set_nlink(inode, attr->nlink);
		}
		smp_store_release(&inode->i_private, (void *)stamp);
	}
	spin_unlock(&inode->i_lock);
}

static void refresh(struct inode *inode)
{
	struct shim_attr attr;

	if (is_fresh(inode))
		return;
	rust_attr(inode->i_ino, &attr);
	resctrl_update_inode(inode, &attr);
}

int resctrl_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	if (!(mask & MAY_NOT_BLOCK))
		refresh(inode);
	else if (!is_fresh(inode))
		return -ECHILD;
	return generic_permission(&nop_mnt_idmap, inode, mask);
}

int resctrl_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		    u32 request_mask, unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);

	refresh(inode);
	spin_lock(&inode->i_lock);
	generic_fillattr(&nop_mnt_idmap, request_mask, inode, stat);
	if (is_gone(inode))
		stat->nlink = 0;
	spin_unlock(&inode->i_lock);
	return 0;
}

int resctrl_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *change)
{
	struct inode *inode = d_inode(dentry);
	struct shim_attr attr = {};
	u32 set = 0;
	int err;

	refresh(inode);
	err = setattr_prepare(&nop_mnt_idmap, dentry, change);
	if (err)
		return err;

	/* The tree gets what the VFS made of it: that may take a bit of the mode away. */
	spin_lock(&inode->i_lock);
	setattr_copy(&nop_mnt_idmap, inode, change);
	attr.mode = inode->i_mode & S_IALLUGO;
	attr.uid = __kuid_val(inode->i_uid);
	attr.gid = __kgid_val(inode->i_gid);
	attr.atime_sec = inode_get_atime_sec(inode);
	attr.atime_nsec = inode_get_atime_nsec(inode);
	attr.mtime_sec = inode_get_mtime_sec(inode);
	attr.mtime_nsec = inode_get_mtime_nsec(inode);
	attr.ctime_sec = inode_get_ctime_sec(inode);
	attr.ctime_nsec = inode_get_ctime_nsec(inode);
	spin_unlock(&inode->i_lock);

	set |= change->ia_valid & ATTR_MODE ? SHIM_SET_MODE : 0;
	set |= change->ia_valid & ATTR_UID ? SHIM_SET_UID : 0;
	set |= change->ia_valid & ATTR_GID ? SHIM_SET_GID : 0;
	set |= change->ia_valid & ATTR_ATIME ? SHIM_SET_ATIME : 0;
	set |= change->ia_valid & ATTR_MTIME ? SHIM_SET_MTIME : 0;
	/* Changes the version, so that whoever overwrote the inode meanwhile has it read again. */
	rust_set_attr(inode->i_ino, set, &attr);
	return 0;
}

static const struct inode_operations resctrl_file_inode_operations = {
	.permission = resctrl_permission,
	.getattr = resctrl_getattr,
	.setattr = resctrl_setattr,
	.listxattr = resctrl_listxattr,
};

struct inode *resctrl_inode(struct super_block *sb, const struct shim_attr *attr,
			    const struct inode_operations *dir_inode_operations,
			    const struct file_operations *dir_operations)
{
	struct inode *inode = iget_locked(sb, attr->id);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!(inode_state_read_once(inode) & I_NEW)) {
		resctrl_update_inode(inode, attr);
		return inode;
	}
	if (attr->is_dir) {
		inode->i_op = dir_inode_operations;
		inode->i_fop = dir_operations;
	} else {
		inode->i_op = &resctrl_file_inode_operations;
		inode->i_fop = &resctrl_file_operations;
	}
	resctrl_update_inode(inode, attr);
	unlock_new_inode(inode);
	return inode;
}

/* ---- Extended attributes: those of kernfs without user.* ---- */

static int xattr_get(const struct xattr_handler *handler, struct dentry *unused, struct inode *inode,
		     const char *suffix, void *value, size_t size)
{
	const char *name = xattr_full_name(handler, suffix);

	return rust_xattr_get(inode->i_ino, name, strlen(name), value, size);
}

static int xattr_set(const struct xattr_handler *handler, struct mnt_idmap *idmap, struct dentry *unused,
		     struct inode *inode, const char *suffix, const void *value, size_t size, int flags)
{
	const char *name = xattr_full_name(handler, suffix);

	static_assert(SHIM_XATTR_CREATE == XATTR_CREATE && SHIM_XATTR_REPLACE == XATTR_REPLACE);
	return rust_xattr_set(inode->i_ino, name, strlen(name), value, size, flags);
}

static int xattr_get_none(const struct xattr_handler *handler, struct dentry *unused, struct inode *inode,
			  const char *suffix, void *value, size_t size)
{
	return -ENODATA;
}

static int xattr_set_none(const struct xattr_handler *handler, struct mnt_idmap *idmap,
			  struct dentry *unused, struct inode *inode, const char *suffix,
			  const void *value, size_t size, int flags)
{
	return -EOPNOTSUPP;
}

static const struct xattr_handler trusted_handler = {
	.prefix = XATTR_TRUSTED_PREFIX,
	.get = xattr_get,
	.set = xattr_set,
};

static const struct xattr_handler security_handler = {
	.prefix = XATTR_SECURITY_PREFIX,
	.get = xattr_get,
	.set = xattr_set,
};

static const struct xattr_handler user_handler = {
	.prefix = XATTR_USER_PREFIX,
	.get = xattr_get_none,
	.set = xattr_set_none,
};

const struct xattr_handler *const resctrl_xattr_handlers[] = {
	&trusted_handler,
	&security_handler,
	&user_handler,
	NULL
};

static bool is_listed(const char *name, bool privileged)
{
	if (!strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN))
		return privileged;
	/* Labels are listed by the security module whose they are. */
	return strncmp(name, XATTR_SECURITY_PREFIX, XATTR_SECURITY_PREFIX_LEN) ||
	       !security_ismaclabel(name + XATTR_SECURITY_PREFIX_LEN);
}

ssize_t resctrl_listxattr(struct dentry *dentry, char *buffer, size_t size)
{
	bool privileged = ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
	struct inode *inode = d_inode(dentry);
	ssize_t left = size, len;
	char *names = NULL, *name;
	size_t room = 0;

	len = security_inode_listsecurity(inode, &buffer, &left);
	if (len < 0)
		return len;
	/* Others may set one in between. */
	while ((len = rust_xattr_list(inode->i_ino, names, room)) > (ssize_t)room) {
		kvfree(names);
		room = len;
		names = kvmalloc(room, GFP_KERNEL);
		if (!names)
			return -ENOMEM;
	}
	for (name = names; name < names + len; name += strlen(name) + 1) {
		size_t bytes = strlen(name) + 1;

		if (!is_listed(name, privileged))
			continue;
		if (buffer && left < (ssize_t)bytes) {
			kvfree(names);
			return -ERANGE;
		}
		if (buffer) {
			memcpy(buffer, name, bytes);
			buffer += bytes;
		}
		left -= bytes;
	}
	kvfree(names);
	return size - left;
}

static int store_labels(struct inode *inode, const struct xattr *labels, void *stored)
{
	char name[XATTR_NAME_MAX + 1];
	int err;

	for (; labels->name; labels++) {
		scnprintf(name, sizeof(name), XATTR_SECURITY_PREFIX "%s", labels->name);
		err = rust_xattr_set(inode->i_ino, name, strlen(name), labels->value, labels->value_len,
				     SHIM_XATTR_CREATE);
		if (err)
			return err;
		*(bool *)stored = true;
	}
	return 0;
}

/* Gives a new node the labels that the security modules ask for. 1 if there are any. */
int resctrl_label(struct inode *inode, struct inode *dir, const struct qstr *name)
{
	bool stored = false;
	int err = security_inode_init_security(inode, dir, name, store_labels, &stored);

	return err ? err : stored;
}
