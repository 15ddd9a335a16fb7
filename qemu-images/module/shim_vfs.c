// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file system towards the VFS.
 *
 * The tree is Rust's. A node's id is its inode number; inodes and dentries are
 * a cache over the tree that is checked at each use, since directories come
 * and go with CPUs behind the back of the VFS. A dentry remembers the tree's
 * version with which its name was looked up, in d_time: while the tree has that
 * version nobody is asked. What a user sees follows kernfs: one write is one
 * command, a read is one text, descriptors of nodes that have gone say -ENODEV.
 * shim_inode.c has the inodes, shim_file.c the regular files.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>
#include <linux/uuid.h>
#include "shim.h"
#include "shim_file.h"
#include "shim_inode.h"

#define RESCTRL_MAGIC 0x07655821

/* ---- Directories ---- */

static const struct inode_operations resctrl_dir_inode_operations;
static const struct file_operations resctrl_dir_operations;

static struct inode *node_inode(struct super_block *sb, const struct shim_attr *attr)
{
	return resctrl_inode(sb, attr, &resctrl_dir_inode_operations, &resctrl_dir_operations);
}

/* That there is no such name is remembered, too. */
static struct dentry *resctrl_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct inode *inode = NULL;
	struct shim_attr attr;

	static_assert(SHIM_NAME_MAX == PATH_MAX - 1);
	if (dentry->d_name.len > SHIM_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (rust_entry(dir->i_ino, dentry->d_name.name, dentry->d_name.len, &attr))
		inode = node_inode(dir->i_sb, &attr);
	dentry->d_time = attr.version;
	return d_splice_alias(inode, dentry);
}

static int resctrl_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
			      unsigned int flags)
{
	struct shim_attr attr;
	struct inode *inode;

	if (READ_ONCE(dentry->d_time) == rust_tree_version())
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	inode = d_inode(dentry);
	rust_entry(dir->i_ino, name->name, name->len, &attr);
	if (attr.id != (inode ? inode->i_ino : 0))
		return 0;
	if (inode)
		resctrl_update_inode(inode, &attr);
	WRITE_ONCE(dentry->d_time, attr.version);
	return 1;
}

static const struct dentry_operations resctrl_dentry_operations = {
	.d_revalidate = resctrl_revalidate,
};

static const char *entry_name(const struct shim_entry *entry)
{
	return (const char *)(entry + 1);
}

static const struct shim_entry *next_entry(const struct shim_entry *entry)
{
	return (const void *)entry + ALIGN(sizeof(*entry) + entry->len + 1, __alignof__(*entry));
}

/* Labels a new node and, if the security modules had a label for it, all that is in it. */
static int label_all(struct inode *dir, const char *name, u32 len)
{
	struct qstr qname = QSTR_INIT(name, len);
	const struct shim_entry *entry, *end;
	struct shim_attr attr;
	struct inode *inode;
	void *entries;
	u64 after = 0;
	int result;

	if (!rust_entry(dir->i_ino, name, len, &attr))
		return 0;
	inode = node_inode(dir->i_sb, &attr);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	result = resctrl_label(inode, dir, &qname);
	entries = result > 0 && attr.is_dir ? kmalloc(SHIM_ENTRIES_SIZE, GFP_KERNEL) : NULL;
	if (result > 0 && attr.is_dir && !entries)
		result = -ENOMEM;
	while (result >= 0 && entries) {
		result = rust_entries(inode->i_ino, after, entries, SHIM_ENTRIES_SIZE);
		if (result <= 0)
			break;
		end = entries + result;
		for (entry = entries; entry < end && result >= 0; entry = next_entry(entry)) {
			after = entry->position;
			result = label_all(inode, entry_name(entry), entry->len);
		}
	}
	kfree(entries);
	iput(inode);
	return min(result, 0);
}

/* The new directory is left to the next look-up. */
static struct dentry *resctrl_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
				    umode_t mode)
{
	const struct qstr *name = &dentry->d_name;
	struct shim_attr attr;
	int err = rust_mkdir(dir->i_ino, name->name, name->len, mode & S_IALLUGO);

	if (err)
		return ERR_PTR(err);
	err = label_all(dir, name->name, name->len);
	if (err && rust_entry(dir->i_ino, name->name, name->len, &attr))
		rust_rmdir(attr.id);
	return ERR_PTR(err);
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
	.listxattr = resctrl_listxattr,
	.mkdir = resctrl_mkdir,
	.rmdir = resctrl_rmdir,
	.rename = resctrl_rename,
};

/* Memory of the kernel is filled with zeros before it is given out, and these are asked for often. */
#define FEW_ENTRIES 768

/* The position counts "." and "..", then it is Rust's. No lock is held while the user's buffer is written. */
static int resctrl_readdir(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	const struct shim_entry *entry, *end;
	u64 few[FEW_ENTRIES / sizeof(u64)];
	void *many = NULL, *entries = few;
	size_t size = sizeof(few);
	int found;

	if (!dir_emit_dots(file, ctx))
		return 0;
	for (;;) {
		found = rust_entries(dir->i_ino, ctx->pos - 2, entries, size);
		/* A name that is longer than all of few. */
		if (found == -ERANGE && !many) {
			many = kmalloc(SHIM_ENTRIES_SIZE, GFP_KERNEL);
			if (!many)
				return -ENOMEM;
			entries = many;
			size = SHIM_ENTRIES_SIZE;
			continue;
		}
		if (found <= 0)
			break;
		end = entries + found;
		for (entry = entries; entry < end; entry = next_entry(entry)) {
			if (!dir_emit(ctx, entry_name(entry), entry->len, entry->id,
				      entry->is_dir ? DT_DIR : DT_REG)) {
				found = 0;
				goto full;
			}
			ctx->pos = entry->position + 2;
		}
	}
full:
	kfree(many);
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
	char *text;
	size_t room = seq_get_buf(seq, &text);

	return resctrl_seq_filled(seq, rust_show_options(text, room), room);
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
	struct shim_attr attr;
	struct inode *root;

	context->has_super = true;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = RESCTRL_MAGIC;
	sb->s_op = &resctrl_super_operations;
	sb->s_xattr = resctrl_xattr_handlers;
	sb->s_time_gran = 1;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	/* Nothing is read from a disk to make a dentry or an inode again. */
	sb->s_shrink->seeks = 0;
	uuid_gen(&sb->s_uuid);
	sb->s_uuid_len = sizeof(sb->s_uuid);
	set_default_d_op(sb, &resctrl_dentry_operations);

	if (!rust_attr(rust_root(), &attr))
		return -ENODEV;
	root = node_inode(sb, &attr);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int resctrl_get_tree(struct fs_context *fc)
{
	struct resctrl_fs_context *context = fc->fs_private;
	int err;

	err = rust_mount(context->options);
	if (err)
		return err;
	err = get_tree_nodev(fc, fill_super);
	if (err && !context->has_super)
		rust_unmount();
	return err;
}

static void resctrl_kill_sb(struct super_block *sb)
{
	rust_unmount();
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
	char *text;
	size_t room = seq_get_buf(seq, &text);

	return resctrl_seq_filled(seq, rust_show_stats(text, room), room);
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
