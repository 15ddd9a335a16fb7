# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Assertions. Every check is one line of TAP on standard output; its name starts with the number
# of the behaviour it proves ("abi-26 ..."). A scenario ends with `finish`.

checks=0
failures=0

# pass NAME
pass() {
	checks=$((checks + 1))
	echo "ok $checks - $1"
}

# fail NAME [DETAIL]...: each DETAIL is a line of the report.
fail() {
	checks=$((checks + 1))
	failures=$((failures + 1))
	echo "not ok $checks - $1"
	shift
	for detail; do
		printf '%s\n' "$detail" | sed 's/^/#   /'
	done
}

# note TEXT: a line of the report that is no check.
note() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# Counts in `cycles` what may end in a fault. It is said before, because the fault ends the guest; the second line pushes the first
# one out.
begin_cycle() {
	cycles=$((cycles + 1))
	echo "# stat cycles $cycles"
	note "cycle $cycles begins"
}

# is NAME EXPECTED ACTUAL
is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "expected: $2" "got:      $3"
	fi
}

# like NAME PATTERN ACTUAL: PATTERN is a shell pattern for the whole text.
like() {
	# shellcheck disable=SC2254 # the pattern is meant to be one
	case $3 in
	$2) pass "$1" ;;
	*) fail "$1" "expected: $2" "got:      $3" ;;
	esac
}

# check NAME COMMAND...: passes if the command succeeds.
check() {
	check_name=$1
	shift
	if check_output=$("$@" 2>&1); then
		pass "$check_name"
	else
		fail "$check_name" "failed: $*" "$check_output"
	fi
}

# between NAME LOW HIGH ACTUAL: numbers, both ends included.
between() {
	if [ "$4" -ge "$2" ] 2>/dev/null && [ "$4" -le "$3" ]; then
		pass "$1"
	else
		fail "$1" "expected: $2 to $3" "got:      $4"
	fi
}

# skip REASON: ends the scenario without a verdict on the code.
skip() {
	echo "1..0 # SKIP $*"
	exit 4
}

# snapshot NAME: standard input is compared with the snapshot of that name.
snapshot() {
	sed "s/^/|$1|/"
}

# needs_emulation: for scenarios that look below resctrl, or make traffic, with the programs that talk to the emulated
# hardware.
needs_emulation() {
	[ "$PLATFORM" != fvp ] || skip "the hardware is not emulated"
}

# hundredths: how long the guest has been up, in hundredths of a second.
hundredths() {
	cut -d' ' -f1 /proc/uptime | tr -d .
}

# finish: the verdict.
finish() {
	if [ "$MACHINE" = mpam-split ]; then
		is "abi-260 nobody has touched a component from where it is not reached" 0 "$(msc list | cut -d' ' -f4 | sort -u | xargs)"
	fi
	echo "1..$checks"
	[ $checks -gt 0 ] || echo "# no check was made"
	[ $checks -gt 0 ] && [ $failures -eq 0 ]
	exit
}
