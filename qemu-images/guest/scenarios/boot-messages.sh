#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What resctrl says when the machine boots: which resources it found.
# machines: intel intel-l2 intel-mon-only intel-big
# snapshot: dmesg/impl

. /rig/lib/check.sh

grep resctrl /run/dmesg | grep -v 'Command line' | grep -v 'command line' | snapshot dmesg
has() {
	grep -q "resctrl: $1 detected" /run/dmesg && echo yes || echo no
}
yes_if() {
	[ -n "$1" ] && echo yes || echo no
}
is "L3 allocation" "$(yes_if "$L3_CLOSIDS")" "$(has 'L3 allocation')"
is "L2 allocation" "$(yes_if "$L2_CLOSIDS")" "$(has 'L2 allocation')"
is "MB allocation" "$(yes_if "$MB_CLOSIDS")" "$(has 'MB allocation')"
is "L3 monitoring" "$(yes_if "$RMIDS")" "$(has 'L3 monitoring')"
finish
