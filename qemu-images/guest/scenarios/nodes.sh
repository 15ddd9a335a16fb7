#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Attributes of files and directories: extended ones, setgid, links, and that nobody sees an old one, however many look.
# needs: x86 l3.cat monitoring l3.closids>=3 rmids>=8 | mpam l3.cat monitoring l3.closids>=3 pmgs>=4
# machines: intel amd mpam
# lasts: 6
# timeout: 150
# seconds: LOOK_SECONDS=15 unasked=1
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

user=65534
as() {
	errno resctrl-sys as "$@"
}
get() {
	if value=$(resctrl-sys getxattr "$1" "$2" 2>&1); then echo "$value"; else errno_of "$value"; fi
}
names() {
	resctrl-sys listxattr "$1" | xargs
}

mount_resctrl >/dev/null
mkdir $M/p0 $M/mon_groups/m0
T=$M/p0/tasks

# Extended attributes.
is "abi-246 there are none at first" "" "$(names $T)$(names $M/p0)$(names $M)$(names $M/info)"
is "abi-247 one that is not there" "ENODATA ENODATA ENODATA ENODATA" \
	"$(get $T trusted.a) $(get $T security.a) $(get $T security.capability) $(get $T user.x)"
is "abi-246 they are set on files and directories" "ok ok ok ok" "$(Ws setxattr $T trusted.a one) $(
	Ws setxattr $M/p0 security.a two) $(Ws setxattr $M trusted.root '') $(Ws setxattr $M/info/L3 trusted.a three)"
is "abi-246 and read" "one two  three" \
	"$(get $T trusted.a) $(get $M/p0 security.a) $(get $M trusted.root) $(get $M/info/L3 trusted.a)"
Ws setxattr $T security.b four >/dev/null
Ws setxattr $T trusted.c five >/dev/null
is "abi-246 and listed, the oldest first" "trusted.a security.b trusted.c" "$(names $T)"
is "abi-246 a value changes in its place" "ok six, trusted.a security.b trusted.c" \
	"$(Ws setxattr $T trusted.a six replace) $(get $T trusted.a), $(names $T)"
is "abi-246 what must not be there, or must, or both" "EEXIST ENODATA EEXIST ENODATA" "$(
	Ws setxattr $T trusted.a x create) $(Ws setxattr $T trusted.x x replace) $(
	Ws setxattr $T trusted.a x create,replace) $(Ws setxattr $T trusted.x x create,replace)"
is "abi-246 they are removed, once" "ok ENODATA, trusted.a trusted.c" \
	"$(Ws removexattr $T security.b) $(Ws removexattr $T security.b), $(names $T)"
long=$(printf '%065535d' 0)
is "abi-246 values of nearly 64 KiB" "ok 65535" "$(Ws setxattr $T trusted.long "$long") $(get $T trusted.long | tr -d '\n' | wc -c)"
resctrl-sys setxattrs $M/p0/mode trusted.n 200
is "abi-246 as many as root likes" "200 200" "$(resctrl-sys listxattr $M/p0/mode | wc -l) $(get $M/p0/mode trusted.n200)"
is "abi-248 none of users" "EOPNOTSUPP EOPNOTSUPP" "$(Ws setxattr $T user.x 1) $(Ws removexattr $T user.x)"
is "abi-248 nor others, nor access lists" "EOPNOTSUPP EOPNOTSUPP" \
	"$(Ws setxattr $T bogus 1) $(get $T system.posix_acl_access)"
is "abi-249 a user without privileges sets none" "EPERM EPERM EPERM" "$(as $user resctrl-sys setxattr $T trusted.a x) $(
	as $user resctrl-sys setxattr $T security.a x) $(as $user resctrl-sys removexattr $T trusted.a)"
Ws setxattr $T security.seen yes >/dev/null
is "abi-249 and sees those of security alone" "security.seen, ENODATA yes" \
	"$(resctrl-sys as $user resctrl-sys listxattr $T | xargs), $(as $user resctrl-sys getxattr $T trusted.a) $(
		resctrl-sys as $user resctrl-sys getxattr $T security.seen)"
