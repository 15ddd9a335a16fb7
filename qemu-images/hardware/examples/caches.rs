// SPDX-License-Identifier: GPL-2.0-only
//! How many accesses a second the caches of machine `intel` follow: `cargo run --release --package resctrl-hardware --example caches`.
//!
//! One thread, 24 MiB of 12 ways. What a guest pays for an access besides is the callback that tells of it.

use resctrl_hardware::caches::{Access, Filter, Mode, Model, Write};
use resctrl_hardware::{Machine, Rdt};
use std::hint::black_box;
use std::time::Instant;

const MIB: u64 = 1 << 20;
const ACCESSES: u64 = 20_000_000;

fn measure(name: &str, mut access: impl FnMut(u64)) {
    let begin = Instant::now();
    (0..ACCESSES).for_each(&mut access);
    let nanoseconds = begin.elapsed().as_secs_f64() * 1e9 / ACCESSES as f64;
    println!("{name:<52} {:>6.1} million/s {nanoseconds:>7.1} ns", 1e3 / nanoseconds);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut machine = Machine::parse(include_str!("../../machines/intel.toml"))?;
    machine.cache.model = true;
    let rdt = Rdt::new(&machine)?;
    let caches: &Model = rdt.caches().ok_or("no caches")?;
    let access = |access, address: u64| {
        black_box(caches.access(0, access, Mode::User, address));
    };
    let load = |address: u64| access(Access::Load, address);
    let store = |address: u64| access(Access::Store, address);
    let filter = Filter::default();
    // The same numbers each time: a linear congruential generator's upper bits.
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };

    measure("filtered: 8 KiB over and over", |i| {
        let line = i % 128;
        if !black_box(&filter).hides(line, Write::No) {
            load(line * 64);
        }
    });
    measure("hits: 1 MiB over and over", |i| load(i * 64 % MIB));
    measure("hits: 16 MiB in no order", |_| load(random() * 64 % (16 * MIB)));
    measure("misses: 256 MiB, one line after the other", |i| load(i * 64 % (256 * MIB)));
    measure("misses with write-back: the same, stores", |i| store(i * 64 % (256 * MIB)));
    Ok(())
}
