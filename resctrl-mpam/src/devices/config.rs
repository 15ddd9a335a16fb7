// SPDX-License-Identifier: GPL-2.0-only
//! What is programmed for a PARTID, and programming it: `mpam_reprogram_ris_partid()`.
//!
//! What nobody manages gets the value that restricts nothing, whenever it is not known what the registers hold: firmware
//! may have left anything in them. From then on only what changes is written.

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

/// One of them: a value of `schemata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Managed {
    /// [`Config::cpbm`].
    CachePortions,
    /// [`Config::mbw_max`].
    Bandwidth,
}

impl Config {
    /// Restricts nothing, whatever a component has.
    pub const OPEN: Config = Config { cpbm: u32::MAX, mbw_pbm: u32::MAX, mbw_max: u16::MAX };

    /// The values that restrict nothing in a component with these properties.
    #[must_use]
    pub fn open(props: &Props) -> Config {
        Config::OPEN.implemented(props)
    }

    /// What of it an instance with these properties can hold. What is not managed there is open.
    fn implemented(self, props: &Props) -> Config {
        let bitmap = |feature, bits, value| {
            let managed = props.has(feature) && bits <= MANAGED_BITS;
            if managed { value & ones(bits, 0) } else { u32::MAX }
        };
        Config {
            cpbm: bitmap(Feature::Cpor, props.cpbm_wd, self.cpbm),
            mbw_pbm: bitmap(Feature::MbwPart, props.mbw_pbm_bits, self.mbw_pbm),
            mbw_max: if limits_bandwidth(props) { self.mbw_max & fraction(props.bwa_wd) } else { u16::MAX },
        }
    }
}

