// SPDX-License-Identifier: GPL-2.0-only
/* Regular files: a text to read, commands to write. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "shim.h"
#include "shim_file.h"

static bool is_gone(const struct file *file)
{
	struct shim_attr attr;

	return !rust_attr(file_inode(file)->i_ino, &attr);
}

static struct file *file_of(struct seq_file *seq)
{
	return seq->private;
}

/* Also at the end of the text a descriptor of a node that has gone says so. */
static void *seq_start(struct seq_file *seq, loff_t *pos)
{
	if (is_gone(file_of(seq)))
		return ERR_PTR(-ENODEV);
	return *pos ? NULL : SEQ_START_TOKEN;
}

static void *seq_next(struct seq_file *seq, void *token, loff_t *pos)
{
	++*pos;
	return NULL;
}

static void seq_stop(struct seq_file *seq, void *token)
{
}

/* Runs again, with a larger buffer, if the text did not fit. */
static int seq_show(struct seq_file *seq, void *token)
{
	return rust_read(file_inode(file_of(seq))->i_ino, seq);
}

static const struct seq_operations resctrl_seq_operations = {
	.start = seq_start,
	.next = seq_next,
	.stop = seq_stop,
	.show = seq_show,
};

void shim_seq_write(struct seq_file *seq, const char *bytes, size_t len)
{
	seq_write(seq, bytes, len);
}

static int resctrl_open(struct inode *inode, struct file *file)
{
	struct seq_file *seq;
	int err;

	err = rust_open(inode->i_ino, (file->f_mode & FMODE_READ ? SHIM_OPEN_READ : 0) |
				      (file->f_mode & FMODE_WRITE ? SHIM_OPEN_WRITE : 0));
	if (err)
		return err;
	err = seq_open(file, &resctrl_seq_operations);
	if (err)
		return err;
	seq = file->private_data;
	seq->private = file;
	/* seq_open() takes pwrite() away; here every position is as good as another. */
	if (file->f_mode & FMODE_WRITE)
		file->f_mode |= FMODE_PWRITE;
	return 0;
}

static ssize_t resctrl_write(struct kiocb *iocb, struct iov_iter *from)
{
	size_t len = iov_iter_count(from);
	char *command;
	int err;

	if (len > PAGE_SIZE)
		return -E2BIG;
	command = kmalloc(len + 1, GFP_KERNEL);
	if (!command)
		return -ENOMEM;
	if (copy_from_iter(command, len, from) == len)
		err = rust_write(file_inode(iocb->ki_filp)->i_ino, command, len);
	else
		err = -EFAULT;
	kfree(command);
	if (err)
		return err;
	iocb->ki_pos += len;
	return len;
}

static loff_t resctrl_llseek(struct file *file, loff_t offset, int whence)
{
	if (is_gone(file))
		return -ENODEV;
	return generic_file_llseek(file, offset, whence);
}

/* Nothing ever announces a change, so a file is ready until its node goes. */
static __poll_t resctrl_poll(struct file *file, poll_table *wait)
{
	return is_gone(file) ? DEFAULT_POLLMASK | EPOLLERR | EPOLLPRI : DEFAULT_POLLMASK;
}

const struct file_operations resctrl_file_operations = {
	.owner = THIS_MODULE,
	.open = resctrl_open,
	.release = seq_release,
	.read_iter = seq_read_iter,
	.write_iter = resctrl_write,
	.llseek = resctrl_llseek,
	.poll = resctrl_poll,
	.fsync = noop_fsync,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
};
