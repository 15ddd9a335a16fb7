#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A client in Python, with nothing but its standard library. Scenario `peers` runs it."""
import errno
import os
import pathlib
import subprocess

root = pathlib.Path("/sys/fs/resctrl")
if not (root / "info").exists():
    subprocess.run(["mount", "-t", "resctrl", "resctrl", root], check=True)


def masks(group):
    """The schemata of a group, as a dictionary of dictionaries."""
    lines = (line.strip().split(":", 1) for line in (group / "schemata").read_text().splitlines())
    return {name: dict(domain.split("=") for domain in rest.split(";")) for name, rest in lines}


for file in sorted(path for path in (root / "info").rglob("*") if path.is_file()):
    print(f"{file.relative_to(root)}: {file.read_text().strip().splitlines()}")

group = root / "python"
group.mkdir()
for domain in masks(group)["L3"]:
    (group / "schemata").write_text(f"L3:{domain}=3\n")
print("masks:", masks(group))
too_long = int((root / "info/L3/cbm_mask").read_text(), 16) << 1
try:
    (group / "schemata").write_text(f"L3:{domain}={too_long:x}\n")
except OSError as error:
    print("refused:", errno.errorcode[error.errno], (root / "info/last_cmd_status").read_text().strip())
(group / "tasks").write_text(str(os.getpid()))
print("in the group:", str(os.getpid()) in (group / "tasks").read_text().split())
print("counted:", sorted(str(path.relative_to(group)) for path in group.glob("mon_data/*/*")))
(root / "tasks").write_text(str(os.getpid()))
group.rmdir()
print("groups left:", sorted(path.parent.name for path in root.glob("*/schemata")))
