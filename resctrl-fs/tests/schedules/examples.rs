// SPDX-License-Identifier: GPL-2.0-only
//! The examples of this crate, run.

#[path = "../../examples/architecture.rs"]
mod architecture;
#[path = "../../examples/in_memory.rs"]
mod in_memory;

#[test]
fn an_architecture_of_a_hundred_lines_has_a_schemata() {
    architecture::main();
}

#[test]
fn a_resctrl_in_memory_shares_a_cache_out() {
    in_memory::main();
}
