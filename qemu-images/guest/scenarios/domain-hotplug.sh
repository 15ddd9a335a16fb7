#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A domain goes away with its last CPU and comes back with its first.
# needs: x86 l3.cat l3.min_bits<=1 mb mb.step<=10 mbm_total_bytes !abmc nodes=1 l3.cpus>=2 l3.domains>=2 l3.domains<=10
# machines: intel intel-big amd
# lasts: 14

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh
mount_resctrl >/dev/null
mkdir $M/p0 $M/mon_groups/m0
last=$((L3_DOMAINS - 1))
cpus=$(cpus_of $last)
first=$(first_cpu $last)
event=mon_data/mon_L3_0$last/mbm_total_bytes
ids() {
	tr ';' '\n' <"$M/$1" | sed 's/^.*://' | cut -d= -f1 | sort -un | xargs
}
before=$(seq 0 $last | xargs)
without=$(seq 0 $((last - 1)) | xargs)

accepted "values before" $M/p0/schemata "L3:$last=3
MB:$last=20"
accepted "CPUs before" $M/p0/cpus_list "$first"
mkfifo /tmp/in
resctrl-sys hold rdonly $M/$event </tmp/in >/tmp/held &
exec 6>/tmp/in
sleep 0.3

offline "$first"
is "abi-205 with one CPU less the domain stays" "$before" "$(ids schemata)"
for cpu in $cpus; do [ "$cpu" = "$first" ] || offline "$cpu"; done
for file in schemata size p0/schemata p0/size info/L3/bit_usage; do
	is "abi-205 the domain is gone from $file" "$without" "$(ids $file)"
done
for group in . p0 mon_groups/m0; do
	is "abi-205 and from mon_data of $group" "no" "$([ -e $M/$group/mon_data/mon_L3_0$last ] && echo yes || echo no)"
done
is "abi-144 its id is unknown" EINVAL "$(Wn $M/p0/schemata "L3:$last=f")"
printf 'read\n' >&6
exec 6>&-
wait $!
like "abi-213 an open event file is stale" "ENO[DE][EN][VT]" "$(cat /tmp/held)"
is "abi-114 its CPU has left the group" "" "$(cat $M/p0/cpus_list)"

# While it is away: a new group, whose values it must get when it is back.
mkdir $M/p1
for cpu in $cpus; do online "$cpu"; done
is "abi-206 the domain is back" "$before" "$(ids schemata)"
is "abi-206 with defaults for all groups" "$L3_MASK $L3_MASK $L3_MASK $MB_MAX" \
	"$(value L3 $last) $(value L3 $last p0) $(value L3 $last p1) $(value MB $last p0)"
is "abi-206 in the registers too" "$L3_MASK $(mba_register "$MB_MAX")" "$(msr_range $last $L3_MASK_0 "$L3_CLOSIDS") $(msr_range $last $MBA_0 "$MB_CLOSIDS")"
is "abi-206 mon_data is back" "yes yes yes" "$(for group in . p0 mon_groups/m0; do [ -e $M/$group/$event ] && echo yes; done | xargs)"
is "abi-206 bandwidth counts from zero" 0 "$(cat $M/p0/$event)"
is "abi-114 its CPUs are root's" "0-$((CPUS - 1))" "$(cat $M/cpus_list)"
is "abi-214 and work for the default ids" "0 0" "$(pqr "$first")"
accepted "values can be written again" $M/p0/schemata "L3:$last=7"
is "and reach the registers" 7 "$(msr_of $last $((L3_MASK_0 + 1)))"

# The counter must be read once a second wherever the worker has to run.
mkdir $M/mon_groups/count
umount_resctrl
mount_resctrl debug >/dev/null
mkdir $M/mon_groups/count
rmid=$(cat $M/mon_groups/count/mon_hw_id)
range=$(((1 << MON_COUNTER_BITS) * MON_UNIT))
turns=0
sum=0
while [ $turns -lt 6 ]; do
	offline "$first"
	rdt-traffic add $last "$rmid" mbm_total_bytes $((range / 4 * 3))
	sleep 0.9
	online "$first"
	sleep 0.9
	sum=$((sum + range / 4 * 3))
	turns=$((turns + 1))
done
is "abi-208 nothing is lost while the worker's CPU goes and comes" "$sum" "$(cat $M/mon_groups/count/$event)"
umount_resctrl

# Domains that change while nothing is mounted.
for cpu in $cpus; do offline "$cpu"; done
mount_resctrl >/dev/null
is "a domain that is away at mount" "$without" "$(ids schemata)"
umount_resctrl
for cpu in $cpus; do online "$cpu"; done
mount_resctrl >/dev/null
is "a domain that came back while nothing was mounted" "$before" "$(ids schemata)"
umount_resctrl
finish
