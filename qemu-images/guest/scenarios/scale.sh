#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# No number is built in: 128 classes, 2,048 monitoring ids, 64 CPUs and 16 domains in one machine, all of them in use.
# needs: x86 l3.cdp l3.closids=128 rmids=2048 cpus=64
# run: asked
# timeout: 600
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh
. /rig/lib/msr.sh

is "it mounts" ok "$(mount_resctrl debug)"
last=$((L3_DOMAINS - 1))
is "all CPUs are root's" "0-$((CPUS - 1))" "$(cat $M/cpus_list)"
is "abi-36 num_closids" "$L3_CLOSIDS" "$(cat $M/info/L3/num_closids)"
is "abi-59 num_rmids" "$RMIDS" "$(cat $M/info/L3_MON/num_rmids)"
is "all domains" "$(seq 0 $last | xargs)" "$(domains L3 | xargs)"

seq 1 $((L3_CLOSIDS - 1)) | sed "s,^,$M/c," | xargs mkdir
is "abi-120 no class is left" "ENOSPC, Out of CLOSIDs" "$(Ws mkdir $M/more), $(lcs)"
is "every group has another class" "$L3_CLOSIDS" "$(cat $M/ctrl_hw_id $M/c*/ctrl_hw_id | sort -u | wc -l)"
seq 1 $((RMIDS - L3_CLOSIDS)) | sed "s,^,$M/mon_groups/m," | xargs mkdir
is "abi-121 no monitoring id is left" "ENOSPC, Out of RMIDs" "$(Ws mkdir $M/mon_groups/more), $(lcs)"
is "every group has another id" "$RMIDS" "$(find $M -name mon_hw_id -exec cat {} + | sort -u | wc -l)"

group=$M/$(grep -lx $((L3_CLOSIDS - 1)) $M/c*/ctrl_hw_id | sed "s,$M/,,; s,/.*,,")
accepted "the last domain of the last class" "$group/schemata" "L3:$last=f0"
is "abi-216 is the last register of that domain" "f0" "$(msr_of $last $((L3_MASK_0 + L3_CLOSIDS - 1)))"
is "abi-216 and of no other" "$L3_MASK" "$(msr_of $((last - 1)) $((L3_MASK_0 + L3_CLOSIDS - 1)))"
accepted "the last CPU of the last class" "$group/cpus_list" $((CPUS - 1))
is "abi-109 is its, and not root's" "$((CPUS - 1)), 0-$((CPUS - 2))" "$(cat "$group/cpus_list"), $(cat $M/cpus_list)"
is "and works for that class" $((L3_CLOSIDS - 1)) "$(pqr $((CPUS - 1)) | cut -d' ' -f2)"

mon=$(find $M -name mon_hw_id -exec grep -lx $((RMIDS - 1)) {} +)
mon=${mon%/mon_hw_id}
rdt-traffic add $last $((RMIDS - 1)) mbm_total_bytes 8M
rdt-traffic occupancy $last $((RMIDS - 1)) 4M
is "the last id counts in the last domain" "$((8 << 20)) $((4 << 20))" \
	"$(cat "$mon/mon_data/mon_L3_$last/mbm_total_bytes" "$mon/mon_data/mon_L3_$last/llc_occupancy" | xargs)"
is "and in no other" 0 "$(cat "$mon/mon_data/mon_L3_00/mbm_total_bytes")"

for cpu in $(cpus_of $last); do offline "$cpu"; done
is "abi-205 the last domain goes, from every group" 0 "$(find $M -name "mon_L3_$last" | wc -l)"
for cpu in $(cpus_of $last); do online "$cpu"; done
is "abi-206 and comes back" "$RMIDS" "$(find $M -name "mon_L3_$last" | wc -l)"
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"
umount_resctrl
finish
