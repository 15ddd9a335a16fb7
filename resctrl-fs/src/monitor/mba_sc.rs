// SPDX-License-Identifier: GPL-2.0-only
//! The software bandwidth controller (`-o mba_MBps`): targets in MB/s instead of percentages.
//!
//! Once a second and domain, compares what a group moved with its target and turns the hardware's percentage one step
//! up or down.

use resctrl_types::arch::{Change, MonId, Trust};
use resctrl_types::locked::MutexHeld;
use resctrl_types::resource::{BandwidthControl, ControlKind};
use resctrl_types::{Arch, ConfType, DomainCpus, Errno, EventId, KVec, Pinned, Platform, ResourceId};

use crate::data::domain::{Bandwidth, CtrlDomain, MonState};
use crate::data::state::{Op, Resctrl, State};
use crate::status::Done;
use crate::text::Shown;
use crate::text::{TextOut, strip_newline, together};

/// Bytes of a MiB, as a shift: the unit of the targets.
const MIB_SHIFT: u32 = 20;

/// Remembers a reading and how far it is from the last one.
pub(crate) fn note<A: Arch<P>, P: Platform>(
    arch: &A,
    bandwidth: &mut [KVec<Bandwidth>; 2],
    id: MonId,
    event: EventId,
    bytes: u64,
) {
    let index = arch.rmid_index(id).index();
    let Some(memory) = event.mbm_index().and_then(|event| bandwidth[event].get_mut(index)) else { return };
    let mib = bytes.wrapping_sub(memory.bytes) >> MIB_SHIFT;
    *memory = Bandwidth { bytes, mbps: u32::try_from(mib).unwrap_or(u32::MAX) };
}

/// One step of the controller for every control group in the domain of `here`.
pub(crate) fn run<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &mut State<A, P>,
    domain: &MonState<A::MonDomain>,
    held: MutexHeld<'_>,
    here: Pinned<'_>,
) {
    let arch = &fs.arch;
    let Some(ControlKind::Bandwidth(control)) = arch.control(ResourceId::Mb).map(|control| control.kind) else {
        return;
    };
    let State { online, groups, ctrl_domains, .. } = state;
    let mut domains = ctrl_domains[ResourceId::Mb.index()].iter_mut();
    let Some(mb) = domains.find(|mb| mb.cpus.contains(here.cpu())) else { return };
    for group in groups.iter() {
        let Some(event) = group.mba_event.and_then(EventId::mbm_index) else { continue };
        if group.mode.is_pseudo_locking() {
            continue;
        }
        let rmids = core::iter::once(group.rmid).chain(group.children.iter().map(|child| child.rmid));
        let current: u32 = rmids
            .filter_map(|rmid| {
                domain.bandwidth[event].get(arch.rmid_index(MonId { closid: group.closid, rmid }).index())
            })
            .fold(0, |sum, memory| sum.saturating_add(memory.mbps));
        let target = mb.target(group.closid);
        let now = arch.control_value(ResourceId::Mb, &mb.arch, group.closid, ConfType::Both);
        if let Some(value) = step(&control, now, target, current) {
            let change = Change { closid: group.closid, conf_type: ConfType::Both, value };
            // An architecture that refuses leaves the percentage as it is; the next period tries again.
            let CtrlDomain { arch: arch_domain, cpus: mask, .. } = &mut **mb;
            let cpus = DomainCpus::new(online.stay(held), mask).from_here(here);
            let _ = arch.apply(&fs.platform, cpus, ResourceId::Mb, arch_domain, &[change], Trust::Memory);
        }
    }
}

/// The next percentage, or `None` to leave it.
///
/// Upwards only if the traffic, grown in proportion to the smallest step, would stay below the target.
fn step(control: &BandwidthControl, now: u32, target: u32, current: u32) -> Option<u32> {
    if now > control.min_bw && target < current {
        return Some(now.saturating_sub(control.bw_gran).max(control.min_bw));
    }
    // A product of two numbers of 32 bits, of which the second is the sum of two percentages.
    let grown =
        u64::from(current).saturating_mul(u64::from(now).saturating_add(control.min_bw.into())) / u64::from(now.max(1));
    (now < control.max_bw && u64::from(target) > grown).then(|| now.saturating_add(control.bw_gran).min(control.max_bw))
}

/// What a group is compared by unless told otherwise: local traffic where that is counted.
pub(crate) fn default_event<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) -> Option<EventId> {
    [EventId::MbmLocal, EventId::MbmTotal].into_iter().find(|&event| fs.has_event(event))
}

/// Prints `mba_MBps_event`.
pub(crate) fn show_event<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, out: &mut dyn TextOut) -> Shown {
    let event = op.state().groups[ctrl].mba_event.ok_or(Errno::EINVAL)?;
    together(out, |out| out.text(event.name())?.end_line())
}

/// Carries out a write to `mba_MBps_event`.
pub(crate) fn write_event<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, data: &[u8]) -> Done {
    let Some(name) = strip_newline(data) else {
        return Err(op.refuse(Errno::EINVAL, "mba_MBps_event: Invalid input\n"));
    };
    let event = EventId::MBM.into_iter().find(|event| event.name().as_bytes() == name && op.fs.has_event(*event));
    let Some(event) = event else {
        return Err(op.state().status.refuse_quoting(Errno::EINVAL, "Unsupported event id '", name, "'\n"));
    };
    op.state().groups[ctrl].mba_event = Some(event);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: BandwidthControl = BandwidthControl {
        min_bw: 10,
        max_bw: 100,
        bw_gran: 10,
        delay_linear: true,
        needs_linear: true,
        throttle_mode: None,
    };

    #[test]
    fn traffic_above_the_target_steps_down_until_the_minimum() {
        assert_eq!(step(&CONTROL, 100, 500, 900), Some(90));
        assert_eq!(step(&CONTROL, 20, 500, 900), Some(10));
        assert_eq!(step(&CONTROL, 10, 500, 900), None);
    }

    #[test]
    fn traffic_below_the_target_steps_up_only_with_headroom() {
        assert_eq!(step(&CONTROL, 50, 1000, 500), Some(60));
        assert_eq!(step(&CONTROL, 50, 550, 500), None);
        assert_eq!(step(&CONTROL, 100, u32::MAX, 0), None);
        assert_eq!(step(&CONTROL, 50, u32::MAX, u32::MAX - 1), None);
    }

    #[test]
    fn traffic_at_the_target_is_left_alone_and_so_is_what_would_be_there_after_a_step() {
        assert_eq!(step(&CONTROL, 50, 500, 500), None);
        assert_eq!(step(&CONTROL, 50, 600, 500), None);
        assert_eq!(step(&CONTROL, 50, 601, 500), Some(60));
    }
}
