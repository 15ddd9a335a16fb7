// SPDX-License-Identifier: GPL-2.0-only
//! The commands of guest programs, see [`crate::control`].

use super::{Effects, System};
use crate::control::{Answer, Call, CounterId, Request, Status, VERSION, answer, counts_of, fault_id, index, label_id};
use crate::flow::Flow;
use crate::monitor::{Event, Fault};
use crate::mpam::registers::{Ecr, MbwMax, MbwMin};
use crate::mpam::{BandwidthControls, Label, Level, Request as MemoryRequest, t241};
use crate::numbers::low;
use crate::write_log::{Kind, MsrWrite};

type Carried = Result<([u64; 3], Effects), Status>;

/// Which of the two kinds of monitors a command means.
const USAGE: u64 = 0;
const TRAFFIC: u64 = 1;

impl System {
    /// Carries out a command of a program that runs on a CPU, at an exception level.
    pub fn control(&self, call: Call, caller: (usize, Level), now: u64) -> (Answer, Effects) {
        match Request::decode(call).and_then(|request| self.carry_out(request, caller, now)) {
            Ok((values, effects)) => (answer(Ok(values)), effects),
            Err(status) => (answer(Err(status)), Effects::default()),
        }
    }

    fn carry_out(&self, request: Request, caller: (usize, Level), now: u64) -> Carried {
        let values = match request {
            Request::Probe => {
                let topology = &self.machine.topology;
                [VERSION, topology.cpus() as u64, topology.l3_domains() as u64]
            }
            Request::Add(id, bytes) => {
                let label = label(id)?;
                return match id.event {
                    Event::MbmTotal => done(self.add(index(id.domain), label, bytes, now)?),
                    Event::LlcOccupancy => {
                        let (_, held) = self.usage(index(id.domain), label, now)?;
                        done(self.set_occupancy(index(id.domain), label, held.saturating_add(bytes), now)?)
                    }
                    Event::MbmLocal => Err(Status::NoSuchEvent),
                };
            }
            Request::Set(id, bytes) => {
                let label = label(id)?;
                return match id.event {
                    Event::LlcOccupancy => done(self.set_occupancy(index(id.domain), label, bytes, now)?),
                    // A monitor counts what passes, and cannot be made to have counted less.
                    Event::MbmTotal => {
                        let (moved, _) = self.usage(index(id.domain), label, now)?;
                        let more = bytes.checked_sub(moved).ok_or(Status::NoSuchCommand)?;
                        done(self.add(index(id.domain), label, more, now)?)
                    }
                    Event::MbmLocal => Err(Status::NoSuchEvent),
                };
            }
            Request::Get(id) => {
                let (moved, held) = self.usage(index(id.domain), label(id)?, now)?;
                match id.event {
                    Event::MbmTotal => [moved, fault_id(None), 0],
                    Event::LlcOccupancy => [held, fault_id(None), 0],
                    Event::MbmLocal => return Err(Status::NoSuchEvent),
                }
            }
            Request::SetFault(id, fault) => {
                // A monitor has no error of its own; it can be not ready.
                let not_ready = match fault {
                    None => false,
                    Some(Fault::Unavailable) => true,
                    Some(Fault::Error) => return Err(Status::NoSuchFault),
                };
                self.set_not_ready(index(id.domain), label(id)?, not_ready)?;
                [0; 3]
            }
            Request::SetRate(CounterId { event: Event::LlcOccupancy, .. }, _) => {
                return Err(Status::NoRateForOccupancy);
            }
            Request::SetRate(CounterId { event: Event::MbmLocal, .. }, _) => return Err(Status::NoSuchEvent),
            Request::SetRate(id, rate) => return done(self.set_rate(index(id.domain), label(id)?, rate, now)?),
            Request::SetFlow(cpu, flow) => {
                let none = Flow { total: 0, local: 0, footprint: 0 };
                return done(self.set_flow(index(cpu), (flow != none).then_some(flow), now)?);
            }
            Request::SetDrain(domain, rate) => return done(self.set_drain(index(domain), rate, now)?),
            Request::Association(cpu) => {
                let cpu = Some(index(cpu)).filter(|cpu| *cpu < self.machine.topology.cpus());
                let Label { partid, pmg } = self.label(cpu.ok_or(Status::NoSuchCpu)?);
                [pmg.into(), partid.into(), 0]
            }
            Request::Writes(kind) => [self.writes(kind), 0, 0],
            Request::NextWrite => [self.state().log.next(), 0, 0],
            Request::WriteAt(sequence) => {
                let write = self.state().log.control_at_or_after(sequence);
                let MsrWrite { sequence, cpu, address, value, changed } = write.ok_or(Status::NoSuchWrite)?;
                [value, sequence, u64::from(address) | (cpu as u64) << 32 | u64::from(changed) << 63]
            }
            Request::Labels(cpu) => {
                let state = self.state();
                let cpu = state.cpus.get(index(cpu)).ok_or(Status::NoSuchCpu)?;
                let [user, kernel, hypervisor] = [Level::El0, Level::El1, Level::El2].map(|level| {
                    let Label { partid, pmg } = cpu.label(level, false);
                    label_id(partid, pmg)
                });
                [user, kernel, hypervisor]
            }
            Request::Move(bytes) => {
                let label = self.move_from(caller, bytes, now)?;
                return Ok(([label.0.pmg.into(), label.0.partid.into(), caller.1 as u64], label.1));
            }
            Request::MoveAtEl1(cpu, bytes) => {
                let (_, effects) = self.move_from((index(cpu), Level::El1), bytes, now)?;
                return done(effects);
            }
            Request::PowerCycle(cpu) if index(cpu) < self.machine.topology.cpus() => {
                return done(self.power_cycle(index(cpu), now));
            }
            Request::PowerCycle(_) => return Err(Status::NoSuchCpu),
            Request::LosePower => return done(self.lose_power(now)),
            Request::Caches(caches) => {
                let (before, effects) = self.set_caches(caches, now).ok_or(Status::NoCaches)?;
                return Ok(([before as u64, 0, 0], effects));
            }
            Request::MemorySpeed(bytes) if self.set_memory_speed(bytes) => [0; 3],
            Request::MemorySpeed(_) => return Err(Status::NoCaches),
            Request::CacheCounts(cpu) => counts_of(self.caches(), cpu, self.machine.topology.cpus())?,
            request => return self.carry_out_msc(request, now),
        };
        Ok((values, Effects::default()))
    }

