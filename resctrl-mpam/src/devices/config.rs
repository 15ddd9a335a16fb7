// SPDX-License-Identifier: GPL-2.0-only
//! What is programmed for a PARTID, and programming it: `mpam_reprogram_ris_partid()`.
//!
//! What nobody manages gets the value that restricts nothing, at reset and with every change: firmware may have left
//! anything in it.

use core::sync::atomic::{AtomicU32, Ordering};

use resctrl_types::{KVec, Result};

use super::msc::{Access, Ris};
use super::{BandwidthEffect, Feature, Props};
use crate::Msc;
use crate::registers::{Cassoc, Cmax, Cmin, Cpbm, Intpartid, MbwMax, MbwMin, MbwPbm, MbwProp, Pri};

/// Bits of the bit maps that are managed; wider ones are left open.
const MANAGED_BITS: u16 = 32;

/// The values that are managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Cache portions.
    pub cpbm: u32,
    /// Bandwidth portions.
    pub mbw_pbm: u32,
    /// Maximum bandwidth, as a fraction of 16 bits.
    pub mbw_max: u16,
}

impl Config {
    /// The values that restrict nothing in a component with these properties.
    #[must_use]
    pub fn open(props: &Props) -> Config {
        Config { cpbm: ones(props.cpbm_wd, 0), mbw_pbm: ones(props.mbw_pbm_bits, 0), mbw_max: fraction(props.bwa_wd) }
    }
}

/// Word `word` of a bit map of `bits` ones.
pub(crate) const fn ones(bits: u16, word: u16) -> u32 {
    match bits.saturating_sub(word.saturating_mul(32)) {
        0 => 0,
        left if left >= 32 => u32::MAX,
        left => u32::MAX >> (32 - left),
    }
}

/// All ones in the implemented bits of a fraction.
const fn fraction(bits: u16) -> u16 {
    match bits {
        0 => 0,
        1..16 => u16::MAX << (16 - bits),
        _ => u16::MAX,
    }
}

/// What a component is programmed with, for every PARTID. Survives the time when no CPU can reach it.
///
/// Written under the rdtgroup mutex only. Atomic, since the control half and the monitor half of a domain, and the
/// driver's own list, share the component.
#[derive(Debug)]
pub struct Configs(KVec<Cell>);

#[derive(Debug)]
struct Cell {
    cpbm: AtomicU32,
    mbw_pbm: AtomicU32,
    mbw_max: AtomicU32,
}

impl Configs {
    /// Nothing restricted, for PARTIDs up to `partid_max`.
    pub(crate) fn new(partid_max: u16, props: &Props) -> Result<Configs> {
        let open = Config::open(props);
        Ok(Configs(KVec::from_fn(usize::from(partid_max) + 1, |_| Cell {
            cpbm: AtomicU32::new(open.cpbm),
            mbw_pbm: AtomicU32::new(open.mbw_pbm),
            mbw_max: AtomicU32::new(open.mbw_max.into()),
        })?))
    }

    /// What is programmed for a PARTID; `None` for one that does not exist.
    #[must_use]
    pub fn get(&self, partid: u16) -> Option<Config> {
        self.0.get(usize::from(partid)).map(|cell| Config {
            cpbm: cell.cpbm.load(Ordering::Relaxed),
            mbw_pbm: cell.mbw_pbm.load(Ordering::Relaxed),
            mbw_max: u16::try_from(cell.mbw_max.load(Ordering::Relaxed)).unwrap_or(u16::MAX),
        })
    }

    /// Remembers what has been programmed.
    pub(crate) fn set(&self, partid: u16, config: Config) {
        if let Some(cell) = self.0.get(usize::from(partid)) {
            cell.cpbm.store(config.cpbm, Ordering::Relaxed);
            cell.mbw_pbm.store(config.mbw_pbm, Ordering::Relaxed);
            cell.mbw_max.store(config.mbw_max.into(), Ordering::Relaxed);
        }
    }
}

