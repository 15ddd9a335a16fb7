#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What all files have in common: modes, newlines, offsets, sizes, stale descriptors, the status.
# needs: l3.cat l3.min_bits<=1 l3.first_id=0 llc_occupancy
# machines: intel amd mpam
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
mkdir $M/p0

for file in size info/last_cmd_status info/L3/cbm_mask info/L3_MON/mon_features; do
	is "abi-22 $file cannot be opened for writing" EACCES "$(Ws open wronly $M/$file)"
done
event=$M/mon_data/mon_L3_00/llc_occupancy
chmod 644 $event
is "abi-23 an event file cannot be opened for writing, even after chmod" EACCES "$(Ws open wronly $event)"
chmod 644 $M/p0/size
is "abi-24 writing size after chmod is refused" EINVAL "$(W $M/p0/size '1\n')"

W $M/tasks x >/dev/null
is "abi-25 the status before" "Task list parsing error pid x" "$(lcs)"
is "abi-25 more than a page is too big" E2BIG "$(Ws fill $M/tasks 1 4097)"
is "abi-25 and leaves the status" "Task list parsing error pid x" "$(lcs)"

is "abi-26 schemata without a newline" "EINVAL, schemata: Invalid input" "$(W $M/schemata L3:0=1), $(lcs)"
is "abi-27 mode without a newline" "EINVAL, mode: Invalid input" "$(W $M/mode shareable), $(lcs)"
is "abi-28 an empty write to schemata" EINVAL "$(W $M/schemata '')"
is "abi-28 an empty write to tasks" ok "$(W $M/tasks '')"
is "abi-28 an empty write to mode" "EINVAL, mode: Invalid input" "$(W $M/mode ''), $(lcs)"

W $M/tasks x >/dev/null
cat $M/p0/tasks >/dev/null
is "abi-29 reading a group file clears the status" ok "$(lcs)"
W $M/tasks x >/dev/null
cat $M/info/L3/num_closids >/dev/null
is "abi-30 reading an info file leaves the status" "Task list parsing error pid x" "$(lcs)"
is "abi-31 reading the status leaves it" "Task list parsing error pid x" "$(lcs)"
W $M/tasks x >/dev/null
cat $event >/dev/null
is "abi-29 reading an event file clears the status" ok "$(lcs)"

is "abi-32 files cannot be created" EACCES "$(Ws open wronly,creat $M/new)"
is "abi-32 nor symbolic links" EPERM "$(errno ln -s x $M/new)"
is "abi-32 nor hard links" EPERM "$(errno ln $M/tasks $M/new)"
is "abi-32 nor nodes" EPERM "$(errno mknod $M/new p)"
is "abi-32 and none unlinked" EPERM "$(errno rm -f $M/tasks)"

chmod 777 $M
resctrl-sys as 65534:65534 mkdir $M/theirs 2>/dev/null
is "abi-33 what is in a group belongs to who made it" "65534:65534" \
	"$(find $M/theirs -exec stat -c %u:%g {} \; | sort -u)"
chmod 555 $M

long=$(printf '%0600d' 0)
Wn $M/schemata "$long:0=1" >/dev/null
like "abi-34 a status that is too long ends with [truncated]" "*\[truncated\]" "$(lcs)"
mask=$(cat $M/info/L3/cbm_mask)
is "abi-35 the offset of a write does not matter" ok "$(Ws write --at 100 $M/p0/schemata 'L3:0=1\n')"
is "abi-35 the write took effect" 1 "$(value L3 0 p0)"

# Reading in pieces. What one descriptor has begun to read stays as it was.
piece() {
	dd "bs=$1" count=1 2>/dev/null
}
for file in schemata p0/size info/L3_MON/mon_features; do
	is "abi-450 $file in pieces" "$(cat $M/$file)" "$(dd bs=7 if=$M/$file 2>/dev/null)"
done
before=$(cat $M/p0/schemata)
exec 7<$M/p0/schemata
begun=$(piece 10 <&7)
Wn $M/p0/schemata "L3:0=$mask" >/dev/null
check "abi-450 it is another text now" [ "$(cat $M/p0/schemata)" != "$before" ]
is "abi-450 who has begun to read goes on in what it was" "$before" "$begun$(piece 4096 <&7)"
exec 7<&-
exec 7<$M/p0/schemata
before=$(cat $M/p0/schemata)
begun=$(piece 10 <&7)

# One open descriptor each for a group that goes and for a mount that goes.
mkfifo /tmp/in
resctrl-sys hold rdwr $M/p0/tasks </tmp/in >/tmp/held &
exec 6>/tmp/in
sleep 0.3
rmdir $M/p0
printf 'write 1\\n\nread\n' >&6
exec 6>&-
wait $!
is "stale descriptors of a removed group" "ENODEV ENODEV" "$(xargs </tmp/held)"
is "abi-450 also when its group has gone, to the end" "$before" "$begun$(piece 4096 <&7)"
is "abi-450 where it is told" "No such device" "$(dd bs=4096 count=1 <&7 2>&1 | sed -n 's/.*: //p' | head -n 1)"
exec 7<&-

W $M/tasks "x y" >/dev/null
is "unprintable input is reported as it is" "Task list parsing error pid x y" "$(lcs)"
is "abi-25 an embedded NUL ends the text" ok "$(W $M/schemata "L3:0=$mask\\0rubbish\n")"

umount_resctrl
finish
