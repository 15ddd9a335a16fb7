#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A domain goes away with its last CPU and comes back with its first; unmounting in between resets its component, too.
# needs: mpam l3.cat l3.bits>=8 mb mb.bits>=7 llc_occupancy mon_groups<=5 l3.first_id=0 l3.domains>=2 l3.domains<=10

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msc.sh

mount_resctrl debug >/dev/null
mkdir $M/p0 $M/mon_groups/m0
# Which PARTID and PMG a group gets depends on what is in limbo.
partid=$(cat $M/p0/ctrl_hw_id)
pmg=$(cat $M/p0/mon_hw_id)
last=$((L3_DOMAINS - 1))
cpus=$(cpus_of $last)
first=$(first_cpu $last)
event=mon_data/mon_L3_0$last/llc_occupancy
ids() {
	tr ';' '\n' <"$M/$1" | sed 's/^.*://' | cut -d= -f1 | sort -un | xargs
}
before=$(seq 0 $last | xargs)
without=$(seq 0 $((last - 1)) | xargs)

accepted "values before" $M/p0/schemata "L3:0=7;$last=3
MB:$last=20"
accepted "CPUs before" $M/p0/cpus_list "$first"
mkfifo /tmp/in
resctrl-sys hold rdonly $M/$event </tmp/in >/tmp/held &
exec 6>/tmp/in
sleep 0.3

offline "$first"
is "abi-205 with one CPU less the domain stays" "$before" "$(ids schemata)"
is "and so do its controls" 3 "$(holds cpbm $last "$partid")"
for cpu in $cpus; do [ "$cpu" = "$first" ] || offline "$cpu"; done
for file in schemata size p0/schemata p0/size info/L3/bit_usage; do
	is "abi-205 the domain is gone from $file" "$without" "$(ids $file)"
done
for group in . p0 mon_groups/m0; do
	is "abi-205 and from mon_data of $group" "no" "$([ -e $M/$group/mon_data/mon_L3_0$last ] && echo yes || echo no)"
done
is "the other domain's stays as it was" 7 "$(holds cpbm 0 "$partid")"
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
is "abi-206 with defaults for a group that came while it was away" "$L3_MASK 100" "$(value L3 $last p1) $(value MB $last p1)"
is "its other groups have the values of before" "3 20" "$(value L3 $last p0) $(value MB $last p0)"
is "abi-206 what is shown is what the component holds" "$(value L3 $last p0) $(value MB $last p0)" \
	"$(holds cpbm $last "$partid") $(percent "$(holds mbw_max $last "$partid")")"
is "abi-206 mon_data is back" "yes yes yes" "$(for group in . p0 mon_groups/m0; do [ -e $M/$group/$event ] && echo yes; done | xargs)"
is "abi-114 its CPUs are root's" "0-$((CPUS - 1))" "$(cat $M/cpus_list)"
is "abi-214 and work for the default ids" "0 0" "$(rdt-traffic assoc "$first")"
accepted "values can be written again" $M/p0/schemata "L3:$last=1f"
is "and reach the component" 1f "$(holds cpbm $last "$partid")"
rdt-traffic occupancy $last "$partid/$pmg" 1M
is "occupancy is counted there" 1048576 "$(cat $M/p0/$event)"
rdt-traffic occupancy $last "$partid/$pmg" 0

# An id in limbo of a domain that goes away is free at once.
pmg=$(cat $M/mon_groups/m0/mon_hw_id)
for name in a b c d; do mkdir $M/mon_groups/$name 2>/dev/null; done
rdt-traffic occupancy $last "0/$pmg" 1M
rmdir $M/mon_groups/m0
sleep 1.5
is "abi-210 an id in limbo of the last domain" ENOSPC "$(Ws mkdir $M/mon_groups/m0)"
for cpu in $cpus; do offline "$cpu"; done
is "abi-210 is free when that domain has gone" ok "$(Ws mkdir $M/mon_groups/m0)"
for cpu in $cpus; do online "$cpu"; done
rdt-traffic occupancy $last "0/$pmg" 0
umount_resctrl

# The component of a domain that is away can be reached from the other's CPUs.
full_bandwidth=$(holds mbw_max 0 0)
mount_resctrl >/dev/null
mkdir $M/p0
accepted "values of a domain that will go" $M/p0/schemata "L3:$last=3
MB:$last=20"
accepted "and of root there" $M/schemata "L3:$last=ff"
for cpu in $cpus; do offline "$cpu"; done
is "its component holds them when it is away" "3 ff $L3_MASK" "$(holds_everywhere cpbm $last)"
umount_resctrl
is "abi-16 unmounting puts the masks of a domain that is away back" "$L3_MASK" "$(holds_everywhere cpbm $last)"
is "abi-16 and the limits" "$full_bandwidth" "$(holds_everywhere mbw_max $last)"

# Domains that change while nothing is mounted.
mount_resctrl >/dev/null
is "a domain that is away at mount" "$without" "$(ids schemata)"
umount_resctrl
for cpu in $cpus; do online "$cpu"; done
mount_resctrl >/dev/null
is "a domain that came back while nothing was mounted" "$before" "$(ids schemata)"
umount_resctrl

# CPU 0 can go, too: then the first domain is without, and the last one alone.
for cpu in $(cpus_of 0); do offline "$cpu"; done
mount_resctrl >/dev/null
is "a machine without its first CPU" "$last" "$(ids schemata)"
for cpu in $(cpus_of 0); do online "$cpu"; done
is "and with it again" "$before" "$(ids schemata)"
umount_resctrl
finish
