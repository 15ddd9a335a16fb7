# SPDX-License-Identifier: GPL-2.0-only
# What scenario `confined` has AppArmor allow a tenant: to run programs, to read all of resctrl but one file, and to do what he likes in
# his own group.

profile tenant flags=(attach_disconnected) {
  /** rix,
  /dev/** rw,
  /proc/** rw,
  /tmp/** rw,
  deny /sys/fs/resctrl/info/last_cmd_status r,
  /sys/fs/resctrl/own/** rw,
  /sys/fs/resctrl/other/mon_groups/guest/ w,
  capability,
  signal,
}
