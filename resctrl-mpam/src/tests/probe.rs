// SPDX-License-Identifier: GPL-2.0-only
//! What an MSC says it has, in every combination of the bits that say it; and what is read and written then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

use resctrl_hardware::mpam::firmware::Locator;
use resctrl_hardware::mpam::registers::{
    Aidr, Bits, CcapIdr, CporIdr, Csu, CsuCtl, CsuFlt, CsumonIdr, Ecr, Esr, Idr, MbwIdr, MbwumonIdr, MonCtl, MsmonIdr,
    PriIdr,
};
use resctrl_hardware::mpam::{Priority, RisConfig};
use resctrl_types::sim::fail_allocation;
use resctrl_types::{CpuId, CpuMask, Errno, Here, Switch, sim};

use super::board::{L3_ID, MscSpec, Spec, build, cache, discover, discover_on, on};
use crate::Msc;
use crate::acpi::Interrupt;
use crate::devices::{ClassKind, Feature, MscDevice, MscError, Props, Ris};

/// What is read from an MSC, by offset, and what has been accessed: reads and writes.
#[derive(Default)]
struct State {
    words: BTreeMap<u32, u32>,
    read: Vec<u32>,
    written: Vec<(u32, u32)>,
}

/// An MSC that says what it is told to say, and does what `react` does to a write.
#[derive(Clone)]
struct Sheet {
    state: Arc<Mutex<State>>,
    react: fn(&mut BTreeMap<u32, u32>, u32, u32),
}

impl Msc for Sheet {
    fn read32(&self, _: Here<'_>, offset: u32) -> u32 {
        let mut state = self.state.lock().unwrap();
        state.read.push(offset);
        state.words.get(&offset).copied().unwrap_or(0)
    }

    fn write32(&self, _: Here<'_>, offset: u32, value: u32) {
        let mut state = self.state.lock().unwrap();
        state.written.push((offset, value));
        (self.react)(&mut state.words, offset, value);
    }
}

/// An MSC of version 1.0, part of memory, with these words in its registers, after it was asked on a CPU of `sim`.
fn probed(
    sim: &sim::SimPlatform,
    words: impl IntoIterator<Item = (u32, u32)>,
    react: fn(&mut BTreeMap<u32, u32>, u32, u32),
) -> (Sheet, MscDevice<Sheet>) {
    let words = [(Aidr::OFFSET, 0x10)].into_iter().chain(words).collect();
    let sheet = Sheet { state: Arc::new(Mutex::new(State { words, ..State::default() })), react };
    let mut cpus = CpuMask::new(1).unwrap();
    cpus.set(CpuId(0)).unwrap();
    let mut msc = MscDevice::new(0, sheet.clone(), cpus);
    msc.ris.push(Ris::new(0, ClassKind::Memory, 0)).unwrap();
    on(sim, 0, |here| msc.probe(here.into())).unwrap();
    (sheet, msc)
}

fn machine() -> sim::SimPlatform {
    sim::SimPlatform::new(sim::Topology::packages(1, 1))
}

fn inert(_: &mut BTreeMap<u32, u32>, _: u32, _: u32) {}

/// Something that an identification register has to say: a field that is not 0, or one that is.
#[derive(Clone, Copy)]
enum Says {
    Some(u32, Bits),
    None(u32, Bits),
}
use Says::{None as No, Some as Yes};

