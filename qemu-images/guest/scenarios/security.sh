#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Who may do what: users without privileges, credentials of writers, user and pid namespaces, modes of files.
# needs: allocation monitoring
# machines: intel
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

user=65534
# as IDS COMMAND...: as that user; prints ok or the errno's name.
as() {
	errno resctrl-sys as "$@"
}
mkdir -p /tmp/mnt
is "abi-5 a user without privileges cannot mount" EPERM "$(as $user resctrl-sys mount resctrl /tmp/mnt resctrl)"
is "abi-5 nor one who is root of a user namespace only" EPERM \
	"$(as $user unshare -U -r -m resctrl-sys mount resctrl /tmp/mnt resctrl)"
is "abi-5 nor root in such a namespace" EPERM "$(errno unshare -U -r -m resctrl-sys mount resctrl /tmp/mnt resctrl)"
is "abi-5 root of the machine can" ok "$(mount_resctrl)"
is "abi-5 from a mount namespace of its own it is busy as from any" EBUSY \
	"$(errno unshare -m resctrl-sys mount resctrl /tmp/mnt resctrl)"
mkdir $M/p0 $M/p1

# The modes of files.
T=$M/p0/tasks
sleep 1000 &
roots=$!
resctrl-sys as $user sleep 1000 &
users=$!
sleep 0.3
is "anybody reads the files of a group" "ok ok" "$(as $user cat $M/schemata) $(as $user cat $T)"
is "and the status" ok "$(as $user cat $M/info/last_cmd_status)"
is "but writes none" "EACCES EACCES EACCES" "$(as $user resctrl-sys write $T $users) $(
	as $user resctrl-sys write $M/schemata 'MB:0=50\n') $(
	as $user resctrl-sys write $M/info/L3_MON/max_threshold_occupancy 0)"
is "nor makes or removes a group" "EACCES EACCES" "$(as $user resctrl-sys mkdir $M/p2) $(as $user rmdir $M/p1)"
is "nor changes a mode" EPERM "$(as $user chmod 666 $T)"
resctrl-sys mkdir $M/closed 700
is "abi-135 a group of mode 700 is closed to others" EACCES "$(as $user cat $M/closed/mode)"
rmdir $M/closed

# A group is given to a user: tasks of his own he moves, and no others.
chown $user $T
is "abi-94 the owner of the file moves his own task" ok "$(as $user resctrl-sys write $T $users)"
check "abi-94 there it is" grep -qx $users $T
is "abi-94 but nobody else's" "EPERM, No permission to move task $roots / Error while processing task $roots" \
	"$(as $user resctrl-sys write $T $roots), $(lcs)"
is "abi-94 nor a kernel thread" "EPERM, No permission to move task 2 / Error while processing task 2" \
	"$(as $user resctrl-sys write $T 2), $(lcs)"
is "abi-94 he moves himself" ok "$(as $user resctrl-sys write $T 0)"
is "abi-94 the first of a list moves before the second is refused" "EPERM yes" "$(
	Wn $M/tasks $users >/dev/null
	as $user resctrl-sys write $T "$users,$roots"
) $(grep -qx $users $T && echo yes)"

# Whose credentials count: those of the writer when he writes, his effective user id, and the task's real and saved ones.
resctrl-sys as 2000/1000/1000 sleep 1000 &
mixed=$!
sleep 0.3
is "abi-94 the task's real user" ok "$(chmod 666 $T; as 2000 resctrl-sys write $T $mixed)"
is "abi-94 the task's saved user" ok "$(as 1000 resctrl-sys write $T $mixed)"
is "abi-94 a third user" "EPERM" "$(as 3000 resctrl-sys write $T $mixed)"
is "abi-94 a writer who is root by his real id only" EPERM "$(as 0/3000/3000 resctrl-sys write $T $mixed)"
is "abi-94 a writer who is root in effect" ok "$(as 3000/0/0 resctrl-sys write $T $mixed)"
exec 7>$T
is "abi-94 a descriptor that root has opened moves no more" EPERM \
	"$(errno resctrl-sys as $user sh -c "resctrl-sys write /proc/self/fd/7 $roots")"
exec 7>&-

# User namespaces: their root is nobody in particular, and rules no file that is not of the namespace.
inside() {
	as $user unshare -U -r "$@"
}
is "abi-94 root of a user namespace moves his own" ok "$(inside resctrl-sys write $T $users)"
is "abi-94 but nobody else's" EPERM "$(inside resctrl-sys write $T $roots)"
chmod 600 $M/p1/tasks
is "and may not what the mode forbids" "EACCES EPERM EACCES" "$(inside resctrl-sys write $M/p1/tasks 0) $(
	inside chmod 666 $M/p1/tasks) $(inside resctrl-sys mkdir $M/p2)"
chmod 777 $M
is "abi-33 what he makes is his as seen from outside" "ok $user:$user" \
	"$(inside resctrl-sys mkdir $M/theirs) $(stat -c %u:%g $M/theirs/schemata)"
# What the machine can limit, in its first domain.
other=$(sed -n 's/^ *\(MB\|L[23]\):\([0-9]*\)=.*/\1:\2/p' $M/theirs/schemata | head -n 1)
case $other in MB*) other="$other=50" ;; *) other="$other=3" ;; esac
is "abi-33 he changes what he owns" "ok" "$(inside resctrl-sys write $M/theirs/schemata "$other\n")"
is "abi-33 and removes it" "ok no" "$(inside rmdir $M/theirs) $([ -e $M/theirs ] && echo yes || echo no)"
chmod 555 $M

# Pid namespaces: a task is called there as it is there, or not at all.
cat >/tmp/pids <<'END'
resctrl-sys write $1 1 || exit
while read -r pid; do echo "$pid"; done <$1
END
Wn $M/tasks "$users,$mixed" >/dev/null
is "abi-100 a reader in a pid namespace sees the tasks it can name" 1 "$(unshare -p -f sh /tmp/pids $M/p1/tasks | xargs)"
is "abi-100 none of others" "" "$(unshare -p -f sh -c "while read -r pid; do echo \$pid; done <$M/p0/tasks" | xargs)"
is "abi-100 and cannot name others" "ESRCH" "$(errno unshare -p -f resctrl-sys write $M/p1/tasks $roots)"

kill $roots $users $mixed
umount_resctrl
is "abi-21 it mounts read-only" ok "$(mount_resctrl ro)"
is "abi-21 root cannot write either" "EROFS EROFS EROFS" \
	"$(Wn $M/tasks $$) $(errno mkdir $M/p0) $(errno chmod 666 $M/tasks)"
umount_resctrl
finish
