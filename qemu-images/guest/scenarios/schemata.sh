#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# schemata and size: what is written, refused and read back.
# needs: x86 l3.cat l3.bits>=8 l3.min_bits<=1 mb mb.step<=10 !l2.cat | mpam l3.cat l3.bits>=8 l3.first_id=0 mb mb.step=1 !l2.cat
# machines: intel intel-big intel-narrow-mbm amd mpam mpam-2l3 mpam-ris mpam-split
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
mkdir $M/p0
S=$M/p0/schemata
max=$L3_MASK
last=$((L3_DOMAINS - 1))

cat $M/schemata | sed 's/^/# schemata: /'
is "abi-136 SMBA comes before MB, MB before L3" "${SMBA_CLOSIDS:+SMBA }MB L3" "$(cut -d: -f1 $M/schemata | xargs)"
is "abi-137 the names are as wide as those under CDP" "${SMBA_CLOSIDS:+  SMBA}    MB    L3" "$(cut -d: -f1 $M/schemata | tr -d '\n')"
all=$(seq 0 $((L3_DOMAINS - 1)) | sed "s/\$/=$max/" | xargs | tr ' ' ';')
is "abi-138 values are not padded" "    L3:$all" "$(grep L3 $M/schemata)"
is "abi-139 the output can be written back" ok "$(W $S "$(cat $S)
")"
accepted "abi-140 one domain" $S "L3:$last=f"
[ $last = 0 ] && first=f || first=$max
is "abi-140 the others stay" "$first f" "$(value L3 0 p0) $(value L3 $last p0)"
accepted "abi-141 a semicolon at the end" $S "L3:0=f;"
refused "abi-141 an empty entry" EINVAL "Missing '=' or non-numeric domain" $S "L3:0=f;;1=f"
refused "abi-142 a blank before the id" EINVAL "Missing '=' or non-numeric domain" $S "L3: 0=f"
accepted "abi-142 blanks around the value" $S "L3:0= f "
refused "abi-143 an unknown name" EINVAL "Unknown or unsupported resource name 'XX'" $S "XX:0=f"
refused "abi-143 L3CODE without CDP" EINVAL "Unknown or unsupported resource name 'L3CODE'" $S "L3CODE:0=f"
refused "abi-143 no colon" EINVAL "Missing ':'" $S "L3"
refused "abi-143 nothing after the colon" EINVAL "Missing 'L3' value" $S "L3:"
refused "abi-143 an empty line" EINVAL "Missing ':'" $S ""
refused "abi-143 no equals sign" EINVAL "Missing '=' or non-numeric domain" $S "L3:0"
refused "abi-143 a hexadecimal id" EINVAL "Missing '=' or non-numeric domain" $S "L3:0x0=f"
is "abi-144 an unknown domain" EINVAL "$(Wn $S "L3:99=f")"
is "abi-300 the status names it" "Invalid domain 99" "$(lcs)"
refused "abi-145 the same domain twice" EINVAL "Duplicate domain 0" $S "L3:0=f;0=f"
accepted "before" $S "L3:0=f"
refused "abi-146 the second of two lines is bad" EINVAL "Mask out of range" $S "MB:0=50
L3:0=1$max"
is "abi-146 nothing of the first is applied" "$MB_MAX f" "$(value MB 0 p0) $(value L3 0 p0)"
accepted "abi-146 two good lines" $S "MB:0=50
L3:0=ff"
is "abi-146 both are applied" "50 ff" "$(value MB 0 p0) $(value L3 0 p0)"
if [ "$VENDOR" = amd ]; then
	accepted "abi-147 mask 0" $S "L3:0=0"
	is "abi-147 reads back" 0 "$(value L3 0 p0)"
else
	refused "abi-147 mask 0" EINVAL "Mask out of range" $S "L3:0=0"
fi
refused "abi-148 a mask above the full one" EINVAL "Mask out of range" $S "L3:0=1$max"
refused "abi-148 not hexadecimal" EINVAL "Non-hex character in the mask xyz" $S "L3:0=xyz"
if [ "$L3_SPARSE" = 1 ]; then
	accepted "abi-149 a mask with a hole" $S "L3:0=5"
else
	refused "abi-149 a mask with a hole" EINVAL "The mask 5 has non-consecutive 1-bits" $S "L3:0=5"
fi
accepted "abi-151 a mask with 0x" $S "L3:0=0xf"
is "abi-151 reads back without" f "$(value L3 0 p0)"
accepted "upper case digits" $S "L3:0=0F"
accepted "an id with a plus sign" $S "L3:+0=f"
accepted "blanks around the name" $S " L3 :0=f"

bits=$(printf '%d' "0x$max")
length=0
while [ "$bits" -gt 0 ]; do
	length=$((length + 1))
	bits=$((bits / 2))
done
size() {
	sed -n "s/^ *$1://p" $M/p0/size | tr ';' '\n' | sed -n "s/^$2=//p"
}
is "abi-156 size of four bits" $((L3_SIZE / length * 4)) "$(size L3 0)"
accepted "a different mask" $S "L3:0=$max"
is "abi-156 size of all bits" $((L3_SIZE / length * length)) "$(size L3 0)"
is "abi-156 size of MB is its value" 50 "$(size MB 0)"

min=$(cat $M/info/MB/min_bandwidth)
if [ "$min" -gt 0 ]; then
	refused "abi-157 below the minimum" EINVAL "MB value $((min - 1)) out of range [$min,$MB_MAX]" $S "MB:0=$((min - 1))"
fi
refused "abi-157 above the maximum" EINVAL "MB value $((MB_MAX + 1)) out of range [$min,$MB_MAX]" \
	$S "MB:0=$((MB_MAX + 1))"
if [ "$MB_STEP" -gt 1 ]; then
	accepted "abi-158 between two steps" $S "MB:0=$((MB_STEP + 1))"
	is "abi-158 is rounded up" $((MB_STEP * 2)) "$(value MB 0 p0)"
fi
if [ "$VENDOR" = amd ]; then
	for schema in MB ${SMBA_CLOSIDS:+SMBA}; do
		is "abi-160 $schema without a limit is a power of two" $MB_MAX "$(value $schema $last)"
		accepted "abi-160 0 is a value of $schema" $S "$schema:0=0"
		is "abi-160 reads back" 0 "$(value $schema 0 p0)"
		accepted "abi-160 any value of $schema" $S "$schema:0=17"
		is "abi-160 is not rounded" 17 "$(value $schema 0 p0)"
	done
	if [ -n "$SMBA_CLOSIDS" ]; then
		refused "abi-161 a limit of slow memory that is too large" EINVAL \
			"MB value $((SMBA_MAX + 1)) out of range [0,$SMBA_MAX]" $S "SMBA:0=$((SMBA_MAX + 1))"
		is "abi-161 size of SMBA is its value" 17 "$(size SMBA 0)"
	fi
else
	refused "abi-161 SMBA is unknown elsewhere" EINVAL "Unknown or unsupported resource name 'SMBA'" $S "SMBA:0=1"
fi
refused "abi-159 hexadecimal bandwidth" EINVAL "Invalid MB value 0x10" $S "MB:0=0x10"
refused "abi-159 negative bandwidth" EINVAL "Invalid MB value -10" $S "MB:0=-10"
refused "abi-145 the same MB domain twice" EINVAL "Duplicate domain 0" $S "MB:0=50;0=60"

rmdir $M/p0
mkdir $M/p0
is "abi-125 a new group has the maximum, whatever the last owner had" "$MB_MAX" "$(value MB 0 p0)"

umount_resctrl
finish
