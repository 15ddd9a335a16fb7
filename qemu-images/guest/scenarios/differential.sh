#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Random sequences of operations come to the same on both implementations; --seed and --ops say which, and how many.
# needs: resctrl
# machines: amd amd-abmc amd-sdciae intel intel-aet intel-aet-few intel-big intel-cdp intel-haswell intel-l2 intel-mon-only intel-narrow-mbm intel-noncont intel-nonlinear-mba intel-pseudo-lock intel-skylake intel-snc mpam mpam-2l3 mpam-few-monitors mpam-l2 mpam-narrow mpam-no-monitors mpam-ris
# run: asked
# lockstep: yes
# parameters: expert=1

# The rig sends sequences to the port that standard output is, and reads the record from it.
exec resctrl-replay serve /proc/self/fd/1