/// What there has to be for each feature (IHI 0099, the identification registers).
fn features() -> Vec<(Feature, Vec<Says>)> {
    let idr = |field| Yes(Idr::OFFSET, field);
    let ccap = |width, rest: Says| vec![idr(Idr::HAS_CCAP_PART), Yes(CcapIdr::OFFSET, width), rest];
    let capacity = |own| ccap(CcapIdr::CMAX_WD, own);
    let mbw = |width, own| vec![idr(Idr::HAS_MBW_PART), Yes(MbwIdr::OFFSET, width), Yes(MbwIdr::OFFSET, own)];
    let priority = |fields: &[Bits]| {
        let own = fields.iter().map(|&field| Yes(PriIdr::OFFSET, field));
        [idr(Idr::HAS_PRI_PART)].into_iter().chain(own).collect()
    };
    let csu = |own: &[Says]| {
        let kind = [idr(Idr::HAS_MSMON), Yes(MsmonIdr::OFFSET, MsmonIdr::MSMON_CSU)];
        [&kind[..], &[Yes(CsumonIdr::OFFSET, CsumonIdr::NUM_MON)], own].concat()
    };
    let mbwu = |own: &[Says]| {
        let kind = [idr(Idr::HAS_MSMON), Yes(MsmonIdr::OFFSET, MsmonIdr::MSMON_MBWU)];
        [&kind[..], &[Yes(MbwumonIdr::OFFSET, MbwumonIdr::NUM_MON)], own].concat()
    };
    let (intpri, dspri) = ([PriIdr::INTPRI_WD, PriIdr::HAS_INTPRI], [PriIdr::DSPRI_WD, PriIdr::HAS_DSPRI]);
    let long = Yes(MbwumonIdr::OFFSET, MbwumonIdr::HAS_LONG);
    vec![
        (Feature::Cpor, vec![idr(Idr::HAS_CPOR_PART), Yes(CporIdr::OFFSET, CporIdr::CPBM_WD)]),
        (Feature::CmaxSoftlim, capacity(Yes(CcapIdr::OFFSET, CcapIdr::HAS_CMAX_SOFTLIM))),
        (Feature::Cmax, capacity(No(CcapIdr::OFFSET, CcapIdr::NO_CMAX))),
        (Feature::Cmin, capacity(Yes(CcapIdr::OFFSET, CcapIdr::HAS_CMIN))),
        (Feature::Cassoc, ccap(CcapIdr::CASSOC_WD, Yes(CcapIdr::OFFSET, CcapIdr::HAS_CASSOC))),
        (Feature::MbwPart, mbw(MbwIdr::BWPBM_WD, MbwIdr::HAS_PBM)),
        (Feature::MbwMin, mbw(MbwIdr::BWA_WD, MbwIdr::HAS_MIN)),
        (Feature::MbwMax, mbw(MbwIdr::BWA_WD, MbwIdr::HAS_MAX)),
        (Feature::MbwProp, mbw(MbwIdr::BWA_WD, MbwIdr::HAS_PROP)),
        (Feature::Intpri, priority(&intpri)),
        (Feature::Intpri0Low, priority(&[intpri[0], intpri[1], PriIdr::INTPRI_0_IS_LOW])),
        (Feature::Dspri, priority(&dspri)),
        (Feature::Dspri0Low, priority(&[dspri[0], dspri[1], PriIdr::DSPRI_0_IS_LOW])),
        (Feature::Csu, csu(&[])),
        (Feature::CsuXcl, csu(&[Yes(CsumonIdr::OFFSET, CsumonIdr::HAS_XCL)])),
        // Of these monitors nobody can set the not-ready bit.
        (Feature::CsuHwNrdy, csu(&[])),
        (Feature::Mbwu, mbwu(&[])),
        (Feature::Mbwu44, mbwu(&[long, No(MbwumonIdr::OFFSET, MbwumonIdr::LWD)])),
        (Feature::Mbwu63, mbwu(&[long, Yes(MbwumonIdr::OFFSET, MbwumonIdr::LWD)])),
        (Feature::MbwuRwbw, mbwu(&[Yes(MbwumonIdr::OFFSET, MbwumonIdr::HAS_RWBW)])),
        (Feature::PartidNrw, vec![idr(Idr::HAS_PARTID_NRW)]),
    ]
}

/// The words of identification registers of which this is true and that not, all else in them `rest`; no more than that is in
/// the first one.
fn words(says: &[Says], holds: u32, rest: u32) -> BTreeMap<u32, u32> {
    let mut words = BTreeMap::new();
    for (place, &says) in says.iter().enumerate() {
        let holds = holds >> place & 1 == 1;
        let (offset, field, set) = match says {
            Yes(offset, field) => (offset, field.mask32(), holds),
            No(offset, field) => (offset, field.mask32(), !holds),
        };
        let word = words.entry(offset).or_insert(if offset == Idr::OFFSET { 0 } else { rest });
        // A width of 1, where it is one.
        *word = *word & !field | if set { field & field.wrapping_neg() } else { 0 };
    }
    words
}

#[test]
fn a_feature_is_there_when_all_is_said_that_it_takes() {
    sim::run(|| {
        let sim = machine();
        for (feature, says) in features() {
            for rest in [0, u32::MAX] {
                for holds in 0..1_u32 << says.len() {
                    let (_, msc) = probed(&sim, words(&says, holds, rest), inert);
                    let all = holds.count_ones() as usize == says.len();
                    assert_eq!(msc.ris[0].props.has(feature), all, "{feature:?}: {holds:#b}, else {rest:#x}");
                }
            }
        }
    });
}

