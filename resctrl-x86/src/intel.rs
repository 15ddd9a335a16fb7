// SPDX-License-Identifier: GPL-2.0-only
//! Intel: what its allocation leaves mean, and what its control registers want.

use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind, Scope, ThrottleMode};
use resctrl_types::{ResourceId, Switch, cbm};

use crate::Registers;
use crate::controls::Controls;
use crate::cpuid::{
    ALLOCATION_L2, ALLOCATION_L3, ALLOCATION_MBA, AllocationResources, CatAbilities, CatLength, CatShareable, Closids,
    Features, MbaAbilities, MbaRange,
};
use crate::msr::{L2Mask, L3Mask, MbaThrottle};
use crate::options::{Feature, Options};
use crate::quirks::Model;
use resctrl_types::register::Field;

/// The whole bandwidth, in percent: `MAX_MBA_BW`.
const MAX_BANDWIDTH: u32 = 100;

/// Finds out what can be controlled. The caller has made sure that leaf 0x10 exists.
pub(crate) fn controls<P: Platform>(
    registers: &impl Registers,
    model: Model,
    options: Options,
    platform: &P,
) -> Controls {
    if !Features::RDT_A.is_set(Features::ADDRESS.read(registers)) {
        return Controls::default();
    }
    let has =
        |field: Field, feature| field.is_set(AllocationResources::ADDRESS.read(registers)) && options.allows(feature);
    Controls {
        l3: has(AllocationResources::L3, Feature::L3Cat).then(|| {
            cache(registers, ALLOCATION_L3, L3Mask::COUNT, options.allows(Feature::L3Cdp).into(), Scope::L3Cache)
        }),
        l2: has(AllocationResources::L2, Feature::L2Cat).then(|| {
            cache(registers, ALLOCATION_L2, L2Mask::COUNT, options.allows(Feature::L2Cdp).into(), Scope::L2Cache)
        }),
        mb: has(AllocationResources::MBA, Feature::Mba).then(|| bandwidth(registers, model, platform)).flatten(),
        smba: None,
    }
}

fn cache(registers: &impl Registers, subleaf: u32, masks: u32, cdp: Switch, scope: Scope) -> Control {
    let cbm_len = narrow(CatLength::CBM_LEN.get(CatLength::ADDRESS.at(subleaf).read(registers))) + 1;
    let shareable = narrow(CatShareable::MASK.get(CatShareable::ADDRESS.at(subleaf).read(registers)));
    let abilities = CatAbilities::ADDRESS.at(subleaf).read(registers);
    Control {
        scope,
        num_closid: num_closid(registers, subleaf, masks),
        cdp_capable: CatAbilities::CDP.is_set(abilities) && cdp.is_on(),
        kind: ControlKind::Cache(CacheControl {
            cbm_len,
            min_cbm_bits: 1,
            shareable_bits: shareable & cbm::full(cbm_len),
            sparse_masks: CatAbilities::SPARSE.is_set(abilities),
        }),
    }
}

fn bandwidth<P: Platform>(registers: &impl Registers, model: Model, platform: &P) -> Option<Control> {
    let abilities = MbaAbilities::ADDRESS.read(registers);
    let max_delay = narrow(MbaRange::MAX_DELAY.get(MbaRange::ADDRESS.read(registers))) + 1;
    if !MbaAbilities::LINEAR.is_set(abilities) || max_delay >= MAX_BANDWIDTH {
        let Model { family, model, .. } = model;
        platform.log(LogLevel::Warn, format_args!("MBA b/w map not implemented for cpu:{family}, model:{model}"));
        return None;
    }
    // The steps are as large as the smallest amount: each is a multiple of it.
    let min_bw = MAX_BANDWIDTH - max_delay;
    Some(Control {
        scope: Scope::L3Cache,
        num_closid: num_closid(registers, ALLOCATION_MBA, MbaThrottle::COUNT),
        cdp_capable: false,
        kind: ControlKind::Bandwidth(BandwidthControl {
            min_bw,
            max_bw: MAX_BANDWIDTH,
            bw_gran: min_bw,
            delay_linear: true,
            needs_linear: true,
            throttle_mode: Some(if MbaAbilities::PER_THREAD.is_set(abilities) {
                ThrottleMode::PerThread
            } else {
                ThrottleMode::Max
            }),
        }),
    })
}

/// CLOSIDs of a resource, never more than there are registers for.
fn num_closid(registers: &impl Registers, subleaf: u32, control_registers: u32) -> u32 {
    (narrow(Closids::MAX.get(Closids::ADDRESS.at(subleaf).read(registers))) + 1).min(control_registers)
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
        ResourceId::Mb => (
            MbaThrottle::ADDRESS.checked_add(index)?,
            MbaThrottle::DELAY.put(MAX_BANDWIDTH.saturating_sub(value).into()),
        ),
        ResourceId::Smba | ResourceId::PerfPkg => return None,
    })
}
