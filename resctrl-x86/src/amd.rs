// SPDX-License-Identifier: GPL-2.0-only
//! AMD (and Hygon): what its extended leaves mean, what its control registers want, and what the switches of its threads are to be.
//!
//! Sources: "AMD64 Technology Platform Quality of Service Extensions" (publication 56375); AMD64 Architecture Programmer's
//! Manual (APM), volume 2, chapter "Platform Quality of Service Extension", and volume 3 for CPUID Fn8000_0020.

use core::sync::atomic::{AtomicBool, Ordering};

use resctrl_types::counter::Transactions;
use resctrl_types::event::EventSet;
use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind, Scope};
use resctrl_types::{Errno, EventId, ResourceId, Result, Switch, cbm};

use crate::Registers;
use crate::controls::Controls;
use crate::cpuid::{
    ALLOCATION_L2, ALLOCATION_L3, ALLOCATION_LEAF, AllocationResources, AmdL2, Bandwidth, CatAbilities, CatLength,
    CatShareable, Closids, Counters, Features, LimitClosids, LimitRange, MaxExtendedLeaf, QosFeatures,
    TransactionKinds,
};
use crate::msr::{L2Mask, L3Mask, L3QosExtCfg, MbaLimit, SmbaLimit};
use crate::options::{Feature, Options};
use crate::vendor::Vendor;

/// Offsets of the counter width where CPUID says 0.
pub(crate) const WIDTH_OFFSET: u64 = 20;
pub(crate) const WIDTH_OFFSET_HYGON: u64 = 8;

/// The extended leaf of QoS.
const QOS_LEAF: u64 = 0x8000_0020;
/// The extended leaf with the bit of bandwidth limits.
const BANDWIDTH_LEAF: u64 = 0x8000_0008;
/// The extended leaf with the size of the L2.
const CACHE_LEAF: u64 = 0x8000_0006;
/// Subleaf of [`QOS_LEAF`] for limits of bandwidth.
const LIMIT_MBA: u32 = 1;
/// Subleaf of [`QOS_LEAF`] for limits of bandwidth to slow memory.
const LIMIT_SMBA: u32 = 2;

/// What only AMD's processors have, and how it is set now.
#[derive(Debug, Default)]
pub(crate) struct Amd {
    /// Bandwidth events for which it can be chosen what they count (BMEC).
    configurable: EventSet,
    /// What can be counted at all, by those events and by assigned counters.
    pub(crate) transactions: Transactions,
    /// Bandwidth counters of each L3 that can be assigned (ABMC); 0 where there are none.
    pub(crate) counters: u32,
    /// Whether bandwidth is counted by them now.
    counters_assigned: AtomicBool,
    /// Whether devices can be given a CLOSID of their own (SDCIAE).
    io_alloc_capable: bool,
    /// Whether they have it now.
    io_alloc: AtomicBool,
}

/// Answers of CPUID's extended leaves, where there are some.
#[derive(Clone, Copy)]
struct Extended {
    last_leaf: u64,
}

impl Extended {
    fn read(registers: &impl Registers) -> Extended {
        Extended { last_leaf: MaxExtendedLeaf::LEAF.get(MaxExtendedLeaf::ADDRESS.read(registers)) }
    }

    fn has(self, leaf: u64) -> bool {
        self.last_leaf >= leaf
    }

    /// The bits that say what QoS there is.
    fn qos(self, registers: &impl Registers) -> u64 {
        if self.has(QOS_LEAF) { QosFeatures::ADDRESS.read(registers) } else { 0 }
    }
}

