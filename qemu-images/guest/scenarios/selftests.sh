#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Linux's own tests of resctrl, as the kernel's source has them: each passes where the machine has what it measures, and all clean up.
# needs: x86 resctrl | mpam l3.cat llc_occupancy
# machines: intel intel-perf intel-imc intel-noncont amd-sdciae amd-perf mpam-perf
# run: asked
# programs: selftests
# guest: own
# timeout: 480

. /rig/lib/check.sh

# What they need that an emulated machine may not have: L3_CAT a counter of cache misses, MBM and MBA those of memory controllers.
# All but those of masks read memory and expect it to be missed, or to be there, so caches follow meanwhile. A test may find that
# there is no such resource.
counts() { [ -d /sys/bus/event_source/devices/cpu ]; }
counts_memory() { [ -d /sys/bus/event_source/devices/uncore_imc_0 ]; }
follows() {
	case $1 in
	CMT) true ;;
	L3_CAT) counts ;;
	MBM | MBA) counts_memory ;;
	*) false ;;
	esac
}
# Two of them do not know Arm. L3_CAT wants bits that no device shares, and there all are shared; L3_NONCONT_CAT asks x86's CPUID whether
# masks may have holes, and there they may.
knows() {
	[ "$ARCH" != arm64 ] || case $1 in L3_CAT | L3_NONCONT_CAT) false ;; esac
}
# failed CHECK: the test has, and all that it said.
failed() {
	fail "$1"
	sed 's/^/#   /' /tmp/$test
}
for test in L3_NONCONT_CAT L2_NONCONT_CAT CMT L3_CAT MBM MBA; do
	! follows $test || check "caches follow" rdt-traffic caches follow
	resctrl_tests -t $test >/tmp/$test 2>&1
	! follows $test || rdt-traffic caches still
	result=$(grep '^\(not \)\?ok 1 ' /tmp/$test)
	case $test,$result in
	*,"not ok 1 "*) knows $test || result="$result: it does not know Arm" ;;
	esac
	case $test,$result in
	*"it does not know Arm") note "skipped: $result" ;;
	L?_NONCONT_CAT,"ok 1 "*) pass "abi-241 $test: $result" ;;
	L?_NONCONT_CAT,*) failed "abi-241 $test" ;;
	CMT,"ok 1 "*SKIP*) note "skipped: abi-242, $result" ;;
	CMT,"ok 1 "*) pass "abi-242 $test: $result" ;;
	CMT,*) failed "abi-242 $test" ;;
	L3_CAT,"ok 1 "*SKIP*) note "skipped: abi-243, $result" ;;
	L3_CAT,"ok 1 "*) pass "abi-243 $test: $result" ;;
	L3_CAT,*)
		if counts; then
			failed "abi-243 $test"
		else
			note "skipped: abi-243, no counter of cache misses; it said: $result"
		fi
		;;
	MB?,"ok 1 "*SKIP*) note "skipped: abi-244 $test, $result" ;;
	MB?,"ok 1 "*)
		pass "abi-244 $test: $result"
		grep -E 'average|avg_diff|bandwidth|bw' /tmp/$test | sed 's/^#* */# /'
		;;
	*)
		if counts_memory; then
			failed "abi-244 $test"
		else
			note "skipped: abi-244 $test, no counters of memory controllers; it said: $result"
		fi
		;;
	esac
	check "it ran: $test" test -n "$result"
	is "abi-245 $test leaves nothing mounted" "" "$(grep ' resctrl ' /proc/mounts)"
done
finish
