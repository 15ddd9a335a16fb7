#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Caches that follow what programs do: occupancy is the share of a mask, bandwidth counters count what is moved, who is confined takes nothing away.
# needs: l3.cat llc_occupancy mbm_total_bytes cpus>=2 l3.cpus>=2
# machines: intel amd amd-abmc mpam
# lasts: 8
# timeout: 240

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

# Bits of a mask, and the lowest NUMBER of them, and all others.
full=$((0x$L3_MASK))
bits=0
while [ $((full >> bits)) -gt 0 ]; do bits=$((bits + 1)); done
low() {
	printf '%x' $(((1 << $1) - 1))
}
others() {
	printf '%x' $((full & ~((1 << $1) - 1)))
}

# mask GROUP MASK: of domain 0.
mask() {
	accepted "mask $2 of ${1:-the root group}" "$M/$1/schemata" "L3:0=$2"
}

check "caches begin to follow" rdt-traffic caches follow
is "it mounts" ok "$(mount_resctrl)"
mkdir $M/walker
counters=$M/walker/mon_data/mon_L3_00

for width in 1 $((bits / 4)) $((bits / 2)) $((bits - 1)); do
	mask "" "$(others $width)"
	mask walker "$(low $width)"
	share=$((L3_SIZE / bits * width))
	# More than the share, so that all of it is filled.
	as_member walker taskset 1 cache-load walk $((share * 2 + (4 << 20))) 1 read >/tmp/walk
	occupancy=$(cat $counters/llc_occupancy)
	echo "# point bits_of_the_mask occupancy_in_percent_of_the_L3 $width $((occupancy * 100 / L3_SIZE))"
	note "mask $(low $width): $occupancy of $share bytes; walked, counted, references, misses: $(cat /tmp/walk)"
	between "abi-400 a walker confined to $width of $bits occupies its share" $((share * 98 / 100)) $((share * 102 / 100)) "$occupancy"
done

# What does not fit is read for each access; what is written is read first, and written back when it leaves. As much of the cache
# as that allows is the walker's, for the little else that it does.
much=$((16 << 20))
width=$((much / 2 / (L3_SIZE / bits)))
[ $width -lt "$bits" ] || width=$((bits - 1))
mask walker "$(low $width)"
# Lines of memory that is used again may be in any way: begin with none.
rdt-traffic caches follow
for access in read write; do
	as_member walker taskset 1 cache-load walk $much 3 $access $counters/mbm_total_bytes >/tmp/walk
	read -r moved counted references misses _ </tmp/walk
	[ $access = read ] || moved=$((moved * 2))
	note "$access: moved $moved, counted $counted, references $references, misses $misses"
	echo "# stat counted_permille_of_${access} $((counted * 1000 / moved))"
	between "abi-401 bandwidth counters count what is moved: $access" $((moved * 99 / 100)) $((moved * 101 / 100)) "$counted"
done

# A quarter of the cache is worked on, and a neighbour walks over more than all of it: it takes all away, or nothing that is not its own.
much=$((L3_SIZE * 4 / 3))
mkdir $M/neighbour
# shellcheck disable=SC2016 # for the other shell
neighbour='echo $$ >'$M'/neighbour/tasks && exec cache-load walk '$much' 1 read'
for confined in no yes; do
	if [ $confined = yes ]; then
		mask neighbour "$(low 2)"
		mask walker "$(others 2)"
	else
		mask neighbour "$(low $bits)"
		mask walker "$(low $bits)"
	fi
	rdt-traffic caches follow
	as_member walker taskset 1 cache-load return $((L3_SIZE / 4)) read sh -c "$neighbour >/dev/null" >/tmp/walk
	read -r moved _ references misses _ </tmp/walk
	missed=$((misses * 64 * 100 / moved))
	note "neighbour confined: $confined; $((moved / 64)) lines, references $references, misses $misses"
	echo "# stat missed_percent_confined_${confined} $missed"
	if [ $confined = yes ]; then
		between "abi-402 who is confined takes nothing away" 0 2 $missed
	else
		between "who is not takes all away" 98 105 $missed
	fi
done
check "caches are still again" rdt-traffic caches still
is "abi-403 caches that are still hold nothing" 0 "$(cat $counters/llc_occupancy)"
rmdir $M/walker $M/neighbour
umount_resctrl
finish
