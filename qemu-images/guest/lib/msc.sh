# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The controls behind resctrl on Arm: what memory system components (MSCs) hold. Needs lib/check.sh and lib/resctrl.sh.

needs_emulation

# MSC and resource instance (RIS) of everything that is part of an L3, or that limits bandwidth, with the L3 domain in front,
# are in the machine's facts.
l3_instances=$L3_INSTANCES
mb_instances=$MB_INSTANCES

# holds CONTROL DOMAIN PARTID: the different values that the instances of an L3 domain hold for a PARTID, in
# hexadecimal without 0x.
holds() {
	[ "$1" = cpbm ] && holds_where=$l3_instances || holds_where=$mb_instances
	for holds_at in $holds_where; do
		[ "${holds_at%%,*}" = "$2" ] || continue
		holds_rest=${holds_at#*,}
		msc control "${holds_rest%,*}" "${holds_rest#*,}" "$3" "$1"
	done | sed 's/^0x//' | sort -u | xargs
}

# holds_everywhere CONTROL DOMAIN: the different values among all PARTIDs.
holds_everywhere() {
	holds_partid=0
	while [ $holds_partid -lt "$PARTIDS" ]; do
		holds "$1" "$2" $holds_partid
		holds_partid=$((holds_partid + 1))
	done | tr ' ' '\n' | sort -u | xargs
}

# limit PERCENT: the maximum bandwidth of 16 bits that PERCENT becomes. What is no multiple of the step is rounded up to
# one, but not beyond all; of that the nearest number of parts is taken, but at least one.
limit() {
	limit_percent=$((($1 + MB_STEP - 1) / MB_STEP * MB_STEP))
	[ $limit_percent -le 100 ] || limit_percent=100
	limit_parts=$(((limit_percent * (1 << MB_BITS) * 2 + 100) / 200))
	[ $limit_parts -gt 0 ] || limit_parts=1
	printf '%x' $((limit_parts - 1 << 16 - MB_BITS))
}

# percent VALUE: the percentage that a maximum bandwidth of 16 bits stands for, to the nearest one.
percent() {
	percent_parts=$((1 << MB_BITS))
	echo $(((((0x$1 >> (16 - MB_BITS)) + 1) * 200 + percent_parts) / (2 * percent_parts)))
}
