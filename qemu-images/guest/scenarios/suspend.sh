#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Suspend to RAM: the power goes, and everything is as it was. The real-time clock wakes the machine up.
# machines: intel intel-cdp intel-snc amd amd-abmc amd-sdciae
# kernels: stock
# guest: own
# timeout: 120

. /rig/lib/check.sh
. /rig/lib/resctrl.sh
. /rig/lib/msr.sh

# What every CPU holds of every register that keeps something. Those of CPUs are read on each, those of caches too.
registers() {
	for registers_cpu in $(seq 0 $((CPUS - 1))); do
		for registers_of in "$L3_QOS_CFG 1" "$L2_QOS_CFG 1" "$L3_MASK_0 $L3_CLOSIDS" "$MBA_0 ${MB_CLOSIDS:-0}" "$SMBA_0 ${SMBA_CLOSIDS:-0}" \
			"$L3_QOS_EXT_CFG 1" "$EVT_CFG_0 2" "$((0xca0)) 1"; do
			# shellcheck disable=SC2086 # two arguments
			echo "$registers_cpu $registers_of:" $(msr read "$registers_cpu" $registers_of 2>/dev/null)
		done
	done
}

# power_gone: suspends to RAM for two seconds.
suspend() {
	echo 0 >/sys/class/rtc/rtc0/wakealarm
	echo +2 >/sys/class/rtc/rtc0/wakealarm
	echo mem >/sys/power/state
}

is "the machine can suspend to RAM" deep "$(grep -o deep /sys/power/mem_sleep)"
mount_resctrl $([ -n "$L3_CDP" ] && [ "$MACHINE" = intel-cdp ] && echo cdp,)debug >/dev/null
last=$((L3_DOMAINS - 1))
mkdir $M/p1 $M/p1/mon_groups/m1
if [ "$MACHINE" = intel-cdp ]; then
	accepted "masks of code and data" $M/p1/schemata "L3CODE:0=3
L3DATA:$last=c"
else
	accepted "masks" $M/p1/schemata "L3:0=3;$last=c"
fi
[ -z "$MB_CLOSIDS" ] || accepted "limits" $M/p1/schemata "MB:0=50"
[ -z "$BMEC" ] || [ ! -e $M/info/L3_MON/mbm_total_bytes_config ] ||
	accepted "what an event counts" $M/info/L3_MON/mbm_total_bytes_config "0=0x3"
[ -z "$SDCIAE" ] || accepted "a class for devices" $M/info/L3/io_alloc 1
accepted "a CPU that stays" $M/p1/cpus_list 0,$((CPUS - 1))
accepted "one of a monitoring group" $M/p1/mon_groups/m1/cpus_list $((CPUS - 1))
rmid=$(cat $M/p1/mon_hw_id)
closid=$(cat $M/p1/ctrl_hw_id)
mon_rmid=$(cat $M/p1/mon_groups/m1/mon_hw_id)
counter=$M/p1/mon_data/mon_L3_00/mbm_total_bytes
files() {
	head -n 100 $M/schemata $M/p1/schemata $M/cpus $M/p1/cpus $M/p1/mon_groups/m1/cpus
	ls $M/p1/mon_data
	cat $M/p1/mbm_L3_assignments 2>/dev/null
}
# shellcheck disable=SC2119
wait_for_labels() {
	within 5 "$rmid $closid" pqr 0 >/dev/null
	within 5 "$mon_rmid $closid" pqr $((CPUS - 1))
}
is "the last CPU works for the monitoring group" "$mon_rmid $closid" "$(wait_for_labels)"
is "and CPU 0 for its parent" "$rmid $closid" "$(pqr 0)"
rdt-traffic add 0 "$rmid" mbm_total_bytes 64M
before_count=$(cat "$counter")
before_registers=$(registers)
before_files=$(files)

suspend
is "abi-271 every CPU is back" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
is "abi-270 every register is as it was" "$before_registers" "$(registers)"
is "abi-270 CPU 0 works for its group" "$rmid $closid" "$(within 5 "$rmid $closid" pqr 0)"
is "abi-270 so does a CPU that was offline meanwhile" "$mon_rmid $closid" "$(within 5 "$mon_rmid $closid" pqr $((CPUS - 1)))"
is "abi-271 groups, CPUs and domains are as they were" "$before_files" "$(files)"
is "abi-272 nothing that was counted is lost" "$before_count" "$(cat "$counter")"
rdt-traffic add 0 "$rmid" mbm_total_bytes 64M
is "abi-272 and counting goes on from there" "$((before_count * 2))" "$(cat "$counter")"

suspend
is "abi-270 a second time" "$before_registers" "$(registers)"
is "abi-272 counts, too" "$((before_count * 2))" "$(cat "$counter")"

# A register is lost and nobody tells.
if [ "$MACHINE" != intel-cdp ]; then
	msr write 0 $((L3_MASK_0 + closid)) 0x7
	accepted "the same value again" $M/p1/schemata "L3:0=3"
	is "abi-273 repairs the register" 3 "$(msr_of 0 $((L3_MASK_0 + closid)))"
fi
umount_resctrl
finish
