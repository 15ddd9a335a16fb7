#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The info directory says what the hardware can do.
# needs: l3.cat l3.min_bits<=1 l3.shared l3.first_id=0 mb llc_occupancy !sdciae nodes=1
# machines: intel intel-big amd amd-abmc mpam mpam-2l3 mpam-ris mpam-narrow
# snapshot: tree values
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
I=$M/info

find $M | sed "s,^$M,.," | sort | snapshot tree
for file in $(find $I -type f | sort); do
	echo "${file#$M/}: $(cat "$file" | xargs)"
done | snapshot values

is "abi-37 cbm_mask is the default schemata value" "$(value L3 0)" "$(cat $I/L3/cbm_mask)"
is "abi-37 and what the hardware has" "$L3_MASK" "$(cat $I/L3/cbm_mask)"
[ "$VENDOR" = amd ] && bits=0 || bits=1
is "abi-38 min_cbm_bits" $bits "$(cat $I/L3/min_cbm_bits)"
is "abi-39 sparse_masks" "$L3_SPARSE" "$(cat $I/L3/sparse_masks)"
is "shareable_bits" "$L3_SHAREABLE" "$(cat $I/L3/shareable_bits)"
is "num_closids of L3" "$L3_CLOSIDS" "$(cat $I/L3/num_closids)"
is "num_closids of MB" "$MB_CLOSIDS" "$(cat $I/MB/num_closids)"
is "abi-44 min_bandwidth" "$MB_MIN" "$(cat $I/MB/min_bandwidth)"
is "abi-44 bandwidth_gran" "$MB_STEP" "$(cat $I/MB/bandwidth_gran)"
[ "$VENDOR" = amd ] && linear=0 || linear=1
is "abi-44 delay_linear" $linear "$(cat $I/MB/delay_linear)"
case $ARCH$VENDOR,$MB_PER_THREAD in
arm64,* | *amd,*) throttle=ENOENT ;;
*,1) throttle=per-thread ;;
*) throttle=max ;;
esac
is "abi-45 thread_throttle_mode" $throttle "$(R $I/MB/thread_throttle_mode)"

bits() {
	# usage of domain $1, as letters
	tr ';' '\n' <$I/L3/bit_usage | sed -n "s/^$1=//p"
}
is "abi-40 every position is used" "" "$(bits 0 | tr -d XS)"
# On Arm all bits are shareable: other requestors than CPUs have PARTIDs, too.
[ "$L3_SHAREABLE" = "$L3_MASK" ] && letters="XX*X HH*HX" || letters="XXSS*S HH0*0S"
like "abi-40 X where the hardware shares, S elsewhere" "${letters% *}" "$(bits 0)"
is "abi-43 one field a domain, ascending" "$(seq 0 $((L3_DOMAINS - 1)) | xargs)" \
	"$(tr ';' '\n' <$I/L3/bit_usage | cut -d= -f1 | xargs)"
accepted "root gives up all but one bit" $M/schemata "L3:0=1"
like "abi-41 H for shareable bits nobody uses, 0 for others, the one in use last" "${letters#* }" "$(bits 0)"
accepted "root takes all again" $M/schemata "L3:0=$L3_MASK"

features=$(events)
# What cannot be configured while counters are assigned is not shown as if it could.
if [ "$BMEC" = 1 ] && ! has_assignment; then
	features="llc_occupancy mbm_total_bytes mbm_total_bytes_config mbm_local_bytes mbm_local_bytes_config"
fi
is "abi-57 abi-58 mon_features in order" "$features" "$(xargs <$I/L3_MON/mon_features)"
is "abi-59 num_rmids" "$RMIDS" "$(cat $I/L3_MON/num_rmids)"
T=$I/L3_MON/max_threshold_occupancy
is "abi-62 the default threshold" $((LLC_SIZE / RMIDS / MON_UNIT * MON_UNIT)) "$(cat $T)"
is "abi-60 a threshold that is no number" "EINVAL, max_threshold_occupancy: Invalid input" "$(W $T abc), $(lcs)"
is "abi-61 a threshold above the limit" \
	"EINVAL, max_threshold_occupancy: Exceeds limit (before adjustment) of $LLC_SIZE bytes" \
	"$(W $T $((LLC_SIZE + 1))), $(lcs)"
is "abi-62 the limit itself" ok "$(W $T $LLC_SIZE)"
is "abi-62 a hexadecimal threshold" ok "$(W $T 0x$(printf %x $((MON_UNIT * 3 + 1))))"
is "abi-62 is rounded down" $(((MON_UNIT * 3 + 1) / MON_UNIT * MON_UNIT)) "$(cat $T)"
is "abi-62 an octal threshold" ok "$(W $T 0$(printf %o $MON_UNIT))"
is "abi-62 is what it says" "$MON_UNIT" "$(cat $T)"
[ "$MON_UNIT" = 1 ] && below=1 || below=0
is "abi-62 a threshold below the unit" "ok $below" "$(W $T 1) $(cat $T)"
W $T $((LLC_SIZE / RMIDS)) >/dev/null
# Arm has counters that are always assigned (abi-227), or none.
case $ARCH,$(events),$COUNTERS in
arm64,*mbm*) mode="[mbm_event]" ;;
amd64,*,?*) mode="[mbm_event] default" ;;
*) mode="[default]" ;;
esac
is "abi-63 mbm_assign_mode" "$mode" "$(xargs <$I/L3_MON/mbm_assign_mode)"
if [ "$mode" = "[default]" ]; then
	refused "abi-63 mbm_event is not supported" EINVAL "mbm_event mode is not supported" $I/L3_MON/mbm_assign_mode mbm_event
fi
if [ "$ARCH,$mode" = "arm64,[default]" ]; then
	is "abi-227 nor is the mode that it is, where counters would be assigned" EINVAL "$(Wn $I/L3_MON/mbm_assign_mode default)"
fi
if [ "$mode" = "[mbm_event]" ]; then
	is "abi-227 there is no other mode" EINVAL "$(Wn $I/L3_MON/mbm_assign_mode default)"
	is "abi-227 of which the status says" "Counter assignment mode is not configurable" "$(lcs)"
	is "abi-228 what an event counts cannot be changed" 444 \
		"$(stat -c %a $I/L3_MON/event_configs/mbm_total_bytes/event_filter)"
	is "abi-228 local bytes are not told apart" "" "$(find $M -name 'mbm_local_bytes*')"
fi
refused "abi-64 an unknown mode" EINVAL "Unsupported assign mode" $I/L3_MON/mbm_assign_mode bogus
# Filters are for a user to choose on AMD alone.
[ "$VENDOR" = amd ] && writable=event_filter || writable=mbm_assign_on_mkdir
is "modes of info files" "444" "$(find $I -type f ! -name max_threshold_occupancy ! -name mbm_assign_mode \
	! -name mbm_assign_on_mkdir ! -name $writable ! -name '*_bytes_config' -exec stat -c %a {} \; | sort -u)"
is "modes of writable info files" "644 644" "$(stat -c %a $T $I/L3_MON/mbm_assign_mode | xargs)"

umount_resctrl
finish
