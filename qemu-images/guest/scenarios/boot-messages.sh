#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What resctrl says when the machine boots: which resources it found.
# needs: resctrl !errata !vhe
# machines: intel intel-l2 intel-mon-only intel-big intel-cdp intel-nonlinear-mba intel-noncont intel-haswell intel-narrow-mbm intel-snc amd amd-abmc amd-sdciae mpam mpam-2l3 mpam-l2 mpam-ris mpam-narrow mpam-no-monitors mpam-few-monitors
# snapshot: dmesg/impl

. /rig/lib/check.sh

# The kernel's own driver for Arm does not call itself resctrl.
grep -e resctrl -e 'MPAM enabled' /run/dmesg | grep -v 'Command line' | grep -v 'command line' | snapshot dmesg
if [ "$ARCH" = arm64 ]; then
	like "abi-229 MPAM is enabled with the ids that all parts know" \
		"*MPAM enabled with $PARTIDS PARTIDs and $PMGS PMGs*" "$(grep 'MPAM enabled' /run/dmesg)"
	[ "$IMPL" != rust ] || like "abi-291 what cannot be done below EL2 is said" \
		"*the kernel runs at EL1: a hypervisor at EL2*keeps the labels it has*" "$(grep 'runs at EL1' /run/dmesg)"
	finish
fi
has() {
	grep -q "resctrl: $1 detected" /run/dmesg && echo yes || echo no
}
yes_if() {
	[ -n "$1" ] && echo yes || echo no
}
is "L3 allocation" "$(yes_if "$L3_CLOSIDS")" "$(has 'L3 allocation')"
is "L2 allocation" "$(yes_if "$L2_CLOSIDS")" "$(has 'L2 allocation')"
is "MB allocation" "$(yes_if "$MB_CLOSIDS")" "$(has 'MB allocation')"
is "SMBA allocation" "$(yes_if "$SMBA_CLOSIDS")" "$(has 'SMBA allocation')"
is "L3 monitoring" "$(yes_if "$RMIDS")" "$(has 'L3 monitoring')"
finish
