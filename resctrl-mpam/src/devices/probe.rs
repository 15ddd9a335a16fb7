// SPDX-License-Identifier: GPL-2.0-only
//! Asking an MSC what it has: `mpam_msc_hw_probe()`.

use resctrl_types::{Errno, Here, KVec, Result};

use super::msc::{Access, ClassKind, MscDevice, Ris};
use super::{BandwidthEffect, Feature, Ids, MbwuState, Props, Quirks};
use crate::Msc;
use crate::registers::{
    Aidr, CcapIdr, CporIdr, Csu, CsuCtl, CsuFlt, CsumonIdr, Idr, Iidr, MbwIdr, MbwuCtl, MbwumonIdr, MsmonIdr,
    PartidNrwIdr, PriIdr,
};

/// The largest number of a resource instance: the selectors have four bits.
const RIS_MAX: u8 = 15;

/// Bits of cache portions that there are registers for: `MPAMCFG_CPBM<0>` to `<1023>`.
const MOST_PORTIONS: u16 = 1 << 15;

/// Fraction bits that the bandwidth registers have room for.
const FRACTION_BITS: u16 = 16;

impl<M: Msc> MscDevice<M> {
    /// Finds out what the MSC has and fills that in, resource instances included that the firmware did not describe.
    ///
    /// # Errors
    /// `EIO` for an architecture version that is not known, `EINVAL` when the firmware describes an instance that does not
    /// exist, `ENOMEM`, and those of [`MscDevice::access`].
    pub fn probe(&mut self, here: Here<'_>) -> Result<()> {
        let mut ris = core::mem::take(&mut self.ris);
        let found = self.access(here).and_then(|access| probe(&access, &mut ris));
        self.ris = ris;
        let found = found?;
        self.ids = found.ids;
        self.quirks = found.quirks;
        if self.quirks.bandwidth_effect == BandwidthEffect::WhenPassedOn && self.registers.chip().is_none() {
            self.quirks.bandwidth_effect = BandwidthEffect::Never;
        }
        self.has_errors = found.has_errors;
        self.has_extended_errors = found.has_extended_errors;
        // Errors of firmware, and those of the questions just asked, are not the system's.
        let _ = self.take_error(here);
        Ok(())
    }
}

struct Found {
    ids: Ids,
    quirks: Quirks,
    has_errors: bool,
    has_extended_errors: bool,
}

fn probe<M: Msc>(access: &Access<'_, M>, ris: &mut KVec<Ris>) -> Result<Found> {
    let version = access.read(Aidr::OFFSET);
    let (major, minor) = (Aidr::MAJOR.of(version), Aidr::MINOR.of(version));
    if !(major == 1 || major == 0 && minor != 0) {
        return Err(Errno::EIO);
    }
    access.select_part(0, 0);
    let idr = read_idr(access);
    let ris_max = if Idr::HAS_RIS.is_set(idr) { Idr::RIS_MAX.byte_of(idr) } else { 0 };
    if ris.iter().any(|known| known.index > ris_max.min(RIS_MAX)) {
        return Err(Errno::EINVAL);
    }
    for index in 0..=ris_max.min(RIS_MAX) {
        if !ris.iter().any(|known| known.index == index) {
            ris.push(Ris::new(index, ClassKind::Unknown, 0))?;
        }
    }
    ris.sort_unstable_by_key(|known| known.index);
    let mut ids = Ids { partid_max: u16::MAX, pmg_max: u8::MAX };
    for instance in ris.iter_mut() {
        access.select_part(instance.index, 0);
        let (props, known) = probe_ris(access, instance.index, instance.class);
        instance.props = props;
        instance.mbwu = KVec::from_fn(props.num_mbwu_mon.into(), |_| MbwuState::default())?;
        ids = ids.common(known);
    }
    let extended = Idr::EXT.is_set(idr);
    Ok(Found {
        ids,
        quirks: Quirks::of(access.read(Iidr::OFFSET)).0,
        has_errors: !extended || Idr::HAS_ESR.is_set(idr),
        has_extended_errors: extended && Idr::HAS_ESR.is_set(idr) && Idr::HAS_EXTD_ESR.is_set(idr),
    })
}

/// `MPAMF_IDR` of the selected instance. The upper half exists only when the lower one says so.
fn read_idr<M: Msc>(access: &Access<'_, M>) -> u64 {
    let low = u64::from(access.read(Idr::OFFSET));
    if Idr::EXT.is_set(low) { low | u64::from(access.read(Idr::OFFSET + 4)) << 32 } else { low }
}