/// Finds out what can be controlled; `last_leaf` is the last basic leaf, `vendor` AMD or Hygon.
pub(crate) fn controls<P: Platform>(
    registers: &impl Registers,
    options: Options,
    platform: &P,
    last_leaf: u64,
    vendor: Vendor,
) -> Controls {
    if !Features::RDT_A.is_set(Features::ADDRESS.read(registers)) {
        return Controls::default();
    }
    let caches = if last_leaf >= ALLOCATION_LEAF { AllocationResources::ADDRESS.read(registers) } else { 0 };
    let cache = |there: bool, feature, subleaf, masks, cdp, scope| {
        (there && options.allows(feature)).then(|| cache(registers, subleaf, masks, options.allows(cdp).into(), scope))
    };
    let extended = Extended::read(registers);
    let mba = extended.has(BANDWIDTH_LEAF) && Bandwidth::MBE.is_set(Bandwidth::ADDRESS.read(registers));
    let smba = QosFeatures::SMBE.is_set(extended.qos(registers)) && vendor != Vendor::Hygon;
    let limit = |there: bool, feature, subleaf, limits| {
        (there && options.allows(feature)).then(|| limit(registers, subleaf, limits, platform)).flatten()
    };
    let (l3, l2) = (AllocationResources::L3.is_set(caches), AllocationResources::L2.is_set(caches));
    Controls {
        l3: cache(l3, Feature::L3Cat, ALLOCATION_L3, L3Mask::COUNT, Feature::L3Cdp, Scope::L3Cache),
        l2: cache(l2, Feature::L2Cat, ALLOCATION_L2, L2Mask::COUNT, Feature::L2Cdp, Scope::L2Cache),
        mb: limit(mba, Feature::Mba, LIMIT_MBA, MbaLimit::COUNT),
        smba: limit(smba, Feature::Smba, LIMIT_SMBA, SmbaLimit::COUNT),
    }
}

fn cache(registers: &impl Registers, subleaf: u32, masks: u32, cdp: Switch, scope: Scope) -> Control {
    let cbm_len = narrow(CatLength::CBM_LEN.get(CatLength::ADDRESS.at(subleaf).read(registers))) + 1;
    let shareable = narrow(CatShareable::MASK.get(CatShareable::ADDRESS.at(subleaf).read(registers)));
    let abilities = CatAbilities::ADDRESS.at(subleaf).read(registers);
    let closids = narrow(Closids::MAX.get(Closids::ADDRESS.at(subleaf).read(registers))) + 1;
    Control {
        scope,
        num_closid: closids.min(masks),
        cdp_capable: CatAbilities::CDP.is_set(abilities) && cdp.is_on(),
        // Any mask will do, the empty one too.
        kind: ControlKind::Cache(CacheControl {
            cbm_len,
            min_cbm_bits: 0,
            shareable_bits: shareable & cbm::full(cbm_len),
            sparse_masks: true,
        }),
    }
}

fn limit<P: Platform>(registers: &impl Registers, subleaf: u32, limits: u32, platform: &P) -> Option<Control> {
    let bits = narrow(LimitRange::BITS.get(LimitRange::ADDRESS.at(subleaf).read(registers)));
    let closids = narrow(LimitClosids::MAX.get(LimitClosids::ADDRESS.at(subleaf).read(registers)));
    let Some(max_bw) = 1_u32.checked_shl(bits) else {
        platform.log(LogLevel::Warn, format_args!("Unable to support hardware's maximum bandwidth"));
        return None;
    };
    Some(Control {
        scope: Scope::L3Cache,
        num_closid: closids.saturating_add(1).min(limits),
        cdp_capable: false,
        kind: ControlKind::Bandwidth(BandwidthControl {
            min_bw: 0,
            max_bw,
            bw_gran: 1,
            delay_linear: false,
            needs_linear: false,
            throttle_mode: None,
        }),
    })
}

/// A CPUID register has 32 bits.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The register, and what to write to it, that gives a control index this value.
pub(crate) fn control_register(resource: ResourceId, index: u32, value: u32) -> Option<(u32, u64)> {
    Some(match resource {
        ResourceId::L3 => (L3Mask::ADDRESS.checked_add(index)?, L3Mask::WAYS.put(value.into())),
        ResourceId::L2 => (L2Mask::ADDRESS.checked_add(index)?, L2Mask::WAYS.put(value.into())),
        ResourceId::Mb => (MbaLimit::ADDRESS.checked_add(index)?, MbaLimit::LIMIT.put(value.into())),
        ResourceId::Smba => (SmbaLimit::ADDRESS.checked_add(index)?, SmbaLimit::LIMIT.put(value.into())),
        ResourceId::PerfPkg => return None,
    })
}

