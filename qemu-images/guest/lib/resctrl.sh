# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# resctrl from the shell: mount, one-write commands with the errno they end with, and the status.

# shellcheck disable=SC2034 # for the scenarios
M=/sys/fs/resctrl

# name_errno MESSAGE: $errno_name is then the errno's name for a message that ends with the text of strerror(3).
name_errno() {
	case ${1##*: } in
	"") errno_name=ok ;;
	E[A-Z0-9]*) errno_name=${1##*: } ;;
	"permission denied (are you root?)") errno_name=EPERM ;;
	"Argument list too long") errno_name=E2BIG ;;
	"Permission denied") errno_name=EACCES ;;
	"Device or resource busy" | "Resource busy") errno_name=EBUSY ;;
	"File exists") errno_name=EEXIST ;;
	"Invalid argument") errno_name=EINVAL ;;
	"No such device") errno_name=ENODEV ;;
	"No such file or directory") errno_name=ENOENT ;;
	"No space left on device") errno_name=ENOSPC ;;
	"Not a directory") errno_name=ENOTDIR ;;
	"Operation not permitted") errno_name=EPERM ;;
	"Operation not supported" | "Not supported") errno_name=EOPNOTSUPP ;;
	"Value too large for defined data type" | "Value too large for data type") errno_name=EOVERFLOW ;;
	"Numerical result out of range" | "Result not representable") errno_name=ERANGE ;;
	"Read-only file system") errno_name=EROFS ;;
	"No such process") errno_name=ESRCH ;;
	*) errno_name="other: $1" ;;
	esac
}

# errno_of MESSAGE: prints that.
errno_of() {
	name_errno "$1"
	echo "$errno_name"
}

# errno_from COMMAND...: runs it; $errno_name is then the errno's name it failed with, or ok. Guests spend most of their time on
# processes, so what is called often makes few.
errno_from() {
	if errno_name=$("$@" 2>&1); then
		errno_name=ok
	else
		name_errno "${errno_name:-exit code without a message}"
	fi
}

# errno COMMAND...: runs it and prints the errno's name it failed with, or ok.
errno() {
	errno_from "$@"
	echo "$errno_name"
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

# status: $status is then the last command's status, lines joined by " / ".
status() {
	status=
	status_joint=
	# The last line need not end.
	while IFS= read -r status_line || [ -n "$status_line" ]; do
		status=$status$status_joint$status_line
		status_joint=" / "
	done <$M/info/last_cmd_status
}

# lcs: prints that.
lcs() {
	status
	echo "$status"
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
	errno_from resctrl-sys write "$4" "$5\\n"
	status
	is "$1" "$2, $3" "$errno_name, $status"
}

# accepted NAME FILE TEXT: writing TEXT and a newline succeeds.
accepted() {
	errno_from resctrl-sys write "$2" "$3\\n"
	is "$1" ok "$errno_name"
}

# settings SCHEMA [GROUP]: $settings is then what the schema's line has behind the colon.
settings() {
	settings=
	while read -r settings_line; do
		case $settings_line in "$1":*) settings=${settings_line#*:} ;; esac
	done <"$M/${2:+$2/}schemata"
}

# domains SCHEMA [GROUP]: the domain ids of a schema, one a line.
domains() {
	settings "$@"
	while [ -n "$settings" ]; do
		echo "${settings%%=*}"
		case $settings in *";"*) settings=${settings#*;} ;; *) settings= ;; esac
	done
}

# value SCHEMA DOMAIN [GROUP]: the control value of a domain.
value() {
	settings "$1" "$3"
	case ";$settings;" in
	*";$2="*)
		settings=";$settings;"
		settings=${settings#*";$2="}
		echo "${settings%%;*}"
		;;
	esac
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
