#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sequences of system calls, led on by the code of the kernel that runs, harm nothing; --seed and --ops say which, and how many.
# needs: resctrl
# machines: amd amd-abmc amd-sdciae intel intel-big intel-cdp intel-haswell intel-l2 intel-pseudo-lock intel-snc
# kernels: debug
# run: asked
# lockstep: guided
# parameters: expert=1

# The rig sends sequences to the port that standard output is, and reads from it what they have run.
exec resctrl-replay guided /proc/self/fd/1