impl<M: Msc> Access<'_, M> {
    /// Programs one PARTID of a resource instance: with `config`, or so that nothing is restricted.
    pub(crate) fn program(&self, ris: &Ris, partid: u16, config: Option<Config>) {
        let props = &ris.props;
        if props.has(Feature::PartidNrw) {
            self.select_part(ris.index, partid);
            self.write(Intpartid::OFFSET, Intpartid::INTERNAL.word(1) | Intpartid::INTPARTID.word(partid.into()));
            self.select_internal_part(ris.index, partid);
        } else {
            self.select_part(ris.index, partid);
        }
        if props.has(Feature::Cpor) {
            self.write_bitmap(Cpbm::OFFSET, props.cpbm_wd, config.map(|config| config.cpbm));
        }
        if props.has(Feature::MbwPart) {
            self.write_bitmap(MbwPbm::OFFSET, props.mbw_pbm_bits, config.map(|config| config.mbw_pbm));
        }
        let mbw_max = config.map_or(u16::MAX, |config| config.mbw_max);
        if props.has(Feature::MbwMin) {
            let implemented = mbw_max & fraction(props.bwa_wd);
            self.write(MbwMin::OFFSET, self.msc.quirks.mbw_min(implemented, props.bwa_wd).into());
        }
        if props.has(Feature::MbwMax) {
            self.write(MbwMax::OFFSET, mbw_max.into());
        }
        let bandwidth = props.has(Feature::MbwMin) || props.has(Feature::MbwMax);
        if bandwidth && self.msc.quirks.bandwidth_effect == BandwidthEffect::WhenPassedOn {
            self.pass_bandwidth_on(partid);
        }
        let open = [
            (Feature::MbwProp, MbwProp::OFFSET, 0),
            (Feature::Cmax, Cmax::OFFSET, 0xffff),
            (Feature::Cmin, Cmin::OFFSET, 0),
            (Feature::Cassoc, Cassoc::OFFSET, 0xffff),
        ];
        for (feature, offset, value) in open {
            if props.has(feature) {
                self.write(offset, value);
            }
        }
        if props.has(Feature::Intpri) || props.has(Feature::Dspri) {
            let internal = highest(props, Feature::Intpri0Low, props.intpri_wd);
            let downstream = highest(props, Feature::Dspri0Low, props.dspri_wd);
            self.write(Pri::OFFSET, Pri::INTPRI.word_at_most(internal) | Pri::DSPRI.word_at_most(downstream));
        }
    }

    /// Whether the registers of a PARTID hold what is managed of `config`.
    pub(crate) fn holds(&self, ris: &Ris, partid: u16, config: Config) -> bool {
        let props = &ris.props;
        self.select_part(ris.index, partid);
        if props.has(Feature::PartidNrw) {
            let mapping = Intpartid::INTERNAL.word(1) | Intpartid::INTPARTID.word(partid.into());
            if self.read(Intpartid::OFFSET) != mapping {
                return false;
            }
            self.select_internal_part(ris.index, partid);
        }
        let bitmap =
            |feature, offset, bits, value| !props.has(feature) || bits > MANAGED_BITS || self.read(offset) == value;
        let implemented = u32::from(fraction(props.bwa_wd));
        let limit =
            !props.has(Feature::MbwMax) || (self.read(MbwMax::OFFSET) ^ u32::from(config.mbw_max)) & implemented == 0;
        limit
            && bitmap(Feature::Cpor, Cpbm::OFFSET, props.cpbm_wd, config.cpbm)
            && bitmap(Feature::MbwPart, MbwPbm::OFFSET, props.mbw_pbm_bits, config.mbw_pbm)
    }

    /// Writes a bit map of `bits`: `value` if it is managed, else all ones.
    fn write_bitmap(&self, offset: u32, bits: u16, value: Option<u32>) {
        let managed = value.filter(|_| bits <= MANAGED_BITS);
        for word in 0..bits.div_ceil(32) {
            self.write(offset + u32::from(word) * 4, managed.unwrap_or(ones(bits, word)));
        }
    }
}

/// The highest priority of so many bits; `zero_is_low` is the ability to which 0 is the lowest.
const fn highest(props: &Props, zero_is_low: Feature, bits: u16) -> u32 {
    if props.has(zero_is_low) { ones(bits, 0) } else { 0 }
}
