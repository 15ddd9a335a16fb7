// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file system towards the VFS.
 *
 * The tree is Rust's. A node's id is its inode number; inodes and dentries are
 * a cache over the tree that is checked at each use, since directories come
 * and go with CPUs behind the back of the VFS. What a user sees follows kernfs:
 * one write is one command, a read is one text, descriptors of nodes that have
 * gone say -ENODEV. shim_file.c has the regular files.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/rwsem.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>
#include <linux/uuid.h>
#include "shim.h"
#include "shim_file.h"

#define RESCTRL_MAGIC 0x07655821

/* ---- Attributes: those of the node, copied into the inode at each use ---- */

/* Makes a change of attributes atomic towards permission checks. Taken before Rust's tree lock. */
static DECLARE_RWSEM(attr_lock);

static void copy_attr(struct inode *inode, const struct shim_attr *attr)
{
	inode->i_mode = attr->mode | (attr->is_dir ? S_IFDIR : S_IFREG);
	inode->i_uid = KUIDT_INIT(attr->uid);
	inode->i_gid = KGIDT_INIT(attr->gid);
	inode_set_atime(inode, attr->atime_sec, attr->atime_nsec);
	inode_set_mtime(inode, attr->mtime_sec, attr->mtime_nsec);
	inode_set_ctime(inode, attr->ctime_sec, attr->ctime_nsec);
	set_nlink(inode, attr->nlink);
}

/* A node that has gone leaves its inode as it was, without links. */
static void refresh(struct inode *inode)
{
	struct shim_attr attr;

	if (rust_attr(inode->i_ino, &attr)) {
		copy_attr(inode, &attr);
	} else {
		/* Counted by the superblock, so once; attr_lock is shared. */
		spin_lock(&inode->i_lock);
		clear_nlink(inode);
		spin_unlock(&inode->i_lock);
	}
}

static int resctrl_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	int err;

	if (mask & MAY_NOT_BLOCK)
		return -ECHILD;
	down_read(&attr_lock);
	refresh(inode);
	err = generic_permission(&nop_mnt_idmap, inode, mask);
	up_read(&attr_lock);
	return err;
}

static int resctrl_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
			   u32 request_mask, unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);

	down_read(&attr_lock);
	refresh(inode);
	generic_fillattr(&nop_mnt_idmap, request_mask, inode, stat);
	up_read(&attr_lock);
	return 0;
}

static int resctrl_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *change)
{
	struct inode *inode = d_inode(dentry);
	struct shim_attr attr = {
		.mode = change->ia_mode & S_IALLUGO,
		.uid = __kuid_val(change->ia_uid),
		.gid = __kgid_val(change->ia_gid),
		.atime_sec = change->ia_atime.tv_sec,
		.atime_nsec = change->ia_atime.tv_nsec,
		.mtime_sec = change->ia_mtime.tv_sec,
		.mtime_nsec = change->ia_mtime.tv_nsec,
		.ctime_sec = change->ia_ctime.tv_sec,
		.ctime_nsec = change->ia_ctime.tv_nsec,
	};
	u32 set = 0;
	int err;

	set |= change->ia_valid & ATTR_MODE ? SHIM_SET_MODE : 0;
	set |= change->ia_valid & ATTR_UID ? SHIM_SET_UID : 0;
	set |= change->ia_valid & ATTR_GID ? SHIM_SET_GID : 0;
	set |= change->ia_valid & ATTR_ATIME ? SHIM_SET_ATIME : 0;
	set |= change->ia_valid & ATTR_MTIME ? SHIM_SET_MTIME : 0;

	down_write(&attr_lock);
	err = setattr_prepare(&nop_mnt_idmap, dentry, change);
	if (!err)
		err = rust_set_attr(inode->i_ino, set, &attr);
	if (!err)
		setattr_copy(&nop_mnt_idmap, inode, change);
	up_write(&attr_lock);
	return err;
}

static const struct inode_operations resctrl_file_inode_operations = {
	.permission = resctrl_permission,
	.getattr = resctrl_getattr,
	.setattr = resctrl_setattr,
};

/* ---- Directories ---- */

static const struct inode_operations resctrl_dir_inode_operations;
static const struct file_operations resctrl_dir_operations;

