#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Each schemata write arrives in the registers of the right domain and class of service.
# needs: x86 l3.cat l3.bits>=5 l3.min_bits<=1 l3.closids>=6 mb mb.closids>=6 mb.step<=10 monitoring nodes=1 l3.domains>=2
# machines: intel intel-big intel-narrow-mbm amd
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh

mount_resctrl >/dev/null
mkdir $M/p1 $M/p2
last=$((L3_DOMAINS - 1))
l3() {
	msr_of "$1" $((L3_MASK_0 + $2))
}
mba() {
	msr_of "$1" $((MBA_0 + $2))
}

accepted "p1, domain 0" $M/p1/schemata "L3:0=3"
accepted "p1, last domain" $M/p1/schemata "L3:$last=1c"
accepted "p2, all domains" $M/p2/schemata "L3:$(seq 0 $last | sed 's/$/=f/' | xargs | tr ' ' ';')"
is "abi-216 p1 has CLOSID 1 in both domains" "3 1c" "$(l3 0 1) $(l3 $last 1)"
is "abi-216 p2 has CLOSID 2 in both domains" "f f" "$(l3 0 2) $(l3 $last 2)"
is "root is untouched" "$L3_MASK $L3_MASK" "$(l3 0 0) $(l3 $last 0)"
is "a class without a group is at its default" "$L3_MASK" "$(l3 0 5)"
accepted "bandwidth" $M/p1/schemata "MB:$last=30"
none=$(mba_register "$MB_MAX")
is "abi-218 the register holds 100 - percent, AMD's the value" "$none $(mba_register 30)" "$(mba 0 1) $(mba $last 1)"
is "abi-218 of that class only" "$none $none" "$(mba $last 0) $(mba $last 2)"

if [ -n "$SMBA_CLOSIDS" ]; then
	accepted "bandwidth of slow memory" $M/p1/schemata "SMBA:$last=30"
	is "abi-218 its register holds the value" "$(mba_register "$SMBA_MAX") $(mba_register 30)" \
		"$(msr_of 0 $((SMBA_0 + 1))) $(msr_of $last $((SMBA_0 + 1)))"
fi
before=$(rdt-traffic writes control)
accepted "the same values again" $M/p1/schemata "L3:0=3;$last=1c
MB:$last=30"
is "abi-219 cause no write" 0 $(($(rdt-traffic writes control) - before))
before=$(rdt-traffic writes control)
Wn $M/p1/schemata "L3:0=7
L3:$last=1$L3_MASK" >/dev/null
is "abi-146 neither does a command that is refused" 0 $(($(rdt-traffic writes control) - before))
before=$(rdt-traffic writes l3)
accepted "one domain of two changes" $M/p1/schemata "L3:0=3;$last=1e"
is "abi-219 one register is written" 1 $(($(rdt-traffic writes l3) - before))
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"

# A task that keeps a CPU busy shows which ids it runs with.
resctrl-sys spin 1 60 &
spinner=$!
sleep 0.2
echo $spinner >$M/p2/tasks
mkdir $M/p2/mon_groups/m
rmid=
for id in $(pqr 1); do rmid=${rmid:-$id} closid=$id; done
is "abi-88 a running task gets its CLOSID at once" 2 "$closid"
echo $spinner >$M/p2/mon_groups/m/tasks
mon=$(pqr 1)
is "a monitoring group changes the RMID and not the CLOSID" "changed, 2" \
	"$([ "${mon% *}" != "$rmid" ] && echo changed), ${mon#* }"
rmdir $M/p2
sleep 0.2
is "abi-99 a task of a removed group runs with root's ids" "0 0" "$(pqr 1)"
echo 1 >$M/p1/cpus_list
is "a CPU's group counts for tasks of root" 1 "$(pqr 1 | cut -d' ' -f2)"
mkdir $M/mon_groups/m
echo $spinner >$M/mon_groups/m/tasks
mon=$(pqr 1)
is "abi-224 a task of a monitoring group of root takes the CPU's CLOSID and its own RMID" "own, 1" \
	"$([ "${mon% *}" != 0 ] && echo own), ${mon#* }"

resctrl-sys spin 1 60 &
other=$!
echo $spinner >$M/tasks
sleep 0.3
before=$(rdt-traffic writes assoc)
sleep 0.5
is "abi-220 tasks of one group take turns on a CPU without a write" 0 $(($(rdt-traffic writes assoc) - before))
echo $spinner >$M/mon_groups/m/tasks
sleep 0.3
before=$(rdt-traffic writes assoc)
sleep 0.5
check "abi-220 tasks of two groups do not" [ $(($(rdt-traffic writes assoc) - before)) -gt 0 ]
kill $spinner $other
wait $spinner $other 2>/dev/null

umount_resctrl
is "abi-16 unmounting puts every mask back" "$L3_MASK $L3_MASK" \
	"$(msr_range 0 $L3_MASK_0 "$L3_CLOSIDS") $(msr_range $last $L3_MASK_0 "$L3_CLOSIDS")"
is "abi-16 and every delay" "$none $none" "$(msr_range 0 $MBA_0 "$MB_CLOSIDS") $(msr_range $last $MBA_0 "$MB_CLOSIDS")"
finish
