#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# start.sh MODE: the user's script, or a shell, in the root file system where it runs.

if [ -n "$RIG_ROOT" ]; then
	# What a root lacks, busybox has.
	export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/rig/bin:/rig/applets
fi
[ -z "$RIG_USER" ] || export HOME="/home/$RIG_USER"
as=$RIG_USER
unset RIG_ROOT RIG_USER RIG_LIMIT RIG_NET RIG_OUT PORT_CONTROL PORT_OUTPUT PORT_ERROR END
cd /in || exit
if [ "$1" = shell ]; then
	if [ -n "$as" ]; then
		exec su "$as"
	fi
	shell=/bin/bash
	[ -x $shell ] || shell=/bin/sh
	exec $shell -l
fi
eval "set -- $(cat /rig/arguments)"
if [ -n "$as" ]; then
	# shellcheck disable=SC2016 # for the other shell
	exec busybox su -s /bin/sh "$as" -c 'exec /rig/script "$@"' script "$@"
fi
exec /rig/script "$@"
