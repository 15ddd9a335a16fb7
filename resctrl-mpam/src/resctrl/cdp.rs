// SPDX-License-Identifier: GPL-2.0-only
//! Switching the emulation of code and data prioritisation, which is told in `ids`.

use core::sync::atomic::Ordering;

use resctrl_types::arch::{Cdp, Resources};
use resctrl_types::platform::LogLevel;
use resctrl_types::{CpuMask, CpusHeld, Errno, Platform, ResourceId, Result, Switch};

use super::Mpam;
use super::control::CtrlDomain;
use crate::{Msc, SystemRegisters};

impl<P: Platform, M: Msc, S: SystemRegisters> Cdp<P> for Mpam<M, S> {
    fn set_cdp(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, cdp: Switch) -> Result<()> {
        let enable = cdp.is_on();
        if enable && !self.options.expert {
            platform.log(LogLevel::Warn, format_args!("CDP not supported without the module's parameter expert=1"));
            return Err(Errno::EOPNOTSUPP);
        }
        let capable = self.control(resource).is_some_and(|control| control.cdp_capable);
        let switch = match self.cdp.of(resource) {
            Some(switch) if capable || !enable => switch,
            _ if enable => return Err(Errno::EINVAL),
            _ => return Ok(()),
        };
        if switch.swap(enable, Ordering::Relaxed) == enable {
            return Ok(());
        }
        if enable {
            platform.log(LogLevel::Warn, format_args!("CDP is an expert feature and may cause MPAM to malfunction."));
        }
        // Every CLOSID, the default group's as well, has become another pair of PARTIDs.
        platform.interrupt_mask(cpus, &self.possible, &|here| self.relabel(here, platform.current_word(here)));
        Ok(())
    }

    /// CDP is a matter of labels, which processors make: no component knows of it.
    fn program_cdp(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _resource: ResourceId,
        _domain: &mut CtrlDomain,
        _mask: &CpuMask,
    ) {
    }
}
