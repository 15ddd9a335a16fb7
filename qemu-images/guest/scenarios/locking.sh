#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# More than one process at it: advisory locks of the root directory, commands at the same time, files that stay open.
# needs: l3.cat l3.bits=12 l3.domains=2 l3.first_id=0
# machines: intel
# timeout: 120
# seconds: TURNS_SECONDS=10 unasked=2
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
mkdir $M/p0

# Two processes hold the root directory open, and lock it by turns.
mkfifo /tmp/one /tmp/two
resctrl-sys hold rdonly,directory $M </tmp/one >/tmp/one.out &
resctrl-sys hold rdonly,directory $M </tmp/two >/tmp/two.out &
exec 5>/tmp/one 6>/tmp/two
turn() {
	# turn NUMBER COMMAND: lets that process do it, prints its answer
	lines=$(wc -l <"/tmp/$1.out")
	case $1 in
	one) echo "$2" >&5 ;;
	two) echo "$2" >&6 ;;
	esac
	within 5 $((lines + 1)) sh -c "wc -l </tmp/$1.out" >/dev/null
	tail -n 1 "/tmp/$1.out"
}
locks() {
	is "abi-238 one takes the lock" ok "$(turn one lock)"
	is "abi-238 then the other cannot" EAGAIN "$(turn two lock)"
	is "abi-238 not even to share" EAGAIN "$(turn two share)"
	is "abi-238 until the first lets go" "ok ok" "$(turn one unlock) $(turn two share)"
	is "abi-238 those who share exclude one who does not" "ok EAGAIN" "$(turn one share) $(turn one lock)"
}
case $(uname -r) in
*-debug | *-gcov | *-kcsan) note "abi-238 is not tried: kernels that are built here have no locks of files" ;;
*) locks ;;
esac
exec 5>&- 6>&-
wait

# Each write is for both domains; whoever reads must never see half of one.
(while [ ! -e /tmp/stop ]; do Wn $M/p0/schemata "L3:0=f;1=f" >/dev/null; done) &
(while [ ! -e /tmp/stop ]; do Wn $M/p0/schemata "L3:0=ff;1=ff" >/dev/null; done) &
halves=0
changes=0
last=
read -r up _ </proc/uptime
end=$((${up%.*} + ${TURNS_SECONDS:-10}))
# On a busy host it may take longer to see both.
while read -r up _ </proc/uptime && { [ "${up%.*}" -lt "$end" ] || [ "$changes" -lt 2 ]; }; do
	now=$(sed -n 's/^ *L3://p' $M/p0/schemata)
	case $now in
	"0=f;1=f" | "0=ff;1=ff" | "0=fff;1=fff") ;;
	*) halves=$((halves + 1)) ;;
	esac
	[ "$now" = "$last" ] || changes=$((changes + 1))
	last=$now
done
touch /tmp/stop
wait
echo "# stat changes_seen $changes"
between "abi-240 what two processes write takes turns" 2 100000 $changes
is "abi-240 and is never seen by halves" 0 $halves

exec 5<$M/p0/mode
umount -l $M
is "abi-19 a file that is open keeps the file system" "shareable" "$(cat <&5)"
exec 5<&-
is "abi-19 which goes with it" ok "$(within 2 ok mount_resctrl)"
is "abi-19 and leaves no group" "no" "$([ -e $M/p0 ] && echo yes || echo no)"
rm -f /tmp/one /tmp/two /tmp/stop
umount_resctrl
finish