const fn limits_bandwidth(props: &Props) -> bool {
    props.has(Feature::MbwMin) || props.has(Feature::MbwMax)
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

/// A [`Config`] that is changed under the rdtgroup mutex only, by whoever shares it.
#[derive(Debug)]
struct Cell {
    cpbm: AtomicU32,
    mbw_pbm: AtomicU32,
    /// [`Cell::UNKNOWN`] where there is no value.
    mbw_max: AtomicU32,
}

impl Cell {
    /// No fraction.
    const UNKNOWN: u32 = u32::MAX;

    fn new(config: Option<Config>) -> Cell {
        let Config { cpbm, mbw_pbm, mbw_max } = config.unwrap_or(Config::OPEN);
        Cell {
            cpbm: AtomicU32::new(cpbm),
            mbw_pbm: AtomicU32::new(mbw_pbm),
            mbw_max: AtomicU32::new(if config.is_some() { mbw_max.into() } else { Self::UNKNOWN }),
        }
    }

    fn get(&self) -> Option<Config> {
        Some(Config {
            mbw_max: u16::try_from(self.mbw_max.load(Ordering::Relaxed)).ok()?,
            cpbm: self.cpbm.load(Ordering::Relaxed),
            mbw_pbm: self.mbw_pbm.load(Ordering::Relaxed),
        })
    }

    fn set(&self, config: Config) {
        self.cpbm.store(config.cpbm, Ordering::Relaxed);
        self.mbw_pbm.store(config.mbw_pbm, Ordering::Relaxed);
        self.mbw_max.store(config.mbw_max.into(), Ordering::Relaxed);
    }

    fn forget(&self) {
        self.mbw_max.store(Self::UNKNOWN, Ordering::Relaxed);
    }
}

/// What a component is programmed with, for every PARTID. Survives the time when no CPU can reach it.
///
/// Written under the rdtgroup mutex only. Atomic, since the control half and the monitor half of a domain, and the
/// driver's own list, share the component.
#[derive(Debug)]
pub struct Configs(KVec<Cell>);

impl Configs {
    /// Nothing restricted, for PARTIDs up to `partid_max`.
    pub(crate) fn new(partid_max: u16, props: &Props) -> Result<Configs> {
        let open = Config::open(props);
        Ok(Configs(KVec::from_fn(usize::from(partid_max) + 1, |_| Cell::new(Some(open)))?))
    }

    /// What is programmed for a PARTID; `None` for one that does not exist.
    #[must_use]
    pub fn get(&self, partid: u16) -> Option<Config> {
        self.0.get(usize::from(partid))?.get()
    }

    /// Remembers what has been programmed.
    pub(crate) fn set(&self, partid: u16, config: Config) {
        if let Some(cell) = self.0.get(usize::from(partid)) {
            cell.set(config);
        }
    }
}

/// What the registers of a resource instance are known to hold for every PARTID: all of its controls, those that nobody
/// manages too.
///
/// # Invariants
/// It is what they hold unless power was lost without anybody telling, or it is unknown; and it is unknown from the moment
/// when nobody can reach them until all of them have been written.
#[derive(Debug, Default)]
pub(crate) struct Held(KVec<Cell>);

impl Held {
    /// Nothing is known, of PARTIDs up to `partid_max`.
    pub(crate) fn new(partid_max: u16) -> Result<Held> {
        Ok(Held(KVec::from_fn(usize::from(partid_max) + 1, |_| Cell::new(None))?))
    }

    fn get(&self, partid: u16) -> Option<Config> {
        self.0.get(usize::from(partid))?.get()
    }

    fn set(&self, partid: u16, config: Option<Config>) {
        match (self.0.get(usize::from(partid)), config) {
            (Some(cell), Some(config)) => cell.set(config),
            (Some(cell), None) => cell.forget(),
            (None, _) => {}
        }
    }

    /// Whoever programs a PARTID next writes everything.
    pub(crate) fn forget(&self) {
        self.0.iter().for_each(Cell::forget);
    }
}

impl Ris {
    /// Whether the registers of a PARTID are known to hold `config`.
    pub(crate) fn holds(&self, partid: u16, config: Config) -> bool {
        self.held.get(partid) == Some(config.implemented(&self.props))
    }
}

impl<M: Msc> Access<'_, M> {
    /// Makes the registers of a PARTID of a resource instance hold `config`: writes what they are not known to hold.
    pub(crate) fn program(&self, ris: &Ris, partid: u16, config: Config) {
        let props = &ris.props;
        let config = config.implemented(props);
        let held = ris.held.get(partid);
        if held == Some(config) {
            return;
        }
        if props.has(Feature::PartidNrw) {
            self.select_part(ris.index, partid);
            self.write(Intpartid::OFFSET, Intpartid::INTERNAL.word(1) | Intpartid::INTPARTID.word(partid.into()));
            self.select_internal_part(ris.index, partid);
        } else {
            self.select_part(ris.index, partid);
        }
        if props.has(Feature::Cpor) && held.is_none_or(|held| held.cpbm != config.cpbm) {
            self.write_bitmap(Cpbm::OFFSET, props.cpbm_wd, config.cpbm);
        }
        if props.has(Feature::MbwPart) && held.is_none_or(|held| held.mbw_pbm != config.mbw_pbm) {
            self.write_bitmap(MbwPbm::OFFSET, props.mbw_pbm_bits, config.mbw_pbm);
        }
        let mut in_effect = true;
        if limits_bandwidth(props) && held.is_none_or(|held| held.mbw_max != config.mbw_max) {
            let quirks = &self.msc.quirks;
            if props.has(Feature::MbwMin) && (held.is_none() || quirks.mbw_min_follows_max) {
                self.write(MbwMin::OFFSET, quirks.mbw_min(config.mbw_max, props.bwa_wd).into());
            }
            if props.has(Feature::MbwMax) {
                self.write(MbwMax::OFFSET, config.mbw_max.into());
            }
            if quirks.bandwidth_effect == BandwidthEffect::WhenPassedOn {
                in_effect = self.pass_bandwidth_on(partid);
            }
        }
        if held.is_none() {
            self.open_the_rest(props);
        }
        ris.held.set(partid, Some(config).filter(|_| in_effect));
    }

    /// Lifts what nobody manages of the selected PARTID.
    fn open_the_rest(&self, props: &Props) {
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

    /// Looks whether the registers of a PARTID show one value of `config`, if they are known to hold it; if they do not, nothing
    /// is known of this PARTID any more.
    pub(crate) fn verify(&self, ris: &Ris, partid: u16, config: Config, value: Managed) {
        if ris.holds(partid, config) && !self.shows(ris, partid, config, value) {
            ris.held.set(partid, None);
        }
    }

    fn shows(&self, ris: &Ris, partid: u16, config: Config, value: Managed) -> bool {
        let props = &ris.props;
        let (there, offset, wanted, implemented) = match value {
            Managed::CachePortions => {
                let bits = props.cpbm_wd;
                (props.has(Feature::Cpor) && bits <= MANAGED_BITS, Cpbm::OFFSET, config.cpbm, ones(bits, 0))
            }
            Managed::Bandwidth => {
                let implemented = fraction(props.bwa_wd);
                (props.has(Feature::MbwMax), MbwMax::OFFSET, config.mbw_max.into(), implemented.into())
            }
        };
        if !there {
            return true;
        }
        self.select_part(ris.index, partid);
        if props.has(Feature::PartidNrw) {
            // Not the flag beside it: that reads as what was written last, if at all.
            if Intpartid::INTPARTID.half_of(self.read(Intpartid::OFFSET).into()) != partid {
                return false;
            }
            self.select_internal_part(ris.index, partid);
        }
        (self.read(offset) ^ wanted) & implemented == 0
    }

    /// Writes a bit map of `bits`: `value` if it is managed, else all ones.
    fn write_bitmap(&self, offset: u32, bits: u16, value: u32) {
        for word in 0..bits.div_ceil(32) {
            let value = if bits <= MANAGED_BITS { value } else { ones(bits, word) };
            self.write(offset + u32::from(word) * 4, value);
        }
    }
}

/// The highest priority of so many bits; `zero_is_low` is the ability to which 0 is the lowest.
const fn highest(props: &Props, zero_is_low: Feature, bits: u16) -> u32 {
    if props.has(zero_is_low) { ones(bits, 0) } else { 0 }
}
