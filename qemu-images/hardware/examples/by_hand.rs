// SPDX-License-Identifier: GPL-2.0-only
//! An emulated machine, driven by hand: a walker that may use a third of a cache occupies just that, however far it walks, and what
//! it moves is counted.
//!
//! `cargo run --package resctrl-hardware --example by_hand`

use resctrl_hardware::caches::{Access, Mode};
use resctrl_hardware::registers::{L3Mask, PqrAssoc, QmCtr, QmEvtsel};
use resctrl_hardware::{Event, Machine, Rdt};

const MIB: u64 = 1 << 20;
/// Bytes that a step of `intel`'s counters stands for.
const STEP: u64 = 64 << 10;

pub(crate) fn main() {
    let mut machine = Machine::parse(include_str!("../../machines/intel.toml")).expect("a machine");
    machine.cache.model = true;
    let rdt = Rdt::new(&machine).expect("it has RDT");
    let (cpu, class, id, now) = (0, 1, 5, 0);

    // The class may use four of twelve ways, and the CPU works for it.
    rdt.wrmsr(cpu, L3Mask::ADDRESS + class, 0x00f, now).expect("a mask");
    rdt.wrmsr(cpu, PqrAssoc::ADDRESS, u64::from(class) << 32 | id, now).expect("its ids");
    assert!(
        rdt.wrmsr(cpu, L3Mask::ADDRESS + class, 0x0f5, now).is_err(),
        "a mask with a hole: as the processor refuses it"
    );

    let caches = rdt.caches().expect("they follow");
    for address in (0..64 * MIB).step_by(64) {
        caches.access(cpu, Access::Load, Mode::User, address);
    }
    let counter = |event: Event| {
        rdt.wrmsr(cpu, QmEvtsel::ADDRESS, id << 32 | event as u64, now).expect("an event");
        rdt.rdmsr(cpu, QmCtr::ADDRESS, now).expect("a counter").expect("a count") * STEP / MIB
    };
    let (occupies, moved) = (counter(Event::LlcOccupancy), counter(Event::MbmTotal));
    println!("{occupies} MiB of 24 in the cache, {moved} MiB moved");
    assert_eq!((occupies, moved), (8, 64));
}
