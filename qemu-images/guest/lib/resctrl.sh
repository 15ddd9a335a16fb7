# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# resctrl from the shell: mount, one-write commands with the errno they end with, and the status.

# shellcheck disable=SC2034 # for the scenarios
M=/sys/fs/resctrl

# errno_of MESSAGE: the errno's name for a message that ends with the text of strerror(3).
errno_of() {
	case ${1##*: } in
	"") echo ok ;;
	E[A-Z0-9]*) echo "${1##*: }" ;;
	"permission denied (are you root?)") echo EPERM ;;
	"Argument list too long") echo E2BIG ;;
	"Permission denied") echo EACCES ;;
	"Device or resource busy" | "Resource busy") echo EBUSY ;;
	"File exists") echo EEXIST ;;
	"Invalid argument") echo EINVAL ;;
	"No such device") echo ENODEV ;;
	"No such file or directory") echo ENOENT ;;
	"No space left on device") echo ENOSPC ;;
	"Not a directory") echo ENOTDIR ;;
	"Operation not permitted") echo EPERM ;;
	"Operation not supported" | "Not supported") echo EOPNOTSUPP ;;
	"Value too large for defined data type" | "Value too large for data type") echo EOVERFLOW ;;
	"Numerical result out of range" | "Result not representable") echo ERANGE ;;
	"Read-only file system") echo EROFS ;;
	"No such process") echo ESRCH ;;
	*) echo "other: $1" ;;
	esac
}

# errno COMMAND...: runs it and prints the errno's name it failed with, or ok.
errno() {
	if errno_output=$("$@" 2>&1); then
		echo ok
	else
		errno_of "${errno_output:-exit code without a message}"
	fi
}

# W FILE TEXT: TEXT in one write(2); prints ok or the errno's name. TEXT may have the escapes of
# resctrl-sys. The shell's own printf does not say why a write failed.
W() {
	errno resctrl-sys write "$1" "$2"
}

# Wn FILE TEXT: as W, with a newline after TEXT.
Wn() {
	W "$1" "$2\\n"
}

# Ws ARGUMENT...: `resctrl-sys write` or another of its commands; prints ok or the errno's name.
Ws() {
	errno resctrl-sys "$@"
}

# R FILE: prints the content, or the errno's name if it cannot be read.
R() {
	if r_output=$(cat "$1" 2>&1); then
		printf '%s\n' "$r_output"
	else
		errno_of "$r_output"
	fi
}

# lcs: the last command's status, lines joined by " / ".
lcs() {
	sed ':a;N;$!ba;s/\n/ \/ /g' $M/info/last_cmd_status
}

# mount_resctrl [OPTIONS]: prints ok or the errno's name.
mount_resctrl() {
	if [ -n "$1" ]; then
		errno mount -t resctrl -o "$1" resctrl $M
	else
		errno mount -t resctrl resctrl $M
	fi
}

umount_resctrl() {
	umount $M
}

# refused NAME ERRNO STATUS FILE TEXT: writing TEXT and a newline fails with ERRNO and leaves STATUS.
refused() {
	refused_errno=$(Wn "$4" "$5")
	is "$1" "$2, $3" "$refused_errno, $(lcs)"
}

# accepted NAME FILE TEXT: writing TEXT and a newline succeeds.
accepted() {
	is "$1" ok "$(Wn "$2" "$3")"
}

# domains SCHEMA [GROUP]: the domain ids of a schema, one a line.
domains() {
	sed -n "s/^ *$1://p" "$M/${2:+$2/}schemata" | tr ';' '\n' | cut -d= -f1
}

# value SCHEMA DOMAIN [GROUP]: the control value of a domain.
value() {
	sed -n "s/^ *$1://p" "$M/${3:+$3/}schemata" | tr ';' '\n' | sed -n "s/^$2=//p"
}

# first_cpu DOMAIN, cpus_of DOMAIN: CPUs of an L3 domain. They are numbered domain by domain; that
# the kernel sees them so is what scenario `topology` proves.
first_cpu() {
	echo $(($1 * (CPUS / L3_DOMAINS)))
}
cpus_of() {
	seq $(($1 * (CPUS / L3_DOMAINS))) $((($1 + 1) * (CPUS / L3_DOMAINS) - 1))
}

# online CPU / offline CPU
online() {
	echo 1 >"/sys/devices/system/cpu/cpu$1/online"
}
offline() {
	echo 0 >"/sys/devices/system/cpu/cpu$1/online"
}

# events: what is counted for each group.
events() {
	echo "$MON_EVENTS"
}

# has_assignment: whether bandwidth is counted by counters that are assigned, unless something else was asked for.
has_assignment() {
	[ -n "$COUNTERS" ]
}

# has_cdp: whether -o cdp can succeed. On Arm it is an emulation that resctrl.ko has for experts (its parameter).
has_cdp() {
	[ "$L3_CDP" = 1 ] && case $ARCH,$IMPL,$MODULE_PARAMETERS in
	arm64,rust,*expert=1*) return 0 ;;
	arm64,rust,*) return 1 ;;
	esac
}

# rmid NUMBER: monitoring id NUMBER of the machine, 0 to RMIDS - 1, as rdt-traffic calls it.
rmid() {
	if [ -n "$PMGS" ]; then
		echo "$(($1 / PMGS))/$(($1 % PMGS))"
	else
		echo "$1"
	fi
}

# as_member GROUP COMMAND...: runs COMMAND as a task of the group. Nobody else is moved.
as_member() {
	as_member_of=$M/$1
	shift
	# shellcheck disable=SC2016 # for the other shell
	sh -c 'echo $$ >"$0"/tasks && exec "$@"' "$as_member_of" "$@"
}

# within SECONDS EXPECTED COMMAND...: repeats COMMAND until it prints EXPECTED or the time is over;
# prints what it printed last.
within() {
	within_end=$(($(cut -d. -f1 /proc/uptime) + $1))
	within_expected=$2
	shift 2
	while within_output=$("$@"); do
		[ "$within_output" = "$within_expected" ] && break
		[ "$(cut -d. -f1 /proc/uptime)" -lt $within_end ] || break
		sleep 0.1
	done
	echo "$within_output"
}