/* The inode of a node; NULL if the node has gone. */
static struct inode *node_inode(struct super_block *sb, u64 node)
{
	struct shim_attr attr;
	struct inode *inode;

	if (!rust_attr(node, &attr))
		return NULL;
	inode = iget_locked(sb, node);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!(inode_state_read_once(inode) & I_NEW))
		return inode;
	copy_attr(inode, &attr);
	if (attr.is_dir) {
		inode->i_op = &resctrl_dir_inode_operations;
		inode->i_fop = &resctrl_dir_operations;
	} else {
		inode->i_op = &resctrl_file_inode_operations;
		inode->i_fop = &resctrl_file_operations;
	}
	unlock_new_inode(inode);
	return inode;
}

static struct dentry *resctrl_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	u64 node;

	if (dentry->d_name.len > SHIM_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	node = rust_lookup(dir->i_ino, dentry->d_name.name, dentry->d_name.len);
	return d_splice_alias(node ? node_inode(dir->i_sb, node) : NULL, dentry);
}

/* That a name is not there is never remembered: CPUs may bring it. */
static int resctrl_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
			      unsigned int flags)
{
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (d_really_is_negative(dentry))
		return 0;
	return rust_is_linked(d_inode(dentry)->i_ino, dir->i_ino, name->name, name->len);
}

static const struct dentry_operations resctrl_dentry_operations = {
	.d_revalidate = resctrl_revalidate,
};

/* The new directory is left to the next look-up. */
static struct dentry *resctrl_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
				    umode_t mode)
{
	return ERR_PTR(rust_mkdir(dir->i_ino, dentry->d_name.name, dentry->d_name.len, mode & S_IALLUGO));
}

static int resctrl_rmdir(struct inode *dir, struct dentry *dentry)
{
	return rust_rmdir(d_inode(dentry)->i_ino);
}

static int resctrl_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old_dentry,
			  struct inode *new_dir, struct dentry *new_dentry, unsigned int flags)
{
	return rust_rename(d_inode(old_dentry)->i_ino, new_dir->i_ino, new_dentry->d_name.name,
			   new_dentry->d_name.len, flags);
}

static const struct inode_operations resctrl_dir_inode_operations = {
	.lookup = resctrl_lookup,
	.permission = resctrl_permission,
	.getattr = resctrl_getattr,
	.setattr = resctrl_setattr,
	.mkdir = resctrl_mkdir,
	.rmdir = resctrl_rmdir,
	.rename = resctrl_rename,
};

/* The position counts "." and "..", then it is Rust's. No lock is held while the user's buffer is written. */
static int resctrl_readdir(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	struct shim_entry entry;
	char *name;
	int found;

	if (!dir_emit_dots(file, ctx))
		return 0;
	name = kmalloc(SHIM_NAME_MAX, GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	while ((found = rust_next_entry(dir->i_ino, ctx->pos - 2, name, &entry)) > 0) {
		if (!dir_emit(ctx, name, entry.len, entry.id, entry.is_dir ? DT_DIR : DT_REG)) {
			found = 0;
			break;
		}
		ctx->pos = entry.position + 2;
	}
	kfree(name);
	return found;
}

static const struct file_operations resctrl_dir_operations = {
	.owner = THIS_MODULE,
	.read = generic_read_dir,
	.iterate_shared = resctrl_readdir,
	.llseek = generic_file_llseek,
};

/* ---- The superblock ---- */

static int resctrl_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	simple_statfs(dentry, buf);
	buf->f_fsid = uuid_to_fsid(dentry->d_sb->s_uuid.b);
	return 0;
}

static int resctrl_show_options(struct seq_file *seq, struct dentry *root)
{
	return rust_show_options(seq);
}

static const struct super_operations resctrl_super_operations = {
	.statfs = resctrl_statfs,
	.drop_inode = inode_just_drop,
	.show_options = resctrl_show_options,
};