/// Whether there are counters to assign, of which the limit in [`Options`] knows; asked before the events are known.
pub(crate) fn has_assignable_counters(registers: &impl Registers, options: Options) -> bool {
    QosFeatures::ABMC.is_set(Extended::read(registers).qos(registers)) && options.allows(Feature::Abmc)
}

/// Bytes that the kernel takes for the size of the last level cache: on AMD those of the L2, from the leaf of old.
pub(crate) fn cache_bytes(registers: &impl Registers) -> Option<u32> {
    let leaf_exists = Extended::read(registers).has(CACHE_LEAF);
    let kib = || narrow(AmdL2::SIZE.get(AmdL2::ADDRESS.read(registers)));
    leaf_exists.then(|| kib().saturating_mul(1024))
}

impl Amd {
    /// Finds out what else there is. `events` are those that are counted, `controls` what can be controlled.
    pub(crate) fn probe(registers: &impl Registers, options: Options, events: EventSet, controls: &Controls) -> Amd {
        let features = Extended::read(registers).qos(registers);
        // BMEC stands for both events; each can be configured if it is used.
        let configurable = QosFeatures::BMEC.is_set(features) && options.allows(Feature::Bmec);
        let assignable = QosFeatures::ABMC.is_set(features) && options.allows(Feature::Abmc);
        let kinds = || narrow(TransactionKinds::MASK.get(TransactionKinds::ADDRESS.read(registers)));
        // Without an event there is nothing for a counter to show.
        let assignable = assignable && events.any_mbm();
        Amd {
            configurable: EventId::MBM
                .into_iter()
                .filter(|event| configurable && events.contains(*event))
                .fold(EventSet::EMPTY, EventSet::with),
            transactions: if configurable || assignable {
                Transactions::from_bits(kinds())
            } else {
                Transactions::EMPTY
            },
            counters: if assignable {
                narrow(Counters::MAX.get(Counters::ADDRESS.read(registers))).saturating_add(1)
            } else {
                0
            },
            counters_assigned: AtomicBool::new(assignable),
            io_alloc_capable: QosFeatures::SDCIAE.is_set(features)
                && controls.l3.is_some()
                && options.allows(Feature::Sdciae),
            io_alloc: AtomicBool::new(false),
        }
    }

    /// Which transactions an event can be made to count.
    pub(crate) fn configurable(&self, event: EventId) -> Option<Transactions> {
        self.configurable.contains(event).then_some(self.transactions)
    }

    pub(crate) fn counters_assigned(&self) -> bool {
        self.counters_assigned.load(Ordering::Relaxed)
    }

    pub(crate) fn set_counters_assigned(&self, assigned: Switch) -> Result<()> {
        if self.counters == 0 {
            return Err(Errno::EINVAL);
        }
        self.counters_assigned.store(assigned.is_on(), Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn io_alloc(&self) -> Option<bool> {
        self.io_alloc_capable.then(|| self.io_alloc.load(Ordering::Relaxed))
    }

    pub(crate) fn set_io_alloc(&self, enable: Switch) -> Result<()> {
        if !self.io_alloc_capable {
            return Err(Errno::EINVAL);
        }
        self.io_alloc.store(enable.is_on(), Ordering::Relaxed);
        Ok(())
    }

    /// Which bits of the switches are this crate's to set, and what they are to be.
    pub(crate) fn switches(&self) -> (u64, u64) {
        let switch = |field: resctrl_types::register::Field, ours: bool, on: bool| {
            (field.put(ours.into()), field.put((ours && on).into()))
        };
        let abmc = switch(L3QosExtCfg::ABMC, self.counters > 0, self.counters_assigned());
        let sdciae = switch(L3QosExtCfg::SDCIAE, self.io_alloc_capable, self.io_alloc() == Some(true));
        (abmc.0 | sdciae.0, abmc.1 | sdciae.1)
    }
}
