#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What the status says of commands for whose refusal the kernel's own has no words.
# needs: l3.cat monitoring mon_groups>=2
# machines: intel amd-abmc mpam

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

mount_resctrl >/dev/null
mkdir $M/p0 $M/p0/mon_groups/m $M/p0/mon_groups/n
chmod 644 $M/p0/size $M/info/L3/cbm_mask
no_place="Groups can only be created in the root and in mon_groups directories"

# says TEXT RESULT: collects refusals, and texts that are others.
refusals=
silent=
says() {
	refusals="$refusals $2"
	said=$(lcs)
	[ "$said" = "$1" ] || silent="$silent$2: $said instead of $1
"
}
says "$no_place" "$(Ws mkdir $M/info/x)"
says "$no_place" "$(Ws mkdir $M/p0/x)"
says "$no_place" "$(Ws mkdir $M/mon_data/x)"
says "Name is reserved for the folder of MON groups" "$(Ws mkdir $M/mon_groups/mon_groups)"
says "Group name must not contain a newline" "$(Ws mkdir "$M/a\\nb")"
says "Only groups can be removed" "$(errno rmdir $M/info)"
says "Only groups can be removed" "$(errno rmdir $M/mon_data)"
says "Only groups can be removed" "$(errno rmdir $M/p0/mon_groups)"
says "Source must be a MON group" "$(Ws rename $M/info/L3 $M/mon_groups/x)"
says "Destination must be a mon_groups subdirectory" "$(Ws rename $M/p0/mon_groups/m $M/info/x)"
says "Destination exists" "$(Ws rename $M/p0/mon_groups/m $M/p0/mon_groups/n)"
says "Rename flags are not supported" "$(Ws rename $M/p0/mon_groups/m $M/p0/mon_groups/x noreplace)"
says "The file takes no commands" "$(Wn $M/p0/size 1)"
says "The file takes no commands" "$(Wn $M/info/L3/cbm_mask 1)"
says "Invalid domain 99" "$(Wn $M/schemata "L3:99=1")"

is "abi-302 errors are those of the kernel's own" \
	"ENODEV EPERM EPERM EPERM EINVAL EPERM EPERM EPERM ENOENT ENOENT EEXIST EINVAL EINVAL EINVAL EINVAL" "${refusals# }"
is "abi-302 no refusal leaves the status at ok" "" "$silent"
umount_resctrl
[ "$ARCH" != arm64 ] || sleep 2.5
finish
