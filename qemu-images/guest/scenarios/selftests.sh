#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Linux's own tests of resctrl, as the kernel's source has them: those of masks and of occupancy pass, and all of them clean up.
# needs: x86 l3.cat
# machines: intel intel-perf intel-noncont amd-sdciae
# run: asked
# programs: selftests
# guest: own
# timeout: 240

. /rig/lib/check.sh

# What they need that an emulated machine may not have: L3_CAT a counter of cache misses, MBM and MBA those of memory controllers.
# L3_CAT and CMT read memory and expect it to be missed, or to be there, so caches follow meanwhile. The others are to pass, or to
# find that there is no such cache.
counts() { [ -d /sys/bus/event_source/devices/cpu ]; }
follows() { [ $1 = CMT ] || { [ $1 = L3_CAT ] && counts; }; }
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
	L?_NONCONT_CAT,"ok 1 "*) pass "abi-241 $test: $result" ;;
	L?_NONCONT_CAT,*) failed "abi-241 $test" ;;
	CMT,"ok 1 "*SKIP*) note "skipped: abi-242, $result" ;;
	CMT,"ok 1 "*) pass "abi-242 $test: $result" ;;
	CMT,*) failed "abi-242 $test" ;;
	L3_CAT,"ok 1 "*) pass "abi-243 $test: $result" ;;
	L3_CAT,*)
		if counts; then
			failed "abi-243 $test"
		else
			note "skipped: abi-243, no counter of cache misses; it said: $result"
		fi
		;;
	*) note "skipped: abi-244, no counters of memory controllers; it said: $result" ;;
	esac
	check "it ran: $test" test -n "$result"
	is "abi-245 $test leaves nothing mounted" "" "$(grep ' resctrl ' /proc/mounts)"
done
finish
