# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The registers behind resctrl, read from the CPUs of an L3 domain. Needs lib/resctrl.sh.

# shellcheck disable=SC2034 # for the scenarios
{
	L3_QOS_CFG=$((0xc81))
	L2_QOS_CFG=$((0xc82))
	PQR_ASSOC=$((0xc8f))
	L3_MASK_0=$((0xc90))
	L2_MASK_0=$((0xd10))
	MBA_0=$((0xd50))
	# AMD's own.
	SMBA_0=$((0xc0000280))
	L3_QOS_EXT_CFG=$((0xc00003ff))
	EVT_CFG_0=$((0xc0000400))
	[ "$VENDOR" = amd ] && MBA_0=$((0xc0000200))
}

# mba_register VALUE: what the register of a bandwidth holds for VALUE, in hexadecimal. Intel's is the part that is taken
# away, in percent; AMD's is the value.
mba_register() {
	if [ "$VENDOR" = amd ]; then
		printf '%x\n' "$1"
	else
		printf '%x\n' $((100 - $1))
	fi
}

# msr_of_cpus REGISTER: the register's value on each CPU, in hexadecimal without 0x.
msr_of_cpus() {
	for msr_cpu in $(seq 0 $((CPUS - 1))); do
		msr_value=$(msr read "$msr_cpu" "$1")
		echo "${msr_value#0x}"
	done | xargs
}

# msr_of DOMAIN REGISTER: the register's value in an L3 domain, in hexadecimal without 0x.
msr_of() {
	msr_value=$(msr read $(($1 * (CPUS / L3_DOMAINS))) "$2")
	echo "${msr_value#0x}"
}

# msr_range DOMAIN FIRST COUNT: the different values among COUNT registers.
msr_range() {
	msr read $(($1 * (CPUS / L3_DOMAINS))) "$2" "$3" | sed 's/^0x//' | sort -u
}

# pqr CPU: RMID and CLOSID the CPU works for, in decimal.
pqr() {
	msr_value=$(msr read "$1" $PQR_ASSOC)
	echo "$((msr_value & 0xffffffff)) $((msr_value >> 32))"
}
