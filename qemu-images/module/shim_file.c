// SPDX-License-Identifier: GPL-2.0-only
/* Regular files: a text to read, commands to write. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
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

/* Also at the end of the text a descriptor of a node that has gone says so; at its beginning, the reading does. */
static void *seq_start(struct seq_file *seq, loff_t *pos)
{
	if (!*pos)
		return SEQ_START_TOKEN;
	return is_gone(file_of(seq)) ? ERR_PTR(-ENODEV) : NULL;
}

static void *seq_next(struct seq_file *seq, void *token, loff_t *pos)
{
	++*pos;
	return NULL;
}

static void seq_stop(struct seq_file *seq, void *token)
{
}

/* Takes over what was filled of the room. If that was all of it, everything is asked for again with more. */
int resctrl_seq_filled(struct seq_file *seq, ssize_t filled, size_t room)
{
	if (filled < 0)
		return filled;
	seq_commit(seq, filled < room ? filled : -1);
	return 0;
}

static int seq_show(struct seq_file *seq, void *token)
{
	char *text;
	size_t room = seq_get_buf(seq, &text);

	return resctrl_seq_filled(seq, rust_read(file_inode(file_of(seq))->i_ino, text, room), room);
}

static const struct seq_operations resctrl_seq_operations = {
	.start = seq_start,
	.next = seq_next,
	.stop = seq_stop,
	.show = seq_show,
};

static int resctrl_open(struct inode *inode, struct file *file)
{
	return rust_open(inode->i_ino, (file->f_mode & FMODE_READ ? SHIM_OPEN_READ : 0) |
				       (file->f_mode & FMODE_WRITE ? SHIM_OPEN_WRITE : 0));
}

/*
 * What an open file remembers in private_data. Texts are mostly short and read
 * in one piece, and of those it only knows where they ended: this makes an odd
 * number of that. A text that is longer, or read piece by piece, is kept in a
 * seq_file, which stays from then on. Who reads without knowing how long a text
 * is may begin with a small piece: Rust's standard library does with 32 bytes.
 */
static void *ended_at(loff_t pos)
{
	return (void *)((unsigned long)pos << 1 | 1);
}

static bool is_seq(const void *remembered)
{
	return remembered && !((unsigned long)remembered & 1);
}

static int make_seq(struct file *file)
{
	static struct lock_class_key key;
	void *remembered = READ_ONCE(file->private_data), *before;
	struct seq_file *seq;

	seq = kzalloc(sizeof(*seq), GFP_KERNEL);
	if (!seq)
		return -ENOMEM;
	mutex_init_with_key(&seq->lock, &key);
	seq->op = &resctrl_seq_operations;
	seq->file = file;
	seq->private = file;
	/* Others may read, too. */
	while (!is_seq(remembered)) {
		before = cmpxchg(&file->private_data, remembered, seq);
		if (before == remembered)
			return 0;
		remembered = before;
	}
	kfree(seq);
	return 0;
}

static int resctrl_release(struct inode *inode, struct file *file)
{
	struct seq_file *seq = file->private_data;

	if (is_seq(seq)) {
		kvfree(seq->buf);
		kfree(seq);
	}
	return 0;
}

/* Nearly all texts are shorter. */
#define SHORT_TEXT 512

/*
 * Keeps a text of which a part has gone to its reader, as seq_read_iter() leaves
 * it: what is left is where it begins the next time. If there is no memory, or
 * another reader was faster, that puts the text together anew.
 */
static void keep_rest(struct file *file, const char *text, size_t len, size_t gone)
{
	struct seq_file *seq;

	if (make_seq(file))
		return;
	seq = READ_ONCE(file->private_data);
	mutex_lock(&seq->lock);
	if (!seq->buf) {
		/* Longer than the text, or it would be taken for one that does not fit. */
		seq->buf = kvmalloc(len + 1, GFP_KERNEL_ACCOUNT);
		if (seq->buf) {
			memcpy(seq->buf, text, len);
			seq->size = len + 1;
			seq->from = gone;
			seq->count = len - gone;
			seq->read_pos = gone;
			/* There is one record, and that was shown. */
			seq->index = 1;
		}
	}
	mutex_unlock(&seq->lock);
}

/* From the beginning. SHORT_TEXT if the text is not short; then nothing was read. */
static noinline_for_stack ssize_t read_short(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	void *remembered = READ_ONCE(file->private_data);
	char text[SHORT_TEXT];
	ssize_t len = rust_read(file_inode(file)->i_ino, text, sizeof(text));
	size_t wanted, copied;

	if (len < 0 || len == SHORT_TEXT)
		return len;
	wanted = min_t(size_t, len, iov_iter_count(to));
	copied = copy_to_iter(text, wanted, to);
	if (copied < wanted)
		return copied ?: -EFAULT;
	if (wanted < len)
		keep_rest(file, text, len, wanted);
	else if (!is_seq(remembered))
		cmpxchg(&file->private_data, remembered, ended_at(len));
	return wanted;
}

static ssize_t resctrl_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	void *remembered = READ_ONCE(file->private_data);
	ssize_t len;
	int err;

	if (!iov_iter_count(to))
		return 0;
	if (!is_seq(remembered)) {
		if (!iocb->ki_pos) {
			len = read_short(iocb, to);
			if (len != SHORT_TEXT) {
				iocb->ki_pos += len < 0 ? 0 : len;
				return len;
			}
		} else if (remembered == ended_at(iocb->ki_pos)) {
			return is_gone(file) ? -ENODEV : 0;
		}
		err = make_seq(file);
		if (err)
			return err;
	}
	return seq_read_iter(iocb, to);
}

/* Nearly all commands are shorter. */
#define SHORT_COMMAND 128

static ssize_t resctrl_write(struct kiocb *iocb, struct iov_iter *from)
{
	size_t len = iov_iter_count(from);
	char few[SHORT_COMMAND];
	char *command = few;
	int err;

	if (len > PAGE_SIZE)
		return -E2BIG;
	if (len > sizeof(few))
		command = kmalloc(len, GFP_KERNEL);
	if (!command)
		return -ENOMEM;
	if (copy_from_iter(command, len, from) == len)
		err = rust_write(file_inode(iocb->ki_filp)->i_ino, command, len);
	else
		err = -EFAULT;
	if (command != few)
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
	.release = resctrl_release,
	.read_iter = resctrl_read,
	.write_iter = resctrl_write,
	.llseek = resctrl_llseek,
	.poll = resctrl_poll,
	.fsync = noop_fsync,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
};
