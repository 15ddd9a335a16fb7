#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A long talk with resctrl, right and wrong, of which every answer must be the kernel's own. Where the kernel's own has no words for a
# refusal and ours has (scenario refusals), only the errno is compared.
# needs: x86 l3.cat mb monitoring l3.domains=2 cpus=4
# machines: intel
# compare: yes
# run: asked

. /rig/lib/check.sh
. /rig/lib/resctrl.sh

# say COMMAND...: runs it and shows what it prints and how it ended.
say() {
	said=$("$@" 2>&1)
	note "$* -> $? $said"
}

# tell FILE TEXT: one write, and what resctrl says to it.
tell() {
	note "$1 <- $2: $(W "$M/$1" "$2"), $(lcs)"
}

say mount_resctrl
note "$(grep ' resctrl ' /proc/mounts)"
mkdir $M/p0 $M/p1 $M/mon_groups/m0 $M/p0/mon_groups/m1
note "$(cd $M && find . | sort | xargs stat -c '%A %U %G %n')"
for text in 'L3:0=f\n' 'L3:0=5\n' 'L3:0=f;1=ff0\nMB:0=33;1=10\n' 'MB:0=9\n' 'X:0=1\n' 'L3:0=f' '\n' '' \
	'L3:0=zz\n' 'L3:0=0\n' 'L3:0=f;0=f\n' 'MB:0=50;0=60\n' 'L3:\n' 'L3\n' 'L3:0=ffff\n' ' L3 : 0=f\n' 'L3:0=f;;1=f\n'; do
	tell p0/schemata "$text"
done
note "$(cat $M/p0/schemata $M/p0/size $M/schemata $M/size)"
for text in 'x\n' '-5\n' '999999\n' '1,,2\n' '' '\n'; do tell p0/tasks "$text"; done
for text in '1-2\n' '9\n' '0-\n' 'all\n' '\n' '1-3:1/2\n' '3-1\n'; do tell p0/cpus_list "$text"; done
for text in '6\n' 'zz\n' 'ffffffff,00000000\n' '1,00000002\n' '0\n'; do tell p0/cpus "$text"; done
note "$(cat $M/cpus $M/cpus_list $M/p0/cpus $M/p0/cpus_list)"
for text in 'exclusive\n' 'bogus\n' 'pseudo-locksetup\n' 'pseudo-locked\n' 'shareable' 'shareable\n'; do
	tell p0/mode "$text"
done
for file in $(cd $M && find info -type f | sort); do note "$file: $(cat "$M/$file")"; done
threshold=$(cat $M/info/L3_MON/max_threshold_occupancy)
for text in 'abc\n' '99999999999\n' '1\n' '0x10000\n' '0200000'; do tell info/L3_MON/max_threshold_occupancy "$text"; done
W $M/info/L3_MON/max_threshold_occupancy "$threshold" >/dev/null
for text in 'default\n' 'mbm_event\n' 'other\n' 'default'; do tell info/L3_MON/mbm_assign_mode "$text"; done
for dir in x/y p0/zz info/zz info/L3/zz mon_data/zz mon_groups/mon_groups mon_groups/m0; do
	note "mkdir $dir: $(errno mkdir "$M/$dir")"
done
for dir in info mon_data mon_groups p0/mon_groups p0/mon_data/mon_L3_00 p0/tasks; do
	note "rmdir $dir: $(errno rmdir "$M/$dir")"
done
rename() {
	note "rename $1 $2: $(Ws rename "$M/$1" "$M/$2")"
}
rename p1 p2
rename mon_groups/m0 p1/mon_groups/m9
rename p1/mon_groups/m9 mon_groups/mon_groups
rename p1/mon_groups/m9 mon_groups
rename p1/mon_groups/m9 p0/mon_groups/m1
rename p1/mon_groups/m9 p1/m9
rename p0/tasks p1/tasks
rename info/L3 p1/x
umount_resctrl
for options in cdp debug mba_MBps 'mba_MBps,debug,cdp' cdpl2 foo cdp=1 CDP; do
	note "-o $options: $(mount_resctrl "$options")"
	if grep -q ' resctrl ' /proc/mounts; then
		note "$(grep ' resctrl ' /proc/mounts)" "$(cat $M/schemata $M/size)" "$(ls $M $M/info)"
		tell schemata 'MB:0=500\nL3:0=0\n'
		note "$(cat $M/schemata)"
		umount_resctrl
	fi
done
is "after all that it mounts" ok "$(mount_resctrl)"
umount_resctrl
finish
