#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# L2 allocation: its own domains, its own CDP, beside L3 allocation, without monitoring.
# needs: x86 l2.cdp l2.bits>=8 l2.domains=2 l3.cat l3.bits>=8 !l3.cdp !mb !monitoring
# snapshot: tree
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

. /rig/lib/msr.sh
mount_resctrl >/dev/null
find $M | sed "s,^$M,.," | sort | snapshot tree
is "abi-136 L2 comes before L3" "L2 L3" "$(cut -d: -f1 $M/schemata | xargs)"
is "abi-136 its domains" "$L2_DOMAINS" "$(domains L2 | wc -l)"
first=$(domains L2 | head -n 1)
second=$(domains L2 | tail -n 1)
is "there is no monitoring" "no no no" "$(for name in mon_data mon_groups info/L3_MON; do [ -e $M/$name ] && echo yes || echo no; done | xargs)"
mkdir $M/p0
is "abi-115 files of a group" "cpus cpus_list mode schemata size tasks" "$(ls $M/p0 | xargs)"
is "abi-116 mkdir in info" EPERM "$(Ws mkdir $M/info/x)"
accepted "one domain of L2" $M/p0/schemata "L2:$second=f"
is "the other stays" "$L2_MASK f" "$(value L2 "$first" p0) $(value L2 "$second" p0)"
is "registers of both domains" "$L2_MASK f" \
	"$(msr read 0 $((L2_MASK_0 + 1)) | cut -c 3-) $(msr read $((CPUS - 1)) $((L2_MASK_0 + 1)) | cut -c 3-)"
accepted "L3 and L2 in one write" $M/p0/schemata "L3:0=ff
L2:$first=3"
is "both took effect" "ff 3" "$(value L3 0 p0) $(value L2 "$first" p0)"
refused "MB is unknown" EINVAL "Unknown or unsupported resource name 'MB'" $M/p0/schemata "MB:0=50"
rmdir $M/p0
limit=$L2_CLOSIDS
[ "$L3_CLOSIDS" -lt "$limit" ] && limit=$L3_CLOSIDS
made=0
while [ $made -lt 100 ] && [ "$(Ws mkdir $M/g$made)" = ok ]; do made=$((made + 1)); done
is "abi-120 the smaller number of classes counts" $((limit - 1)) $made
umount_resctrl

is "abi-6 L3 cannot do CDP" EINVAL "$(mount_resctrl cdp)"
is "L2 can" ok "$(mount_resctrl cdpl2)"
is "abi-136 order of the lines" "L2DATA L2CODE L3" "$(cut -d: -f1 $M/schemata | xargs)"
is "abi-36 classes are halved for L2 only" "$((L2_CLOSIDS / 2)) $L3_CLOSIDS" \
	"$(cat $M/info/L2CODE/num_closids $M/info/L3/num_closids | xargs)"
is "abi-9 /proc/mounts says so" "rw,relatime,cdpl2" "$(awk '$3 == "resctrl" { print $4 }' /proc/mounts)"
mkdir $M/p0
accepted "code and data apart" $M/p0/schemata "L2CODE:$first=f
L2DATA:$first=f0"
is "abi-216 data at 2c, code at 2c+1" "f0 f" \
	"$(msr read 0 $((L2_MASK_0 + 2)) | cut -c 3-) $(msr read 0 $((L2_MASK_0 + 3)) | cut -c 3-)"
umount_resctrl
finish
