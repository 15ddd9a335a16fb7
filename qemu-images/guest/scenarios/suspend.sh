#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Suspend to RAM and, where there is time for it, hibernation: the power goes, and everything is as it was.
# needs: x86 l3.cat l3.min_bits<=1 l3.domains>=2 cpus>=2 | x86 l2.cdp l3.cdp cpus>=2
# machines: intel intel-cdp intel-snc amd amd-abmc amd-sdciae
# kernels: stock debug
# suspends: yes
# timeout: 180
# seconds: SUSPEND_SECONDS=30 unasked=10

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

# Suspends to RAM for two seconds; the real-time clock wakes the machine up.
suspend() {
	echo 0 >/sys/class/rtc/rtc0/wakealarm
	echo +2 >/sys/class/rtc/rtc0/wakealarm
	echo mem >/sys/power/state
}

# Goes on from an image of the memory after the machine has been without power.
hibernate() {
	is "the machine goes on from an image" ok "$(Ws hibernate rdt-traffic lose-power)"
}

is "the machine can suspend to RAM" deep "$(grep -o deep /sys/power/mem_sleep)"
if [ "$L2_CDP$L3_CDP" = 11 ]; then
	mount_resctrl cdp,debug >/dev/null
else
	mount_resctrl debug >/dev/null
fi
last=$((L3_DOMAINS - 1))
mkdir $M/p1
if [ "$L2_CDP$L3_CDP" = 11 ]; then
	accepted "masks of code and data" $M/p1/schemata "L3CODE:0=3
L3DATA:$last=c"
else
	accepted "masks" $M/p1/schemata "L3:0=3;$last=c"
fi
[ -z "$MB_CLOSIDS" ] || accepted "limits" $M/p1/schemata "MB:0=$((MB_MIN + MB_STEP))"
[ ! -e $M/info/L3_MON/mbm_total_bytes_config ] ||
	accepted "what an event counts" $M/info/L3_MON/mbm_total_bytes_config "0=0x3"
[ "${SDCIAE:-0}" = 0 ] || accepted "a class for devices" $M/info/L3/io_alloc 1
accepted "CPUs, some of which go" $M/p1/cpus_list 0,$((CPUS - 1))
rmid=0
last_rmid=0
counter=
if [ -n "$RMIDS" ]; then
	mkdir $M/p1/mon_groups/m1
	accepted "and one of a monitoring group" $M/p1/mon_groups/m1/cpus_list $((CPUS - 1))
	rmid=$(cat $M/p1/mon_hw_id)
	last_rmid=$(cat $M/p1/mon_groups/m1/mon_hw_id)
	counter=$M/p1/mon_data/mon_L3_00/mbm_total_bytes
	# The first reading after a change of what is counted says nothing.
	cat "$counter" >/dev/null
fi
closid=$(cat $M/p1/ctrl_hw_id)
files() {
	head -n 100 $M/schemata $M/p1/schemata $M/cpus $M/p1/cpus
	if [ -n "$counter" ]; then
		cat $M/p1/mon_groups/m1/cpus
		ls $M/p1/mon_data
		cat $M/p1/mbm_L3_assignments 2>/dev/null
	fi
}
moves() {
	[ -z "$counter" ] || rdt-traffic add 0 "$rmid" mbm_total_bytes 64M
}
counted() {
	[ -z "$counter" ] || cat "$counter"
}
is "CPU 0 works for its group" "$rmid $closid" "$(within 5 "$rmid $closid" pqr 0)"
is "and the last one" "$last_rmid $closid" "$(within 5 "$last_rmid $closid" pqr $((CPUS - 1)))"
moves
before_registers=$(registers)
before_files=$(files)
expected=${counter:+67108864}

# Kernels that are built here have no hibernation.
ways="suspend hibernate suspend"
case $(uname -r) in *-debug | *-gcov | *-kcsan) ways="suspend suspend" ;; esac
# After hibernation the kernel boots once more.
[ "${SUSPEND_SECONDS:-30}" -ge 30 ] || ways=suspend
for way in $ways; do
	is "what moves is counted" "$expected" "$(counted)"
	$way
	is "abi-271 every CPU is back ($way)" "0-$((CPUS - 1))" "$(cat /sys/devices/system/cpu/online)"
	is "abi-270 every register is as it was" "$before_registers" "$(registers)"
	is "abi-270 CPU 0 works for its group" "$rmid $closid" "$(within 5 "$rmid $closid" pqr 0)"
	is "abi-270 so does a CPU that was offline meanwhile" "$last_rmid $closid" \
		"$(within 5 "$last_rmid $closid" pqr $((CPUS - 1)))"
	is "abi-271 groups, CPUs and domains are as they were" "$before_files" "$(files)"
	is "abi-272 nothing that was counted is lost" "$expected" "$(counted)"
	moves
	expected=${counter:+$((expected + 67108864))}
	is "abi-272 and counting goes on from there" "$expected" "$(counted)"
done

# A register is lost and nobody tells.
if [ "$L2_CDP$L3_CDP" != 11 ]; then
	msr write 0 $((L3_MASK_0 + closid)) 0x7
	accepted "the same value again" $M/p1/schemata "L3:0=3"
	is "abi-273 repairs the register" 3 "$(msr_of 0 $((L3_MASK_0 + closid)))"
fi
umount_resctrl
finish
