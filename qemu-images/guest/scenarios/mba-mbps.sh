#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The software bandwidth controller: targets in MB/s, what is refused, that traffic follows the target both ways.
# needs: intel mb mb.step<=10 mbm_total_bytes mbm_local_bytes nodes=1 l3.cpus>=2 l3.domains>=2 l3.domains<=10 | x86 resctrl !mb | x86 resctrl !mbm_local_bytes !mbm_total_bytes
# machines: intel intel-l2 intel-mon-only
# timeout: 150
# lasts: 24

. /rig/lib/check.sh
. /rig/lib/resctrl.sh
. /rig/lib/msr.sh

case ${MB_CLOSIDS:+mb},$(events) in
mb,*mbm_local*) ;;
*)
	is "abi-8 mba_MBps without bandwidth to control, or to count" EINVAL "$(mount_resctrl mba_MBps)"
	is "abi-8 nothing stays mounted" "" "$(grep -w resctrl /proc/mounts)"
	finish
	;;
esac

is "abi-9 it mounts" ok "$(mount_resctrl debug,mba_MBps)"
is "abi-9 /proc/mounts has the options in order" "rw,relatime,mba_MBps,debug" \
	"$(awk '$3 == "resctrl" { print $4 }' /proc/mounts)"
last=$((L3_DOMAINS - 1))
mkdir $M/p0 $M/p0/mon_groups/m0
S=$M/p0/schemata
E=$M/p0/mba_MBps_event
is "abi-163 without a target there is no limit" 4294967295 "$(value MB $last p0)"
for target in 1 12345 4294967294; do
	accepted "abi-163 a target of $target" $S "MB:$last=$target"
	is "abi-163 reads back as it was written" $target "$(value MB $last p0)"
done
refused "abi-163 more than 32 bits" EINVAL "Invalid MB value 4294967296" $S "MB:0=4294967296"
is "abi-163 size shows the target too" "MB:0=4294967295;$last=4294967294" "$(grep -o 'MB:.*' $M/p0/size)"
is "abi-164 the file is in control groups only" "yes yes no" \
	"$(for dir in $M $M/p0 $M/p0/mon_groups/m0; do [ -e $dir/mba_MBps_event ] && echo yes || echo no; done | xargs)"
is "abi-164 local traffic unless told otherwise" mbm_local_bytes "$(cat $E)"
refused "abi-165 no such event" EINVAL "Unsupported event id 'bogus'" $E bogus
refused "abi-165 an event that is no bandwidth" EINVAL "Unsupported event id 'llc_occupancy'" $E llc_occupancy
is "abi-165 without a newline" "EINVAL, mba_MBps_event: Invalid input" "$(W $E mbm_local_bytes), $(lcs)"
refused "abi-166 a target and a mistake" EINVAL "Missing ':'" $S "MB:$last=500
L3"
is "abi-166 the target is kept" 500 "$(value MB $last p0)"
accepted "abi-167 two targets for one domain" $S "MB:$last=1;$last=2"
is "abi-167 the last one counts" 2 "$(value MB $last p0)"

# The emulated hardware does not slow anybody down: a task that takes all it can get is one whose traffic follows the
# register, 20 MiB/s for each percent.
register=$((MBA_0 + $(cat $M/p0/ctrl_hw_id)))
rmid=$(cat $M/p0/mon_hw_id)
percent() {
	echo $((100 - 0x$(msr_of $last $register)))
}
saturate() {
	while [ -e /tmp/busy ]; do
		# While the domain is away there is nobody to be slowed down.
		allowed=$(percent 2>/dev/null)
		rdt-traffic rate $last "$rmid" "$1" $((${allowed:-0} * 20 << 20))
		sleep 0.3
	done
	rdt-traffic rate $last "$rmid" "$1" 0
}
reaches() {
	# reaches SECONDS LOW HIGH: waits until the percentage is between both; prints yes, or what it is
	end=$(($(cut -d. -f1 /proc/uptime) + $1))
	while now=$(percent) && { [ "$now" -lt "$2" ] || [ "$now" -gt "$3" ]; }; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt $end ] || { echo "$now %" && return; }
		sleep 0.4
	done
	echo yes
}
# The throttle value stays as it was for now: a target only acts by steps of the controller.
accepted "no limit" $S "MB:$last=4294967295"
touch /tmp/busy
saturate mbm_local_bytes &
is "the hardware gives all" yes "$(reaches 20 100 100)"
accepted "a target of half of it" $S "MB:$last=1000"
is "abi-168 traffic is throttled to below the target" yes "$(reaches 25 10 50)"
is "abi-168 and not elsewhere" 0 "$(msr_of 0 $register)"
accepted "a higher target" $S "MB:$last=1500"
is "abi-168 traffic may grow again" yes "$(reaches 25 60 80)"
is "abi-168 step by step of the granularity" 0 $(($(percent) % MB_STEP))

accepted "the other event" $E mbm_total_bytes
accepted "a low target" $S "MB:$last=100"
sleep 3
between "abi-164 only the chosen event counts" 60 100 "$(percent)"
accepted "back to local traffic" $E mbm_local_bytes
is "abi-168 a target that cannot be reached ends at the least bandwidth" yes \
	"$(reaches 25 "$(cat $M/info/MB/min_bandwidth)" "$(cat $M/info/MB/min_bandwidth)")"

# CPUs of the domain go, and come back.
offline "$(first_cpu $last)"
accepted "a higher target while a CPU is away" $S "MB:$last=1000"
is "abi-211 another CPU of the domain goes on" yes "$(reaches 30 40 50)"
online "$(first_cpu $last)"
accepted "a lower target with both" $S "MB:$last=400"
is "abi-211 as do both" yes "$(reaches 25 10 20)"
for cpu in $(cpus_of $last); do offline "$cpu"; done
for cpu in $(cpus_of $last); do online "$cpu"; done
is "abi-211 a domain that comes back has no target" 4294967295 "$(value MB $last p0)"
is "abi-211 and no limit" 100 "$(percent)"
accepted "a target for it" $S "MB:$last=1000"
is "abi-211 is kept" yes "$(reaches 30 10 50)"

rm /tmp/busy
wait
umount_resctrl
is "without the option values are percentages again" ok "$(mount_resctrl)"
is "at the maximum" 100 "$(value MB $last)"
is "and the file is gone" no "$([ -e $M/mba_MBps_event ] && echo yes || echo no)"
umount_resctrl
finish
