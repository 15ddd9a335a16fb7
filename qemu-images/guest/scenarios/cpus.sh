#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# CPUs: which group owns which, how lists and masks read, what is refused.
# needs: l3.cat monitoring mon_groups>=2 cpus>=4
# machines: intel intel-big amd mpam mpam-2l3 mpam-split
# compare: yes

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
mkdir $M/p0 $M/p1 $M/p0/mon_groups/m0 $M/p0/mon_groups/m1
C=$M/p0/cpus_list
last=$((CPUS - 1))
digits=$(cat $M/cpus | wc -c)

is "root owns all" "0-$last" "$(cat $M/cpus_list)"
is "abi-103 the mask of a new group is zero, padded" "$(cat $M/cpus | tr '0-9a-f' 0)" "$(cat $M/p0/cpus)"
is "abi-103 an empty list is an empty line" "1" "$(cat $M/p0/cpus_list | wc -c)"
accepted "abi-104 a list" $C 1-2
is "abi-104 the CPUs leave root" "1-2 0,3-$last" "$(cat $C) $(sed "s/,3\$/,3-3/" $M/cpus_list)"
is "the mask shows the same" 6 "$(printf %d 0x$(tr -d , <$M/p0/cpus))"
accepted "abi-105 dropping one" $C 1
is "abi-105 gives it back to root" "1 0,2-$last" "$(cat $C) $(cat $M/cpus_list)"
refused "abi-106 root cannot drop a CPU" EINVAL "Can't drop CPUs from default group" $M/cpus_list 0
accepted "abi-107 root takes all" $M/cpus_list 0-$last
is "abi-107 and p0 has none" "" "$(cat $C)"

for garbage in x 1-x 3-1 1,x; do
	refused "abi-108 garbage '$garbage'" EINVAL "Bad CPU list/mask" $C $garbage
done
refused "abi-108 a mask that is none" EINVAL "Bad CPU list/mask" $M/p0/cpus xyz
refused "abi-108 a CPU far beyond" ERANGE "Bad CPU list/mask" $C 999999
refused "abi-108 the first CPU that does not exist" ERANGE "Bad CPU list/mask" $C $CPUS
refused "abi-108 a mask that is too wide" EOVERFLOW "Bad CPU list/mask" $M/p0/cpus $(printf '1%0300d' 0)
accepted "a mask" $M/p0/cpus 6
is "reads back as a list" 1-2 "$(cat $C)"
is "abi-112 an empty write" ok "$(W $C '')"
is "abi-112 empties the group" "" "$(cat $C)"
accepted "some CPUs again" $C 1-2
accepted "abi-112 a lone newline" $C ""
is "abi-112 empties it too" "" "$(cat $C)"
accepted "abi-113 all" $C all
is "abi-113 is every CPU" "0-$last" "$(cat $C)"
accepted "abi-113 back to root" $M/cpus_list all
accepted "abi-113 N" $C N
is "abi-113 is the last CPU" $last "$(cat $C)"
accepted "abi-113 a pattern" $C 0-3:1/2
is "abi-113 is every other CPU" 0,2 "$(cat $C)"

accepted "CPUs for the monitoring groups" $C 1-2
refused "abi-109 a CPU the parent does not own" EINVAL "Can only add CPUs to mongroup that belong to parent" \
	$M/p0/mon_groups/m0/cpus_list 3
accepted "abi-110 one the parent owns" $M/p0/mon_groups/m0/cpus_list 1
is "abi-110 still shows in the parent" "1 1-2" "$(cat $M/p0/mon_groups/m0/cpus_list) $(cat $C)"
accepted "abi-110 the same for a sibling" $M/p0/mon_groups/m1/cpus_list 1
is "abi-110 takes it from the first" " 1" "$(cat $M/p0/mon_groups/m0/cpus_list) $(cat $M/p0/mon_groups/m1/cpus_list)"
accepted "abi-110 which can give it up" $M/p0/mon_groups/m1/cpus_list ""
is "abi-110 so that it is the parent's alone" " 1-2" "$(cat $M/p0/mon_groups/m1/cpus_list) $(cat $C)"
accepted "abi-110 and have it again" $M/p0/mon_groups/m1/cpus_list 1
accepted "abi-111 writing the parent's CPUs" $C 1-2
is "abi-111 empties its monitoring groups" "" "$(cat $M/p0/mon_groups/m1/cpus_list)"
accepted "a CPU for one that goes" $M/p0/mon_groups/m1/cpus_list 2
rmdir $M/p0/mon_groups/m1
is "CPUs of a removed monitoring group stay the parent's" 1-2 "$(cat $C)"
accepted "another control group takes a CPU" $M/p1/cpus_list 1
is "and the first loses it" "2 1" "$(cat $C) $(cat $M/p1/cpus_list)"
rmdir $M/p1
is "CPUs of a removed group are root's" "0-1,3" "$(sed 's/-[0-9]*$/&/;s/,3-.*/,3/' $M/cpus_list)"

accepted "CPU 2 to p0" $C 2-3
offline 3
is "abi-114 an offline CPU leaves its group" 2 "$(cat $C)"
refused "abi-108 an offline CPU is refused" EINVAL "Can only assign online CPUs" $C 2-3
online 3
is "abi-114 and comes back to root" "2 yes" "$(cat $C) $(grep -qE '(^|[,-])3' $M/cpus_list && echo yes)"
umount_resctrl
finish