#[test]
fn nothing_is_asked_of_a_register_that_is_not_said_to_be_there() {
    sim::run(|| {
        // Without a part in MPAMF_IDR everything else may read as anything.
        let noise = (4..0x100).step_by(4).map(|offset| (offset, u32::MAX));
        let noise = noise.filter(|&(offset, _)| offset != Aidr::OFFSET);
        let (sheet, msc) = probed(&machine(), noise, inert);
        assert_eq!(msc.ris[0].props, Props::default());
        let read = &sheet.state.lock().unwrap().read;
        assert!(!read.contains(&4) && !read.contains(&(Esr::OFFSET + 4)), "{read:x?}");
    });
}

#[test]
fn portions_are_there_as_long_as_there_are_registers_for_them() {
    sim::run(|| {
        let sim = machine();
        // MPAMCFG_CPBM<0> to <1023>, of 32 bits each.
        for (portions, good) in [(1, true), (0x7fff, true), (0x8000, true), (0x8001, false), (0xffff, false)] {
            let words = [(Idr::OFFSET, Idr::HAS_CPOR_PART.mask32()), (CporIdr::OFFSET, portions)];
            let props = probed(&sim, words, inert).1.ris[0].props;
            assert_eq!((props.has(Feature::Cpor), props.cpbm_wd != 0), (good, good), "{portions:#x}");
        }
    });
}

#[test]
fn errors_are_taken_from_the_registers_that_there_are() {
    sim::run(|| {
        let sim = machine();
        for bits in 0..8_u64 {
            let (extended, status, long) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let bit = |field: Bits, there| if there { field.mask() } else { 0 };
            let high = bit(Idr::HAS_ESR, status) | bit(Idr::HAS_EXTD_ESR, long);
            let low = Idr::EXT.mask32() * u32::from(extended);
            // Without the extension the upper half of MPAMF_IDR is not there, and the status always is.
            let (has, is_long) = (!extended || status, extended && status && long);
            for interrupt in [None, Some(Interrupt { number: 40, edge: false, private: false })] {
                let words = [(Idr::OFFSET, low), (Idr::OFFSET + 4, (high >> 32) as u32)];
                let (sheet, mut msc) = probed(&sim, words, inert);
                msc.error_interrupt = interrupt;
                {
                    let mut state = sheet.state.lock().unwrap();
                    state.words.extend([(Esr::OFFSET, 0x0202_0021), (Esr::OFFSET + 4, 5)]);
                    (state.read, state.written) = (vec![], vec![]);
                }
                let error = on(&sim, 0, |here| msc.take_error(here.into()));
                let ris = if is_long { 5 } else { 0 };
                assert_eq!(error, has.then_some(MscError { msc: 0, code: 2, partid: 0x21, pmg: 2, ris }), "{bits:#b}");
                on(&sim, 0, |here| msc.switch_error_interrupt(here.into(), Switch::On));
                let state = sheet.state.lock().unwrap();
                // The upper half first: the lower one holds the code, and is free for the next error once that is 0.
                let halves: Vec<_> =
                    is_long.then_some(Esr::OFFSET + 4).into_iter().chain(has.then_some(Esr::OFFSET)).collect();
                assert_eq!(state.read, halves, "{bits:#b}");
                let enabled = (has && interrupt.is_some()).then_some((Ecr::OFFSET, 1));
                let cleared = halves.iter().map(|&offset| (offset, 0));
                assert!(state.written.iter().copied().eq(cleared.chain(enabled)), "{bits:#b}: {:x?}", state.written);
            }
        }
    });
}

/// A monitor's not-ready bit, while the monitor counts: not under software's control. Otherwise it is. `ready`: whether a change
/// of what is counted, in hardware that is that fast, does not even show.
fn managed(words: &mut BTreeMap<u32, u32>, offset: u32, value: u32, ready: bool) {
    let enabled = |words: &BTreeMap<u32, u32>| {
        words.get(&CsuCtl::OFFSET).is_some_and(|control| control & MonCtl::EN.mask32() != 0)
    };
    match offset {
        Csu::OFFSET if enabled(words) => {}
        Csu::OFFSET | CsuFlt::OFFSET | CsuCtl::OFFSET => {
            words.insert(offset, value);
            if offset != Csu::OFFSET && enabled(words) {
                words.insert(Csu::OFFSET, if ready { 0 } else { Csu::NRDY.mask32() });
            }
        }
        _ => {}
    }
}

