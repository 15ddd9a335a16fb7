// SPDX-License-Identifier: GPL-2.0-only
//! Control values: which register holds one, programming changes, resetting.

use resctrl_types::arch::{Change, Controls, Resources, Trust};
use resctrl_types::resource::{Control, ControlKind};
use resctrl_types::{Closid, ConfType, CpuMask, CpusHeld, DomainCpus, Errno, Here, Platform, ResourceId, Result, cbm};

use crate::core::{CtrlDomain, X86, on_some_cpu};
use crate::{Registers, amd, intel};

/// The hardware's index of a control value: with CDP, data and code of a CLOSID lie side by side.
const fn control_index(closid: Closid, conf_type: ConfType) -> usize {
    let closid = closid.index();
    match conf_type {
        ConfType::Both => closid,
        ConfType::Data => closid.saturating_mul(2),
        ConfType::Code => closid.saturating_mul(2).saturating_add(1),
    }
}

/// Whether the hardware takes this value.
fn admits(control: &Control, value: u32) -> bool {
    match control.kind {
        ControlKind::Cache(cache) => {
            value & !cache.full_mask() == 0
                && cbm::lowest_run(value).count_ones() >= cache.min_cbm_bits
                && (cache.sparse_masks || cbm::is_contiguous(value))
        }
        ControlKind::Bandwidth(bandwidth) => (bandwidth.min_bw..=bandwidth.max_bw).contains(&value),
    }
}

impl<P: Platform, R: Registers> Controls<P> for X86<R> {
    fn control_value(&self, resource: ResourceId, domain: &CtrlDomain, closid: Closid, conf_type: ConfType) -> u32 {
        let index = control_index(closid, conf_type);
        let default = || self.control(resource).map_or(0, |control| control.default_value());
        domain.values.get(index).copied().unwrap_or_else(default)
    }

    fn apply(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        resource: ResourceId,
        domain: &mut CtrlDomain,
        changes: &[Change],
        trust: Trust,
    ) -> Result<()> {
        for change in changes {
            self.check(resource, domain, change)?;
        }
        if trust == Trust::Memory && !changes.iter().any(|change| differs(domain, change)) {
            return Ok(());
        }
        let mut result = Ok(());
        let mut program = |here: Here<'_>| {
            for change in changes {
                result = result.and(self.program(here, resource, domain, change, trust));
            }
        };
        let crossed = match cpus.inside() {
            Some(here) => {
                program(here.into());
                Ok(())
            }
            None => on_some_cpu(platform, cpus.stay(), cpus.mask(), &mut |here| program(here.into())),
        };
        self.fault.tell(platform);
        crossed.and(result)
    }

    /// Goes to a CPU only if a value is not the default. Whoever wants to be sure of registers writes values again.
    fn reset(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, domain: &mut CtrlDomain, mask: &CpuMask) {
        let Some(default) = self.control(resource).map(|control| control.default_value()) else { return };
        if domain.values.iter().all(|&value| value == default) {
            return;
        }
        // A domain has a CPU as long as hotplug is held off; without one there is no register to reset.
        let _ = on_some_cpu(platform, cpus, mask, &mut |here| {
            for index in 0..domain.values.len() {
                if domain.values.get(index) != Some(&default) {
                    let _ = self.write_control(here.into(), resource, domain, index, default);
                }
            }
        });
        self.fault.tell(platform);
    }
}

impl<R: Registers> X86<R> {
    /// Refuses a value or an index that the hardware would refuse.
    fn check(&self, resource: ResourceId, domain: &CtrlDomain, change: &Change) -> Result<()> {
        let control = self.control(resource).ok_or(Errno::EINVAL)?;
        let exists = control_index(change.closid, change.conf_type) < domain.values.len();
        if exists && admits(&control, change.value) { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// Writes one checked value, unless it is what the register is taken to hold.
    fn program(
        &self,
        here: Here<'_>,
        resource: ResourceId,
        domain: &mut CtrlDomain,
        change: &Change,
        trust: Trust,
    ) -> Result<()> {
        let index = control_index(change.closid, change.conf_type);
        let holds = match trust {
            _ if differs(domain, change) => false,
            Trust::Memory => true,
            Trust::Registers => {
                let (msr, raw) = self.control_register(resource, index, change.value)?;
                self.read_msr(here, msr) == Ok(raw)
            }
        };
        if holds { Ok(()) } else { self.write_control(here, resource, domain, index, change.value) }
    }

    /// Writes the default to every index, whatever is thought to be there.
    pub(crate) fn write_defaults(&self, here: Here<'_>, resource: ResourceId, domain: &mut CtrlDomain) {
        let Some(control) = self.control(resource) else { return };
        for index in 0..domain.values.len() {
            let _ = self.write_control(here, resource, domain, index, control.default_value());
        }
    }

    /// The register of an index, and what to write to it for a value.
    fn control_register(&self, resource: ResourceId, index: usize, value: u32) -> Result<(u32, u64)> {
        let number = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
        let register = if self.amd.is_some() { amd::control_register } else { intel::control_register };
        register(resource, number, value).ok_or(Errno::EINVAL)
    }

    /// Writes a value and remembers it if the processor took it.
    pub(crate) fn write_control(
        &self,
        here: Here<'_>,
        resource: ResourceId,
        domain: &mut CtrlDomain,
        index: usize,
        value: u32,
    ) -> Result<()> {
        let (msr, raw) = self.control_register(resource, index, value)?;
        let remembered = domain.values.get_mut(index).ok_or(Errno::EINVAL)?;
        self.write_msr(here, msr, raw).map_err(|crate::Gp| Errno::EIO)?;
        *remembered = value;
        Ok(())
    }
}

fn differs(domain: &CtrlDomain, change: &Change) -> bool {
    domain.values.get(control_index(change.closid, change.conf_type)) != Some(&change.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn under_cdp_no_two_halves_share_an_index(a in 0..64u32, b in 0..64u32) {
            let halves = |closid| [control_index(Closid(closid), ConfType::Data), control_index(Closid(closid), ConfType::Code)];
            for (x, half_of_a) in halves(a).into_iter().enumerate() {
                for (y, half_of_b) in halves(b).into_iter().enumerate() {
                    prop_assert_eq!(half_of_a == half_of_b, (a, x) == (b, y));
                }
            }
        }
    }

    #[test]
    fn data_comes_before_code_and_without_cdp_the_index_is_the_closid() {
        assert_eq!(control_index(Closid(5), ConfType::Both), 5);
        assert_eq!(control_index(Closid(5), ConfType::Data), 10);
        assert_eq!(control_index(Closid(5), ConfType::Code), 11);
    }
}