    /// Moves bytes between a CPU's L3 and memory, with the label that requests of an exception level carry.
    fn move_from(&self, (cpu, level): (usize, Level), bytes: u64, now: u64) -> Result<(Label, Effects), Status> {
        if cpu >= self.machine.topology.cpus() {
            return Err(Status::NoSuchCpu);
        }
        let label = self.state().cpus[cpu].label(level, false);
        Ok((label, self.add(self.machine.topology.l3_domain(cpu), label, bytes, now)?))
    }

    /// The commands about one MSC.
    fn carry_out_msc(&self, request: Request, now: u64) -> Carried {
        let (Request::Msc(number)
        | Request::MscControl(number, ..)
        | Request::SetMscControl(number, ..)
        | Request::MscError(number)
        | Request::MscRequest(number, ..)
        | Request::MscMonitor(number, ..)) = request
        else {
            return Err(Status::NoSuchCommand);
        };
        let msc = index(number);
        let component = self.features.msc.get(msc).ok_or(Status::NoSuchMsc)?;
        let known = |ris: u64| Some(index(ris)).filter(|ris| *ris < component.ris.len()).ok_or(Status::NoSuchMsc);
        let mut effects = Effects::default();
        let mut state = self.state();
        self.settle(&mut state, now, &mut effects);
        let errors = state.log.total(Kind::Refused);
        if let Request::SetMscControl(_, at, offset, value) = request {
            let ris = known(at & u64::from(u32::MAX))?;
            let offset =
                u32::try_from(offset).ok().filter(|offset| offset.is_multiple_of(4)).ok_or(Status::NoSuchMsc)?;
            let partid = u16::try_from(at >> 32).map_err(|_| Status::NoSuchMsc)?;
            if !state.mscs[msc].msc.set_control(ris, partid, offset, low(value)) {
                return Err(Status::NoSuchMsc);
            }
            self.show_controls(&state, offset);
            self.refresh(&mut state, msc, 0, now, &mut effects);
            return done(effects);
        }
        let unit = &mut state.mscs[msc];
        let values = match request {
            Request::MscControl(_, ris, partid, offset) => {
                let offset = u32::try_from(offset).ok().filter(|offset| offset.is_multiple_of(4));
                let partid = u16::try_from(partid).ok();
                let (offset, partid) = offset.zip(partid).ok_or(Status::NoSuchMsc)?;
                let value = unit.msc.control(known(ris)?, partid, offset).ok_or(Status::NoSuchMsc)?;
                let value = in_effect(state.chip.as_ref(), component.ris[index(ris)].bandwidth, partid, offset)
                    .unwrap_or(value);
                [value.into(), 0, 0]
            }
            Request::MscError(_) => [unit.msc.error_status(), unit.msc.peek32(Ecr::OFFSET, now).into(), errors],
            Request::MscRequest(_, ris, label, bytes) => {
                let ris = known(ris)?;
                let (partid, pmg) = ((label & 0xffff) as u16, (label >> 16 & 0xff) as u8);
                unit.msc.request(ris, MemoryRequest { partid, pmg, bytes, write: false });
                self.refresh(&mut state, msc, 0, now, &mut effects);
                [0; 3]
            }
            Request::MscMonitor(_, ris, monitor, kind) => {
                let (ris, monitor) = (known(ris)?, index(monitor));
                match kind {
                    USAGE => unit.msc.usage_monitor(ris, monitor, now),
                    TRAFFIC => unit.msc.traffic_monitor(ris, monitor, now),
                    _ => None,
                }
                .ok_or(Status::NoSuchMsc)?
            }
            _ => [self.features.address(msc), component.ris.len() as u64, unit.strays],
        };
        Ok((values, effects))
    }
}

/// What of a bandwidth limit is in effect, where that is something else than what the register holds.
fn in_effect(chip: Option<&t241::Chip>, bandwidth: Option<BandwidthControls>, partid: u16, offset: u32) -> Option<u32> {
    let open = u32::from(u16::MAX) << 16 >> bandwidth?.bits.min(16) & u32::from(u16::MAX);
    let limits = chip?.agreed(partid);
    match offset {
        MbwMax::OFFSET => Some(limits.map_or(u32::MAX, |limits| limits.map_or(open, |limits| limits.max.into()))),
        MbwMin::OFFSET => Some(limits.map_or(u32::MAX, |limits| limits.map_or(0, |limits| limits.min.into()))),
        _ => None,
    }
}

fn done(effects: Effects) -> Carried {
    Ok(([0; 3], effects))
}

fn label(id: CounterId) -> Result<Label, Status> {
    let partid = u16::try_from(id.rmid >> 8).map_err(|_| Status::NoSuchRmid)?;
    Ok(Label { partid, pmg: (id.rmid & 0xff) as u8 })
}
