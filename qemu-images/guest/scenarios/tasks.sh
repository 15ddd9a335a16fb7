#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Tasks: who moves where, by what number, and what is refused.
# needs: l3.cat monitoring mon_groups>=1
# machines: intel amd mpam mpam-2l3 mpam-split
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
mkdir $M/p0 $M/p0/mon_groups/m0 $M/p1 $M/mon_groups/r0
T=$M/p0/tasks

sleep 1000 &
a=$!
sleep 1000 &
b=$!
sleep 1000 &
c=$!
in_group() {
	# group $1 lists task $2
	grep -qx "$2" "$M/$1/tasks" && echo yes || echo no
}

accepted "abi-88 one task" $T $a
is "abi-88 is listed there and no more in root" "yes no" "$(in_group p0 $a) $(in_group . $a)"
resctrl-sys write $T '0\n'
is "abi-89 0 is the writer" ok "$(sh -c "echo 0 >$T && grep -qx \$\$ $T" && echo ok)"
is "abi-91 several at once" ok "$(W $T $a,$b)"
is "abi-91 a bad one in the middle keeps the earlier moves" \
	"EINVAL, Task list parsing error pid x, yes no" "$(W $M/p1/tasks "$a,x,$b"), $(lcs), $(in_group p1 $a) $(in_group p1 $b)"
is "abi-92 no number" "EINVAL, Task list parsing error pid x" "$(W $T x), $(lcs)"
is "abi-92 a negative number" "EINVAL, Invalid pid -5" "$(W $T -5), $(lcs)"
is "abi-93 no such task" "ESRCH, No task 4000000 / Error while processing task 4000000" "$(W $T 4000000), $(lcs)"
is "abi-102 an empty token" "EINVAL, Task list parsing error pid " "$(W $T $a,,$b), $(lcs)"
is "abi-102 a comma at the end" ok "$(W $T $a,)"
is "abi-101 a hexadecimal number" ok "$(W $M/p1/tasks 0x$(printf %x $a))"
is "abi-101 moves that task" yes "$(in_group p1 $a)"
is "abi-101 an octal number" ok "$(W $T 0$(printf %o $a))"
is "blanks around a number" ok "$(W $T " $a , $b ")"
is "two lines are no list" "EINVAL" "$(W $T "$a\\n$b")"
is "a lone newline" ok "$(Wn $T "")"

is "abi-95 a monitoring group takes tasks of its parent only" \
	"EINVAL, Can't move task to different control group / Error while processing task $c" \
	"$(W $M/p0/mon_groups/m0/tasks $c), $(lcs)"
accepted "a task of the parent" $M/p0/mon_groups/m0/tasks $a
is "abi-97 the parent still lists it" "yes yes" "$(in_group p0 $a) $(in_group p0/mon_groups/m0 $a)"
accepted "abi-96 moving it to the parent" $T $a
is "abi-96 takes it out of the monitoring group" "yes no" "$(in_group p0 $a) $(in_group p0/mon_groups/m0 $a)"

resctrl-sys threads 3 </dev/zero >/tmp/threads &
threads=$!
sleep 0.5
main=$(sed -n 1p /tmp/threads)
second=$(sed -n 2p /tmp/threads)
accepted "abi-90 one thread of several" $T "$second"
is "abi-90 only that one moves" "no yes" "$(in_group p0 "$main") $(in_group p0 "$second")"
kill $threads

accepted "the shell itself" $M/p0/mon_groups/m0/tasks "" 
accepted "to the parent first" $T $$
accepted "then to the monitoring group" $M/p0/mon_groups/m0/tasks $$
sleep 1000 &
child=$!
is "abi-98 a child is born in the groups of its parent" "yes yes" "$(in_group p0 $child) $(in_group p0/mon_groups/m0 $child)"
rmdir $M/p0/mon_groups/m0
is "abi-99 tasks of a removed monitoring group stay with the parent" yes "$(in_group p0 $child)"
rmdir $M/p0
is "abi-99 tasks of a removed group are in root" "yes yes" "$(in_group . $child) $(in_group . $$)"

chmod 666 $M/p1/tasks
is "abi-94 somebody else's task" "EPERM, No permission to move task $c / Error while processing task $c" \
	"$(errno resctrl-sys as 65534:65534 resctrl-sys write $M/p1/tasks $c), $(lcs)"
kill $a $b $c $child
umount_resctrl
finish
