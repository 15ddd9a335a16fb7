// SPDX-License-Identifier: GPL-2.0-only
//! What flows move and fill, by time alone.

use super::*;

const MIB: u64 = 1 << 20;

/// What a flow of CPU 1, with PARTID 5, moves in a second and fills.
fn flow(system: &System, total: u64) -> (u64, u64) {
    let _ = system.msr(1, Level::El1, SystemRegister::Mpam0, 5 << 16, 0);
    let _ = system.set_flow(1, Some(Flow { total, local: 0, footprint: 8 * MIB }), 0).unwrap();
    system.usage(0, label(5, 0), SECOND).unwrap()
}

fn control(system: &System, msc: usize, offset: u32, value: u64) {
    let _ = put(system, msc, PartSel::OFFSET, 5);
    let _ = put(system, msc, offset, value);
}

#[test]
fn what_nobody_limits_is_not_limited() {
    let bandwidth = "bandwidth = { bits = 8, max = true }\n";
    let system = system(|file| file.replace(bandwidth, "").replace("cpor_bits = 16\n", ""));
    assert_eq!(flow(&system, 64 * MIB), (64 * MIB, 8 * MIB));
}

#[test]
fn a_flow_fills_what_portions_and_the_maximum_capacity_both_allow() {
    let cmax = "capacity = { bits = 16, max = true }\n";
    let with = |change: &str| {
        system(|file| file.replace("cpor_bits = 16\n", change).replace("bandwidth = { bits = 8, max = true }\n", ""))
    };
    // 40 portions are two words; half of them, half of which are in each word or not at all.
    for (words, share) in
        [([0x000f_ffff, 0], 4 * MIB), ([0xffff_ffff, 0xff], 8 * MIB), ([0, 0xf], 8 * MIB / 10), ([0, 0], 0)]
    {
        let system = with("cpor_bits = 40\n");
        control(&system, L3, Cpbm::OFFSET, words[0]);
        control(&system, L3, Cpbm::OFFSET + 4, words[1]);
        assert_eq!(flow(&system, 64 * MIB), (64 * MIB, share), "{words:x?}");
    }
    for (fraction, share) in [(0xffff, 8 * MIB), (0x7fff, 4 * MIB), (0x0fff, MIB / 2), (0, 128)] {
        let system = with(cmax);
        control(&system, L3, Cmax::OFFSET, fraction);
        assert_eq!(flow(&system, 64 * MIB), (64 * MIB, share), "{fraction:#x}");
        let system = with(&format!("cpor_bits = 16\n{cmax}"));
        control(&system, L3, Cmax::OFFSET, fraction);
        control(&system, L3, Cpbm::OFFSET, 0xf);
        assert_eq!(flow(&system, 64 * MIB), (64 * MIB, share.min(2 * MIB)), "{fraction:#x}");
    }
}

#[test]
fn what_drains_goes_on_draining_while_nobody_but_software_looks() {
    let system = plain();
    watch(&system, 5, 0);
    let _ = system.set_occupancy(0, label(5, 0), 1000, 0).unwrap();
    let _ = system.set_occupancy(0, label(0, 0), 1000, 0).unwrap();
    let _ = system.set_drain(0, 100, SECOND).unwrap();
    let held = |seconds| get(&system, L3, Csu::OFFSET, seconds * SECOND);
    assert_eq!([1, 2, 3, 8, 11, 12].map(held), [1000, 900, 800, 300, 0, 0]);
    // CPUs still work for PARTID 0.
    assert_eq!(system.usage(0, label(0, 0), 20 * SECOND), Ok((0, 1000)));
    let _ = system.set_occupancy(0, label(5, 0), 1000, 20 * SECOND).unwrap();
    let _ = system.set_drain(0, 0, 20 * SECOND).unwrap();
    assert_eq!([20, 30].map(held), [1000, 1000]);
}

#[test]
fn the_largest_partid_and_pmg_move_bytes_as_any() {
    let system = plain();
    assert!(system.add(0, label(31, 3), 64, 0).is_ok());
    assert_eq!(system.usage(0, label(31, 3), 0), Ok((64, 0)));
    for beyond in [label(32, 0), label(0, 4)] {
        assert_eq!(system.usage(0, beyond, 0), Err(TrafficError::NoSuchRmid), "{beyond:?}");
    }
}

#[test]
fn a_partid_that_a_component_does_not_have_is_an_error_only_when_bytes_pass() {
    let system = system(|file| {
        file.replace("partid_max = 31", "partid_max = 63")
            .replace("part_of = { mem", "partid_max = 31\npart_of = { mem")
    });
    let error = || get(&system, MEMORY, Esr::OFFSET, 0);
    let _ = system.set_occupancy(0, label(40, 0), 64, 0).unwrap();
    assert_eq!(error(), 0);
    let _ = system.add(0, label(40, 0), 64, 0).unwrap();
    assert_eq!(error(), 0x0200_0028);
    let _ = put(&system, MEMORY, Esr::OFFSET, 0);
    let _ = system.set_rate(0, label(1, 0), 10, 0).unwrap();
    let _ = system.usage(0, label(1, 0), 5 * SECOND).unwrap();
    assert_eq!(error(), 0);
}
