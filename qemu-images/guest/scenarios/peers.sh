#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs that others wrote for resctrl do their work: pqos, crun, runc, goresctrl, and a client in Python.
# needs: l3.cat l3.bits>=4 mb llc_occupancy cpus>=2
# machines: intel intel-perf amd mpam
# run: asked
# packages: intel-cmt-cat/amd64 crun runc python3
# programs: goresctrl
# compare: yes
# timeout: 300

. /rig/lib/check.sh
. /rig/lib/resctrl.sh
. /rig/lib/root.sh

# of_all VALUE SCHEMA GROUP: whether all its domains have that value.
of_all() {
	for of_all_id in $(domains "$2" "$3"); do
		[ "$(value "$2" "$of_all_id" "$3")" = "$1" ] || return 1
	done
}

# said TOOL: what it said, for the report and to be compared.
said() {
	# runc begins what it has to say with the time.
	sed 's/^time="[^"]*" //' | sed "s/^/# $1: /"
}

mount_resctrl >/dev/null

# pqos, of intel-cmt-cat. Debian has it for x86 only. It mounts for itself what is not mounted.
if has pqos; then
	check "pqos: it sets a mask" inside pqos -I -e "llc:1=0x3"
	check "pqos: every domain has it" of_all 3 L3 COS1
	check "pqos: it moves a CPU" inside pqos -I -a "llc:1=1"
	is "pqos: it is there" 1 "$(cat $M/COS1/cpus_list)"
	inside pqos -I -s 2>&1 | said pqos
	# Without counters of the processor it must not ask for its instructions, nor for misses of its cache.
	inside pqos -I -m all:0 -t 1 --disable-mon-ipc --disable-mon-llc_miss >/tmp/pqos 2>&1
	is "pqos: it monitors" 0 $?
	check "pqos: it has counts of CPU 0" grep -q '^ *0  *[0-9.]' /tmp/pqos
	if [ -d /sys/bus/event_source/devices/cpu ]; then
		check "pqos: caches begin to follow" rdt-traffic caches follow
		taskset 1 cache-load walk $((L3_SIZE * 2)) 1000 read >/dev/null &
		loader=$!
		sleep 1
		inside pqos -I -m all:0 -t 3 >/tmp/pqos
		is "pqos: with counters of the processor it monitors all there is" 0 $?
		kill $loader
		rdt-traffic caches still
		# Of the last second.
		awk '/^ *0 +[0-9.]/ { line = $0 } END { print line }' /tmp/pqos >/tmp/line
		read -r _ ipc misses llc mbl mbr </tmp/line
		echo "# stat pqos_ipc $ipc"
		echo "# stat pqos_thousand_misses ${misses%k}"
		echo "# stat pqos_llc_kib $llc"
		echo "# stat pqos_mbl_mib $mbl"
		echo "# stat pqos_mbr_mib $mbr"
		fits=$(awk '{ print ($2 > 0 && $3 + 0 > 0 && $4 > 1000 && $5 > 0) }' /tmp/line)
		is "abi-410 pqos: instructions, misses, occupancy and bandwidth are a loader's" 1 "$fits"
	fi
	check "pqos: it resets" inside pqos -I -R
	check "pqos: every mask is whole again" of_all "$L3_MASK" L3 COS1
	umount_resctrl
	mount_resctrl >/dev/null
else
	note "skipped: Debian has no pqos for $ARCH"
fi

# container TOOL: runs one whose configuration has a class of its own (OCI runtime specification, linux.intelRdt), and looks at
# the class meanwhile.
container() {
	bundle=/in/$1
	mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/dev" "$bundle/rootfs/proc"
	cp /bin/busybox "$bundle/rootfs/bin/busybox"
	schema=$(for id in $(domains L3); do echo "$id=3"; done | xargs | tr ' ' ';')
	cat >"$bundle/config.json" <<-END
		{ "ociVersion": "1.0.2", "root": { "path": "rootfs" },
		  "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": [ "PATH=/bin" ], "args":
		    [ "/bin/busybox", "sh", "-c", "while [ ! -e /stop ]; do /bin/busybox sleep 0.1; done" ] },
		  "mounts": [ { "destination": "/proc", "type": "proc", "source": "proc" } ],
		  "linux": { "intelRdt": { "closID": "of-$1", "l3CacheSchema": "L3:$schema" },
		    "namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" } ] } }
	END
	inside "$1" run --bundle "$bundle" "the-$1" </dev/null >/tmp/container 2>&1 &
	runs=$!
	in_class="$1: the container is in its class"
	[ "$(within 60 yes has_tasks "of-$1")" = yes ] && pass "$in_class" || fail "$in_class" "$(cat /tmp/container)"
	check "$1: the class has its mask" of_all 3 L3 "of-$1"
	: >"$bundle/rootfs/stop"
	wait $runs
	is "$1: it ends well" 0 $?
	said "$1" </tmp/container
	[ -d "$M/of-$1" ] && left="leaves" || left="removes"
	note "$1: it $left the class"
	rmdir "$M/of-$1" 2>/dev/null
}

has_tasks() {
	# The first process there is the runtime's own.
	for has_tasks_pid in $(cat "$M/$1/tasks" 2>/dev/null); do
		grep -qs busybox "/proc/$has_tasks_pid/cmdline" && echo yes && return
	done
	echo no
}

if [ -e /proc/self/ns/pid ] && grep -q cgroup2 /proc/filesystems; then
	container crun
	container runc
else
	note "skipped: this kernel has no containers"
fi

goresctrl >/tmp/goresctrl 2>/tmp/goresctrl.log
is "goresctrl: it makes its classes, moves itself, and takes them away" 0 $?
said goresctrl </tmp/goresctrl
check "goresctrl: it was in its class" grep -q '^class gold, 1 of mine' /tmp/goresctrl
check "goresctrl: no class is left" test ! -e $M/go.gold

cp /rig/clients/client.py /in/
inside python3 /in/client.py >/tmp/python 2>&1
is "python: it does all it has to do" 0 $?
said python </tmp/python
check "python: a mask that is too long is refused with its status" grep -q "^refused: EINVAL Mask out of range" /tmp/python

umount_resctrl
finish