sync
echo 2 >/proc/sys/vm/drop_caches
is "abi-250 they outlive what the kernel keeps of a file" "six two" "$(get $T trusted.a) $(get $M/p0 security.a)"
Ws setxattr $M/mon_groups/m0/tasks trusted.a moves >/dev/null
Ws rename $M/mon_groups/m0 $M/mon_groups/m1 >/dev/null
is "abi-250 and a rename" moves "$(get $M/mon_groups/m1/tasks trusted.a)"
rmdir $M/mon_groups/m1
mkdir $M/mon_groups/m1
is "abi-250 and are not those of another of that name" ENODATA "$(get $M/mon_groups/m1/tasks trusted.a)"

# A bit that the kernel takes away stays away.
chown $user:0 $M/p0/size
is "abi-251 setgid of a group that is not the owner's" "ok 555" "$(as $user chmod 2555 $M/p0/size) $(stat -c %a $M/p0/size)"
is "abi-251 root can" "2555" "$(chmod 2555 $M/p0/size; stat -c %a $M/p0/size)"
is "abi-251 and a new owner takes it away, where others could run it" "555" "$(chown 1:1 $M/p0/size; stat -c %a $M/p0/size)"

# Attributes are what the last one made them, for whoever looks, while others look and groups come and go.
look() {
	while [ -e /tmp/look ]; do
		stat $T $M/p0/mon_data/*/* $M/nosuch $M/mon_groups/* >/dev/null 2>&1
	done
}
touch /tmp/look
for n in 1 2; do look & done
old=0 made=0
read -r up _ </proc/uptime
end=$((${up%.*} + ${LOOK_SECONDS:-15}))
# On a busy host it may take longer for groups to have come and gone.
while read -r up _ </proc/uptime && { [ "${up%.*}" -lt "$end" ] || [ "$made" -lt 2 ]; }; do
	chmod 600 $T
	[ "$(stat -c %a $T) $(as $user cat $T)" = "600 EACCES" ] || old=$((old + 1))
	chmod 644 $T
	[ "$(stat -c %a $T) $(as $user cat $T)" = "644 ok" ] || old=$((old + 1))
	# Where there are few ids, all may be in limbo: then there is no new group to look for.
	mkdir $M/mon_groups/x 2>/dev/null || continue
	made=$((made + 1))
	[ -e $M/mon_groups/x/tasks ] || old=$((old + 1))
	rmdir $M/mon_groups/x
	[ -e $M/mon_groups/x/tasks ] && old=$((old + 1))
done
is "abi-252 nobody sees an old attribute or an old name" 0 "$old"
check "abi-252 names have come and gone meanwhile" [ "$made" -gt 1 ]
chmod 777 $M
is "abi-252 nor is a name remembered that is there by now" "no ok yes" \
	"$([ -e $M/new ] && echo yes || echo no) $(as $user resctrl-sys mkdir $M/new) $([ -e $M/new/tasks ] && echo yes)"
chmod 555 $M
rm /tmp/look
wait
rmdir $M/new

# Links, of who is there and of who has gone.
links() {
	stat -c %h "$1"
}
before=$(links $M)
mkdir $M/p1
is "abi-253 a group is a link of its parent's" "$((before + 1)) $before" "$(links $M) $(rmdir $M/p1; links $M)"
exec 7<$T
exec 8<$M/p0
rmdir $M/p0
is "abi-253 what has gone has none" "0 0" "$(stat -L -c %h /proc/self/fd/7) $(stat -L -c %h /proc/self/fd/8)"
is "abi-254 and keeps nobody from mounting read-only" "ok EROFS" "$(errno mount -o remount,ro $M) $(errno mkdir $M/p1)"
mount -o remount,rw $M
exec 7<&-
exec 8<&-
rmdir $M/p1 2>/dev/null
is "abi-254 nor writable again" ok "$(errno mkdir $M/p1)"
umount_resctrl

mount_resctrl >/dev/null
is "abi-250 a new mount has none" "" "$(names $M/tasks)$(names $M)"
umount_resctrl
finish
