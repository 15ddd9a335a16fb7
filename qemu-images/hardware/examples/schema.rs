// SPDX-License-Identifier: GPL-2.0-only
//! Prints what keys a machine file can have, as JSON schemas: of the machine, and of what files say of others. `cargo xtask docs`
//! makes docs/machines.md from it.

use resctrl_hardware::machine::{Likeness, Machine};
use schemars::schema_for;

fn main() {
    println!("[{}, {}]", schema_for!(Machine).as_value(), schema_for!(Likeness).as_value());
}