struct resctrl_fs_context {
	/* Storage of Rust's. */
	u64 options[SHIM_OPTIONS_SIZE / sizeof(u64)];
	/* From here on the superblock's end unmounts. */
	bool has_super;
};

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct resctrl_fs_context *context = fc->fs_private;
	struct inode *root;

	context->has_super = true;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = RESCTRL_MAGIC;
	sb->s_op = &resctrl_super_operations;
	sb->s_time_gran = 1;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	/* Nothing is read from a disk to make a dentry or an inode again. */
	sb->s_shrink->seeks = 0;
	uuid_gen(&sb->s_uuid);
	sb->s_uuid_len = sizeof(sb->s_uuid);
	set_default_d_op(sb, &resctrl_dentry_operations);

	root = node_inode(sb, rust_root());
	if (IS_ERR_OR_NULL(root))
		return root ? PTR_ERR(root) : -ENODEV;
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int resctrl_get_tree(struct fs_context *fc)
{
	struct resctrl_fs_context *context = fc->fs_private;
	int err;

	err = shim_sched_watch();
	if (err)
		return err;
	err = rust_mount(context->options);
	if (err) {
		shim_sched_unwatch();
		return err;
	}
	err = get_tree_nodev(fc, fill_super);
	if (err && !context->has_super) {
		rust_unmount();
		shim_sched_unwatch();
	}
	return err;
}

static void resctrl_kill_sb(struct super_block *sb)
{
	rust_unmount();
	shim_sched_unwatch();
	kill_anon_super(sb);
}

/* Rust knows what the options mean; the table is for what the VFS says about any other. */
static const struct fs_parameter_spec resctrl_parameters[] = {
	fsparam_flag("cdp", 0),
	fsparam_flag("cdpl2", 0),
	fsparam_flag("mba_MBps", 0),
	fsparam_flag("debug", 0),
	{}
};

static int resctrl_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct resctrl_fs_context *context = fc->fs_private;
	struct fs_parse_result result;
	const char *message = NULL;
	size_t message_len = 0;
	int err = fs_parse(fc, resctrl_parameters, param, &result);

	if (err < 0)
		return err;
	err = rust_option(context->options, param->key, strlen(param->key), &message, &message_len);
	if (err && message)
		errorfc(fc, "%.*s", (int)message_len, message);
	return err;
}

static void resctrl_free_context(struct fs_context *fc)
{
	kfree(fc->fs_private);
}

static const struct fs_context_operations resctrl_context_operations = {
	.free = resctrl_free_context,
	.parse_param = resctrl_parse_param,
	.get_tree = resctrl_get_tree,
};

static int resctrl_init_fs_context(struct fs_context *fc)
{
	struct resctrl_fs_context *context = kzalloc(sizeof(*context), GFP_KERNEL);

	if (!context)
		return -ENOMEM;
	rust_options_init(context->options);
	fc->fs_private = context;
	fc->ops = &resctrl_context_operations;
	/* Only the initial user namespace's root mounts it, wherever the mount is made. */
	put_user_ns(fc->user_ns);
	fc->user_ns = get_user_ns(&init_user_ns);
	fc->global = true;
	return 0;
}

static struct file_system_type resctrl_fs_type = {
	.owner = THIS_MODULE,
	.name = "resctrl",
	.init_fs_context = resctrl_init_fs_context,
	.parameters = resctrl_parameters,
	.kill_sb = resctrl_kill_sb,
};

/* ---- Where it is found ---- */

static struct dentry *debug_dir;
static bool is_registered;

struct dentry *shim_debug_dir(void)
{
	return debug_dir;
}

static int stats_show(struct seq_file *seq, void *unused)
{
	return rust_show_stats(seq);
}
DEFINE_SHOW_ATTRIBUTE(stats);

int shim_vfs_start(void)
{
	int err = sysfs_create_mount_point(fs_kobj, "resctrl");

	if (err)
		return err;
	err = register_filesystem(&resctrl_fs_type);
	if (err) {
		pr_err("resctrl: another file system has the name resctrl\n");
		sysfs_remove_mount_point(fs_kobj, "resctrl");
		return err;
	}
	is_registered = true;
	debug_dir = debugfs_create_dir("resctrl", NULL);
	debugfs_create_file("stats", 0444, debug_dir, NULL, &stats_fops);
	return 0;
}

void shim_vfs_disable(void)
{
	if (is_registered) {
		debugfs_remove(debug_dir);
		unregister_filesystem(&resctrl_fs_type);
	}
	is_registered = false;
}

void shim_vfs_stop(void)
{
	sysfs_remove_mount_point(fs_kobj, "resctrl");
}
