#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# AMD: what bandwidth events count can be configured (BMEC), domain by domain.
# needs: bmec l3.domains=2
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh

# Kinds of transactions, as masks.
local_reads=0x1 remote_reads=0x2 local_writes=0x4 slow_reads=0x10
mount_resctrl debug >/dev/null
I=$M/info/L3_MON
T=$I/mbm_total_bytes_config
L=$I/mbm_local_bytes_config
if has_assignment; then
	is "abi-72 while counters are assigned there is nothing to configure" "ENOENT ENOENT" "$(R $T) $(R $L)"
	accepted "abi-72 the other mode" $I/mbm_assign_mode default
fi
is "abi-58 each event that can be configured says so" \
	"llc_occupancy mbm_total_bytes mbm_total_bytes_config mbm_local_bytes mbm_local_bytes_config" "$(xargs <$I/mon_features)"
is "modes of the files" "644 644" "$(stat -c %a $T $L | xargs)"
is "abi-65 what is counted after reset" "0=0x7f;1=0x7f 0=0x15;1=0x15" "$(cat $T $L | xargs)"

mkdir $M/p0 $M/p1
rmid=$(cat $M/p0/mon_hw_id)
other=$(cat $M/p1/mon_hw_id)
count() {
	# event $1 of domain $2 of group p0
	cat "$M/${3:-p0}/mon_data/mon_L3_0$2/mbm_$1_bytes"
}
twice() {
	# as count, when the hardware has said that it begins anew
	count "$@" >/dev/null
	count "$@"
}
MB=$((1 << 20))
rdt-traffic transactions 0 "$rmid" $remote_reads 2M
rdt-traffic transactions 0 "$rmid" $slow_reads 1M
rdt-traffic transactions 1 "$rmid" $local_writes 5M
is "abi-65 total is everything, local what is local" "$((3 * MB)) $MB $((5 * MB)) $((5 * MB))" \
	"$(count total 0) $(count local 0) $(count total 1) $(count local 1)"

before=$(rdt-traffic writes config)
accepted "abi-70 the current value" $T "0=0x7f;1=0x7f"
is "abi-70 writes no register" 0 $(($(rdt-traffic writes config) - before))
is "abi-70 and resets no counter" "$((3 * MB)) $((5 * MB))" "$(count total 0) $(count total 1)"

accepted "abi-66 one domain" $T "0=0x33"
is "abi-66 changes that domain only" "0=0x33;1=0x7f 0=0x15;1=0x15" "$(cat $T $L | xargs)"
is "abi-66 in the register too" "33 7f" "$(msr_of 0 $EVT_CFG_0) $(msr_of 1 $EVT_CFG_0)"
first=$(count total 0)
case $first in
Unavailable | 0) pass "abi-66 the next reading is Unavailable, or begins anew" ;;
*) fail "abi-66 the next reading is Unavailable, or begins anew" "got: $first" ;;
esac
is "abi-66 both events of every group there begin at 0" "0 0 0 0" \
	"$(twice total 0) $(twice local 0) $(twice total 0 p1) $(twice local 0 p1)"
is "abi-66 the other domain goes on" "$((5 * MB)) $((5 * MB))" "$(count total 1) $(count local 1)"
rdt-traffic transactions 0 "$rmid" $local_writes 4M
rdt-traffic transactions 0 "$rmid" $local_reads 1M
rdt-traffic transactions 0 "$rmid" $remote_reads 2M
rdt-traffic transactions 0 "$other" $local_writes 7M
is "abi-66 what is not chosen is not counted" "$((3 * MB)) $((5 * MB)) 0" "$(count total 0) $(count local 0) $(count total 0 p1)"
accepted "the other event" $L "1=4;0=0x00"
is "is written in any form of hexadecimal" "0=0x00;1=0x04" "$(cat $L)"
is "in its own register" "0 4" "$(msr_of 0 $((EVT_CFG_0 + 1))) $(msr_of 1 $((EVT_CFG_0 + 1)))"

is "abi-67 an unknown domain after a good one" EINVAL "$(Wn $T "1=0x1;99=0x1")"
is "abi-300 the status names it" "Invalid domain 99" "$(lcs)"
is "abi-67 the good one is changed" "0=0x33;1=0x01" "$(cat $T)"
refused "abi-68 a kind that there is none of" EINVAL "Invalid event configuration: max valid mask is 0x7f" $T "0=0x100"
refused "abi-68 the bit above the highest" EINVAL "Invalid event configuration: max valid mask is 0x7f" $T "0=0x80"
refused "abi-69 no number" EINVAL "Non-numeric event configuration value" $T "0=zz"
refused "abi-69 nothing after the equals sign" EINVAL "Non-numeric event configuration value" $T "0="
refused "abi-69 no equals sign" EINVAL "Non-numeric event configuration value" $T "0"
refused "abi-69 no number before it" EINVAL "Missing '=' or non-numeric domain id" $T "x=1"
is "abi-69 no newline" "EINVAL, mbm_total_bytes_config: Invalid input" "$(W $T 0=0x1), $(lcs)"
is "abi-69 the name is that of the file" "EINVAL, mbm_local_bytes_config: Invalid input" "$(W $L 0=0x1), $(lcs)"
accepted "an empty line" $T ""
accepted "blanks around the fields" $T " 0=0x11 ; 1=0x12 "
is "are no part of them" "0=0x11;1=0x12" "$(cat $T)"

umount_resctrl
mount_resctrl >/dev/null
is "what is counted outlives the mount" "0=0x11;1=0x12 0=0x00;1=0x04" "$(cat $T $L | xargs)"
accepted "the first state again" $T "0=0x7f;1=0x7f"
accepted "of both events" $L "0=0x15;1=0x15"
has_assignment && accepted "and of the mode" $I/mbm_assign_mode mbm_event
umount_resctrl
is "no write was ever refused by the hardware" 0 "$(rdt-traffic writes refused)"
finish
