// SPDX-License-Identifier: GPL-2.0-only
//! What is programmed for a PARTID, and what its registers are known to hold.

use core::sync::atomic::{AtomicU32, Ordering};

use resctrl_types::{KVec, Result};

use super::bits::ones;
use super::{Feature, Props};

/// Bits of the bit maps that are managed; wider ones are left open.
pub(super) const MANAGED_BITS: u16 = 32;

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
    pub(super) fn implemented(self, props: &Props) -> Config {
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

pub(super) const fn limits_bandwidth(props: &Props) -> bool {
    props.has(Feature::MbwMin) || props.has(Feature::MbwMax)
}

/// All ones in the implemented bits of a fraction.
pub(super) const fn fraction(bits: u16) -> u16 {
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

    /// What they hold; `None` where that is not known.
    pub(super) fn get(&self, partid: u16) -> Option<Config> {
        self.0.get(usize::from(partid))?.get()
    }

    /// Remembers what they hold, or that it is not known.
    pub(super) fn set(&self, partid: u16, config: Option<Config>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_has_its_bits_at_the_top_and_no_more_than_the_register() {
        for bits in 0..=64 {
            let all = fraction(bits);
            assert_eq!((all.leading_ones(), all.count_ones()), (u32::from(bits.min(16)), u32::from(bits.min(16))));
        }
    }
}