/// A not-ready bit that software can write, but that is set when something else is to be counted: a part of the label that does
/// not have to match makes no difference, nor does anything while nothing is counted.
fn raised(words: &mut BTreeMap<u32, u32>, offset: u32, value: u32) {
    let counted = |words: &BTreeMap<u32, u32>| {
        let word = |offset| words.get(&offset).copied().unwrap_or(0);
        let (control, filter) = (word(CsuCtl::OFFSET), word(CsuFlt::OFFSET));
        let label = |matches: Bits, field: Bits| (control & matches.mask32() != 0).then(|| filter & field.mask32());
        let label = (label(MonCtl::MATCH_PARTID, CsuFlt::PARTID), label(MonCtl::MATCH_PMG, CsuFlt::PMG));
        (control & MonCtl::EN.mask32() != 0).then_some(label)
    };
    let before = counted(words);
    words.insert(offset, value);
    let after = counted(words);
    if after.is_some() && after != before {
        words.insert(Csu::OFFSET, Csu::NRDY.mask32());
    }
}

/// The kernel's `mpam_ris_hw_probe_csu_nrdy()`: "Hardware might ignore nrdy if it's not enabled".
#[test]
fn whose_the_not_ready_bit_is_is_asked_of_a_monitor_that_counts() {
    sim::run(|| {
        let sim = machine();
        let says: Vec<_> = features().into_iter().find(|(feature, _)| *feature == Feature::Csu).unwrap().1;
        let fast = |words: &mut BTreeMap<u32, u32>, offset, value| managed(words, offset, value, true);
        let slow = |words: &mut BTreeMap<u32, u32>, offset, value| managed(words, offset, value, false);
        for react in [fast as fn(&mut _, _, _), slow, raised] {
            let (sheet, msc) = probed(&sim, words(&says, u32::MAX, 0), react);
            assert!(msc.ris[0].props.has(Feature::CsuHwNrdy));
            assert_eq!(sheet.state.lock().unwrap().words[&CsuCtl::OFFSET], 0, "it does not go on counting");
        }
        // A bit that is memory and nothing else.
        let memory = |words: &mut BTreeMap<u32, u32>, offset, value| {
            if offset == Csu::OFFSET {
                words.insert(offset, value);
            }
        };
        assert!(!probed(&sim, words(&says, u32::MAX, 0), memory).1.ris[0].props.has(Feature::CsuHwNrdy));
    });
}

#[test]
fn without_memory_a_machine_is_not_taken_for_one_with_broken_tables() {
    sim::run(|| {
        for n in 0.. {
            let spec = Spec::new(2);
            let (sim, board) = build(&spec);
            let (found, failed) = fail_allocation(n, || discover_on(&spec, &sim, &board));
            assert_eq!(found.err(), failed.then_some(Errno::ENOMEM), "allocation {n}");
            if !failed {
                assert!(n > 20, "PPTT, MSCs and classes all take some");
                return;
            }
        }
    });
}

/// A level 3 cache with these priorities.
fn obeying(internal: Option<Priority>, downstream: Option<Priority>) -> Spec {
    let instance = RisConfig { internal_priority: internal, downstream_priority: downstream, ..cache() };
    Spec { mscs: vec![MscSpec::one(instance, Locator::Cache(L3_ID))], ..Spec::new(1) }
}

#[test]
fn a_reset_gives_the_highest_priority_of_either_kind_alone() {
    use resctrl_hardware::mpam::registers::Pri;
    let low = |bits| Some(Priority { bits, zero_is_low: true });
    for (internal, downstream, highest) in [(low(3), None, 7), (None, low(2), 3 << 16), (low(3), low(2), 3 << 16 | 7)] {
        sim::run(move || {
            let (sim, board, devices) = discover(&obeying(internal, downstream)).unwrap();
            on(&sim, 0, |here| devices.reset_msc(&devices.mscs[0].access(here.into()).unwrap()));
            assert_eq!(board.msc(0).control(0, 9, Pri::OFFSET), Some(highest));
        });
    }
}
