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
