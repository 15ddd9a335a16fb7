// SPDX-License-Identifier: GPL-2.0-only
//! Programming a PARTID: `mpam_reprogram_ris_partid()`.
//!
//! What nobody manages gets the value that restricts nothing, whenever it is not known what the registers hold: firmware
//! may have left anything in them. From then on only what changes is written.

use super::bits::ones;
use super::config::{Config, MANAGED_BITS, Managed, fraction, limits_bandwidth};
use super::msc::{Access, Ris};
use super::{BandwidthEffect, Feature, Props};
use crate::Msc;
use crate::registers::{Cassoc, Cmax, Cmin, Cpbm, Intpartid, MbwMax, MbwMin, MbwPbm, MbwProp, Pri};

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