/// The properties of the selected resource instance, and the labels it understands: `mpam_ris_hw_probe()`.
fn probe_ris<M: Msc>(access: &Access<'_, M>, index: u8, class: ClassKind) -> (Props, Ids) {
    let idr = read_idr(access);
    let mut ids = Ids { partid_max: Idr::PARTID_MAX.half_of(idr), pmg_max: Idr::PMG_MAX.byte_of(idr) };
    let mut props = Props::default();
    if Idr::HAS_CCAP_PART.is_set(idr) {
        let ccap = access.read(CcapIdr::OFFSET);
        props.cmax_wd = CcapIdr::CMAX_WD.half_of(ccap.into());
        let some = props.cmax_wd != 0;
        props.add([
            (Feature::CmaxSoftlim, some && CcapIdr::HAS_CMAX_SOFTLIM.of(ccap) != 0),
            (Feature::Cmax, some && CcapIdr::NO_CMAX.of(ccap) == 0),
            (Feature::Cmin, some && CcapIdr::HAS_CMIN.of(ccap) != 0),
        ]);
        props.cassoc_wd = CcapIdr::CASSOC_WD.half_of(ccap.into());
        props.add([(Feature::Cassoc, props.cassoc_wd != 0 && CcapIdr::HAS_CASSOC.of(ccap) != 0)]);
    }
    if Idr::HAS_CPOR_PART.is_set(idr) {
        let portions = CporIdr::CPBM_WD.half_of(access.read(CporIdr::OFFSET).into());
        // A width for which there are no registers is none; its upper words would be other registers.
        props.cpbm_wd = if portions > MOST_PORTIONS { 0 } else { portions };
        props.add([(Feature::Cpor, props.cpbm_wd != 0)]);
    }
    if Idr::HAS_MBW_PART.is_set(idr) {
        let mbw = access.read(MbwIdr::OFFSET);
        props.mbw_pbm_bits = MbwIdr::BWPBM_WD.half_of(mbw.into());
        props.add([(Feature::MbwPart, props.mbw_pbm_bits != 0 && MbwIdr::HAS_PBM.of(mbw) != 0)]);
        props.bwa_wd = MbwIdr::BWA_WD.half_of(mbw.into()).min(FRACTION_BITS);
        let some = props.bwa_wd != 0;
        props.add([
            (Feature::MbwMax, some && MbwIdr::HAS_MAX.of(mbw) != 0),
            (Feature::MbwMin, some && MbwIdr::HAS_MIN.of(mbw) != 0),
            (Feature::MbwProp, some && MbwIdr::HAS_PROP.of(mbw) != 0),
        ]);
    }
    if Idr::HAS_PRI_PART.is_set(idr) {
        let pri = access.read(PriIdr::OFFSET);
        props.intpri_wd = PriIdr::INTPRI_WD.half_of(pri.into());
        let internal = props.intpri_wd != 0 && PriIdr::HAS_INTPRI.of(pri) != 0;
        props.add([
            (Feature::Intpri, internal),
            (Feature::Intpri0Low, internal && PriIdr::INTPRI_0_IS_LOW.of(pri) != 0),
        ]);
        props.dspri_wd = PriIdr::DSPRI_WD.half_of(pri.into());
        let downstream = props.dspri_wd != 0 && PriIdr::HAS_DSPRI.of(pri) != 0;
        props.add([
            (Feature::Dspri, downstream),
            (Feature::Dspri0Low, downstream && PriIdr::DSPRI_0_IS_LOW.of(pri) != 0),
        ]);
    }
    if Idr::HAS_MSMON.is_set(idr) {
        probe_monitors(access, index, &mut props);
    }
    // Of a part of the system that is not managed, what it narrows is not known to matter.
    if Idr::HAS_PARTID_NRW.is_set(idr) && class != ClassKind::Unknown {
        let internal_max = PartidNrwIdr::INTPARTID_MAX.half_of(access.read(PartidNrwIdr::OFFSET).into());
        props.add([(Feature::PartidNrw, true)]);
        // Each PARTID is mapped to the internal one of its own number.
        ids.partid_max = ids.partid_max.min(internal_max);
    }
    (props, ids)
}

fn probe_monitors<M: Msc>(access: &Access<'_, M>, index: u8, props: &mut Props) {
    let msmon = access.read(MsmonIdr::OFFSET);
    if MsmonIdr::MSMON_CSU.of(msmon) != 0 {
        let csu = access.read(CsumonIdr::OFFSET);
        props.num_csu_mon = CsumonIdr::NUM_MON.half_of(csu.into());
        let some = props.num_csu_mon != 0;
        props.add([
            (Feature::Csu, some),
            (Feature::CsuXcl, some && CsumonIdr::HAS_XCL.of(csu) != 0),
            (Feature::CsuHwNrdy, some && manages_nrdy(access, index)),
        ]);
    }
    if MsmonIdr::MSMON_MBWU.of(msmon) != 0 {
        let mbwu = access.read(MbwumonIdr::OFFSET);
        props.num_mbwu_mon = MbwumonIdr::NUM_MON.half_of(mbwu.into());
        let some = props.num_mbwu_mon != 0;
        let long = MbwumonIdr::HAS_LONG.of(mbwu) != 0;
        let longest = long && MbwumonIdr::LWD.of(mbwu) != 0;
        props.add([
            (Feature::Mbwu, some),
            (Feature::Mbwu63, some && longest),
            (Feature::Mbwu44, some && long && !longest),
            (Feature::MbwuRwbw, some && MbwumonIdr::HAS_RWBW.of(mbwu) != 0),
        ]);
    }
}

/// Whether hardware sets and clears the not-ready bit of usage monitors itself. If software can make it stick at both
/// values, even where a change of the filter ought to set it, nobody does.
fn manages_nrdy<M: Msc>(access: &Access<'_, M>, index: u8) -> bool {
    let enabled = MbwuCtl::EN.word(1) | MbwuCtl::MATCH_PARTID.word(1);
    access.select_monitor(index, 0);
    access.write(CsuFlt::OFFSET, 0);
    access.write(CsuCtl::OFFSET, enabled);
    access.write(Csu::OFFSET, Csu::NRDY.word(1));
    let set = Csu::NRDY.of(access.read(Csu::OFFSET)) != 0;
    access.write(Csu::OFFSET, 0);
    access.write(CsuFlt::OFFSET, CsuFlt::PMG.word(1));
    access.write(CsuCtl::OFFSET, enabled | MbwuCtl::MATCH_PMG.word(1));
    let cleared = Csu::NRDY.of(access.read(Csu::OFFSET)) == 0;
    access.write(CsuCtl::OFFSET, 0);
    !(set && cleared)
}
