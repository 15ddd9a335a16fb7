// SPDX-License-Identifier: GPL-2.0-only
//! How a program inside a guest drives the traffic source.
//!
//! On x86 the channel is the CPUID instruction with a leaf no processor has. It works at any privilege level and needs
//! no driver:
//!
//! | register | on entry | on return |
//! |---|---|---|
//! | RAX | EAX = [`LEAF`] | bits 31:0 [`SIGNATURE`], bits 63:32 a [`Status`] |
//! | RCX | command | third value |
//! | RBX, RDX, RSI, RDI | arguments 1 to 4 | RBX first value, RDX second value, RSI and RDI untouched |
//!
//! A processor without the emulated hardware answers with some other EAX. Entry registers other than EAX are 64 bits wide.
//! On Arm the channel is an instruction of the hint space that nothing is assigned to, [`HINT`], which every processor
//! executes as NOP, at any privilege level: X0 holds [`LEAF`], X1 the command, X2 to X5 the arguments. Answered are X0
//! (as RAX above), X1 to X3 (first to third value).
//!
//! [`Request`] lists the commands; both sides use its [`encode`](Request::encode) and [`decode`](Request::decode).

use crate::caches::{Caches, Counts, Model};
use crate::flow::{Flow, TrafficError};
use crate::monitor::{Event, Fault};
use crate::rdt::Rdt;
use crate::registers::PqrAssoc;
use crate::telemetry::TelemetryEvent;
use crate::write_log::{Kind, MsrWrite};
use std::fmt;

/// The CPUID leaf of the channel.
pub const LEAF: u32 = 0x5244_5400;

/// The instruction of the channel on Arm: `HINT #119`, a NOP by the architecture.
pub const HINT: u32 = 0xd503_2eff;

/// What EAX holds on return when somebody answered.
pub const SIGNATURE: u32 = 0x5244_5421;

/// Version of the protocol, answered to [`Request::Probe`]; a program and a machine of different versions do not talk.
pub const VERSION: u64 = 1;

/// How many handlers [`Request::CountHandler`] remembers.
pub const COUNTED_HANDLERS: usize = 8;

/// PARTID and PMG as one number, where this protocol has an RMID on other machines.
#[must_use]
pub fn label_id(partid: u16, pmg: u8) -> u64 {
    u64::from(partid) << 8 | u64::from(pmg)
}

/// Names a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId {
    /// L3 domain.
    pub domain: u64,
    /// Monitoring id. On MPAM a PMG (7:0) and the PARTID (23:8) that it belongs to, see [`label_id`].
    pub rmid: u64,
    /// Event.
    pub event: Event,
}

/// A command. Values come back as said with each; a command that says nothing answers zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Answers [`VERSION`], the number of CPUs, and the number of L3 domains.
    Probe,
    /// [`Rdt::add`].
    Add(CounterId, u64),
    /// [`Rdt::set`].
    Set(CounterId, u64),
    /// [`Rdt::get`]: answers bytes and the fault state (0 none, 1 error, 2 unavailable).
    Get(CounterId),
    /// [`Rdt::set_fault`].
    SetFault(CounterId, Option<Fault>),
    /// [`Rdt::set_rate`].
    SetRate(CounterId, u64),
    /// [`Rdt::set_flow`] of a CPU; a flow of only zeros takes it away.
    SetFlow(u64, Flow),
    /// [`Rdt::set_drain`] of a domain.
    SetDrain(u64, u64),
    /// [`Rdt::association`] of a CPU: answers RMID and CLOSID; on MPAM PMG and PARTID.
    Association(u64),
    /// [`Rdt::writes`]: answers the number.
    Writes(Kind),
    /// [`Rdt::next_write`]: answers the position.
    NextWrite,
    /// [`Rdt::control_write_at_or_after`]: answers the value, the position, and address (31:0), CPU (62:32) and whether the
    /// register changed (63).
    WriteAt(u64),
    /// Of MPAM: what is known of an MSC. Answers the physical address of its page, the number of its resource instances,
    /// and how many accesses there were from CPUs that cannot reach it.
    Msc(u64),
    /// Of MPAM: the control register of an MSC, a resource instance and a PARTID, at an offset. Answers what it holds; of
    /// bandwidth on a T241 what is in effect, all ones of 32 bits where its slices differ.
    MscControl(u64, u64, u64, u64),
    /// Of MPAM: gives a control register a value, as whoever selects the PARTID and writes does: MSC, resource instance (31:0) and PARTID
    /// (63:32), offset, value.
    SetMscControl(u64, u64, u64, u64),
    /// Of MPAM: the error registers of an MSC. Answers `MPAMF_ESR`, `MPAMF_ECR`, and how many errors all MSCs have had.
    MscError(u64),
    /// Of MPAM: a memory request with any PARTID (15:0) and PMG (23:16), right or wrong, through a resource instance of
    /// an MSC: MSC, instance, label, bytes.
    MscRequest(u64, u64, u64, u64),
    /// Of MPAM: a monitor of a resource instance of an MSC: MSC, instance, index, kind (0 usage, 1 traffic). Answers
    /// filter, control, and value (with bit 63 for not ready).
    MscMonitor(u64, u64, u64, u64),
    /// [`Rdt::transact`]: domain, RMID, kinds, bytes.
    Transactions(u64, u64, u64, u64),
    /// [`Rdt::rdmsr`] of a CPU and an address, also while the CPU is offline: answers the value. Costs the guest no
    /// interrupt of that CPU.
    Register(u64, u64),
    /// [`Telemetry::add`](crate::telemetry::Telemetry::add): socket (31:0) and place of the region (63:32), RMID, event,
    /// amount.
    Telemetry(u64, u64, TelemetryEvent, u64),
    /// Of MPAM: takes a CPU's power away and gives it back, as far as MPAM's registers are concerned.
    PowerCycle(u64),
    /// Of MPAM: the labels of a CPU's data requests at EL0, EL1 and EL2, each as [`label_id`].
    Labels(u64),
    /// Of MPAM: whoever asks moves so many bytes, with the label of its CPU and exception level. Answers PMG, PARTID and the
    /// exception level.
    Move(u64),
    /// Of MPAM: a CPU moves so many bytes as the kernel of a guest would on it, with the label of EL1.
    MoveAtEl1(u64, u64),
    /// What all CPUs together have executed since power-on: answers instructions, and interrupts that one CPU sent
    /// another. Only where the plugin was told to count.
    Executed,
    /// How often all CPUs together have reached the emulated hardware since power-on: answers reads and writes, of MSRs,
    /// or of system registers and registers of MSCs. Only where the plugin was told to count.
    Accesses,
    /// On x86: interrupts whose handler begins at this address are those that one CPU sends another. Up to
    /// [`COUNTED_HANDLERS`]; one more takes the place of the first.
    CountHandler(u64),
    /// Takes power from the whole machine and gives it back: [`Rdt::lose_power`].
    LosePower,
    /// On x86: the next read of a counter takes so many nanoseconds longer, in which its CPU does nothing else.
    SlowRead(u64),
    /// What the registers hold is written down, where the plugin was told a file for it.
    Keep,
    /// [`Rdt::set_caches`], and whoever executes the guest begins or ends to tell the caches of its accesses. Answers what
    /// caches did before (0 still, 1 follow).
    Caches(Caches),
    /// [`Model::counts`](crate::caches::Model::counts) of a CPU: answers accesses, references of the L3, and misses of the L3.
    CacheCounts(u64),
    /// [`Rdt::set_memory_speed`]: bytes a second, 0 for any number.
    MemorySpeed(u64),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was carried out.
    Ok = 0,
    /// There is no such command.
    NoSuchCommand = 1,
    /// [`TrafficError::NoSuchDomain`].
    NoSuchDomain = 2,
    /// [`TrafficError::NoSuchRmid`].
    NoSuchRmid = 3,
    /// [`TrafficError::NoSuchCpu`].
    NoSuchCpu = 4,
    /// There is no such event.
    NoSuchEvent = 5,
    /// There is no such fault state.
    NoSuchFault = 6,
    /// There is no such group of registers.
    NoSuchKind = 7,
    /// [`TrafficError::NoRateForOccupancy`].
    NoRateForOccupancy = 8,
    /// No write at or after this position.
    NoSuchWrite = 9,
    /// No such MSC, or no such resource instance, control or monitor of it.
    NoSuchMsc = 10,
    /// No register of the emulated hardware.
    NoSuchRegister = 11,
    /// [`TrafficError::NoSuchRegion`].
    NoSuchRegion = 12,
    /// The machine has no caches that can follow what the guest does.
    NoCaches = 13,
}

impl Status {
    const ALL: [Self; 14] = [
        Self::Ok,
        Self::NoSuchCommand,
        Self::NoSuchDomain,
        Self::NoSuchRmid,
        Self::NoSuchCpu,
        Self::NoSuchEvent,
        Self::NoSuchFault,
        Self::NoSuchKind,
        Self::NoRateForOccupancy,
        Self::NoSuchWrite,
        Self::NoSuchMsc,
        Self::NoSuchRegister,
        Self::NoSuchRegion,
        Self::NoCaches,
    ];

    /// Status of a number, if there is one.
    pub fn from_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u64 == id)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("done"),
            Self::NoSuchCommand => f.write_str("the machine does not know this command"),
            Self::NoSuchDomain => TrafficError::NoSuchDomain.fmt(f),
            Self::NoSuchRmid => TrafficError::NoSuchRmid.fmt(f),
            Self::NoSuchCpu => TrafficError::NoSuchCpu.fmt(f),
            Self::NoSuchEvent => f.write_str("no such event"),
            Self::NoSuchFault => f.write_str("no such fault state"),
            Self::NoSuchKind => f.write_str("no such group of registers"),
            Self::NoRateForOccupancy => TrafficError::NoRateForOccupancy.fmt(f),
            Self::NoSuchWrite => f.write_str("no such write"),
            Self::NoSuchRegion => TrafficError::NoSuchRegion.fmt(f),
            Self::NoSuchMsc => f.write_str("no such MSC, resource instance, control or monitor"),
            Self::NoSuchRegister => f.write_str("no such register"),
            Self::NoCaches => f.write_str("no caches that can follow what the guest does"),
        }
    }
}

impl From<TrafficError> for Status {
    fn from(error: TrafficError) -> Self {
        match error {
            TrafficError::NoSuchDomain => Self::NoSuchDomain,
            TrafficError::NoSuchRmid => Self::NoSuchRmid,
            TrafficError::NoSuchCpu => Self::NoSuchCpu,
            TrafficError::NoSuchRegion => Self::NoSuchRegion,
            TrafficError::NoRateForOccupancy => Self::NoRateForOccupancy,
        }
    }
}

/// A command as it travels: command number (RCX), then the arguments (RBX, RDX, RSI, RDI).
pub type Call = [u64; 5];

/// An answer as it travels: RAX, RBX, RCX, RDX.
pub type Answer = [u64; 4];

/// Packs an answer.
pub fn answer(result: Result<[u64; 3], Status>) -> Answer {
    let (status, [first, second, third]) = match result {
        Ok(values) => (Status::Ok, values),
        Err(status) => (status, [0; 3]),
    };
    [u64::from(SIGNATURE) | (status as u64) << 32, first, third, second]
}

/// Unpacks an answer: first, second and third value, or the status of a command that failed. `None` if nobody answered.
pub fn read_answer(answer: Answer) -> Option<Result<[u64; 3], Status>> {
    let [rax, first, third, second] = answer;
    if rax & u64::from(u32::MAX) != u64::from(SIGNATURE) {
        return None;
    }
    match Status::from_id(rax >> 32)? {
        Status::Ok => Some(Ok([first, second, third])),
        status => Some(Err(status)),
    }
}

impl Request {
    /// Packs the command.
    pub fn encode(self) -> Call {
        let counter = |command, id: CounterId, value| [command, id.domain, id.rmid, id.event as u64, value];
        match self {
            Self::Probe => [0; 5],
            Self::Add(id, bytes) => counter(1, id, bytes),
            Self::Set(id, bytes) => counter(2, id, bytes),
            Self::Get(id) => counter(3, id, 0),
            Self::SetFault(id, fault) => counter(4, id, fault_id(fault)),
            Self::SetRate(id, rate) => counter(5, id, rate),
            Self::SetFlow(cpu, flow) => [6, cpu, flow.total, flow.local, flow.footprint],
            Self::SetDrain(domain, rate) => [7, domain, rate, 0, 0],
            Self::Association(cpu) => [8, cpu, 0, 0, 0],
            Self::Writes(kind) => [9, kind as u64, 0, 0, 0],
            Self::NextWrite => [10, 0, 0, 0, 0],
            Self::WriteAt(sequence) => [11, sequence, 0, 0, 0],
            Self::Msc(msc) => [12, msc, 0, 0, 0],
            Self::MscControl(msc, ris, partid, offset) => [13, msc, ris, partid, offset],
            Self::MscError(msc) => [14, msc, 0, 0, 0],
            Self::MscRequest(msc, ris, label, bytes) => [15, msc, ris, label, bytes],
            Self::MscMonitor(msc, ris, index, kind) => [16, msc, ris, index, kind],
            Self::Transactions(domain, rmid, kinds, bytes) => [17, domain, rmid, kinds, bytes],
            Self::Register(cpu, address) => [18, cpu, address, 0, 0],
            Self::Telemetry(region, rmid, event, amount) => [19, region, rmid, event as u64, amount],
            Self::PowerCycle(cpu) => [20, cpu, 0, 0, 0],
            Self::Labels(cpu) => [21, cpu, 0, 0, 0],
            Self::Move(bytes) => [22, bytes, 0, 0, 0],
            Self::MoveAtEl1(cpu, bytes) => [23, cpu, bytes, 0, 0],
            Self::Executed => [24, 0, 0, 0, 0],
            Self::Accesses => [25, 0, 0, 0, 0],
            Self::CountHandler(address) => [26, address, 0, 0, 0],
            Self::LosePower => [27, 0, 0, 0, 0],
            Self::SlowRead(nanoseconds) => [28, nanoseconds, 0, 0, 0],
            Self::Keep => [29, 0, 0, 0, 0],
            Self::Caches(caches) => [30, caches as u64, 0, 0, 0],
            Self::CacheCounts(cpu) => [31, cpu, 0, 0, 0],
            Self::MemorySpeed(bytes) => [32, bytes, 0, 0, 0],
            Self::SetMscControl(msc, place, offset, value) => [33, msc, place, offset, value],
        }
    }

    /// Unpacks a command. Domains, RMIDs and CPUs are not checked yet.
    ///
    /// # Errors
    ///
    /// What of the command there is none of.
    pub fn decode(call: Call) -> Result<Self, Status> {
        let [command, first, second, third, fourth] = call;
        let counter = || -> Result<CounterId, Status> {
            let event = Event::from_id(third).ok_or(Status::NoSuchEvent)?;
            Ok(CounterId { domain: first, rmid: second, event })
        };
        Ok(match command {
            0 => Self::Probe,
            1 => Self::Add(counter()?, fourth),
            2 => Self::Set(counter()?, fourth),
            3 => Self::Get(counter()?),
            4 => Self::SetFault(counter()?, fault_from_id(fourth)?),
            5 => Self::SetRate(counter()?, fourth),
            6 => Self::SetFlow(first, Flow { total: second, local: third, footprint: fourth }),
            7 => Self::SetDrain(first, second),
            8 => Self::Association(first),
            9 => Self::Writes(Kind::from_id(first).ok_or(Status::NoSuchKind)?),
            10 => Self::NextWrite,
            11 => Self::WriteAt(first),
            12 => Self::Msc(first),
            13 => Self::MscControl(first, second, third, fourth),
            14 => Self::MscError(first),
            15 => Self::MscRequest(first, second, third, fourth),
            16 => Self::MscMonitor(first, second, third, fourth),
            17 => Self::Transactions(first, second, third, fourth),
            18 => Self::Register(first, second),
            19 => {
                let event = TelemetryEvent::from_id(third).ok_or(Status::NoSuchEvent)?;
                Self::Telemetry(first, second, event, fourth)
            }
            20 => Self::PowerCycle(first),
            21 => Self::Labels(first),
            22 => Self::Move(first),
            23 => Self::MoveAtEl1(first, second),
            24 => Self::Executed,
            25 => Self::Accesses,
            26 => Self::CountHandler(first),
            27 => Self::LosePower,
            28 => Self::SlowRead(first),
            29 => Self::Keep,
            30 => Self::Caches(Caches::from_id(first).ok_or(Status::NoSuchKind)?),
            31 => Self::CacheCounts(first),
            32 => Self::MemorySpeed(first),
            33 => Self::SetMscControl(first, second, third, fourth),
            _ => return Err(Status::NoSuchCommand),
        })
    }
}

pub(crate) fn fault_id(fault: Option<Fault>) -> u64 {
    match fault {
        None => 0,
        Some(Fault::Error) => 1,
        Some(Fault::Unavailable) => 2,
    }
}

/// Fault state of a number of the protocol.
///
/// # Errors
///
/// [`Status::NoSuchFault`].
pub fn fault_from_id(id: u64) -> Result<Option<Fault>, Status> {
    match id {
        0 => Ok(None),
        1 => Ok(Some(Fault::Error)),
        2 => Ok(Some(Fault::Unavailable)),
        _ => Err(Status::NoSuchFault),
    }
}

/// What a CPU has done to the caches.
pub(crate) fn counts_of(model: Option<&Model>, cpu: u64, cpus: usize) -> Result<[u64; 3], Status> {
    let cpu = Some(index(cpu)).filter(|cpu| *cpu < cpus).ok_or(Status::NoSuchCpu)?;
    let Counts { accesses, l3_references, l3_misses } = model.ok_or(Status::NoCaches)?.counts(cpu);
    Ok([accesses, l3_references, l3_misses].map(|by_mode| by_mode.iter().sum()))
}

/// Reads a number of the guest as an index; one too large for this host is too large for any machine.
pub(crate) fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Rdt {
    /// Carries out a command of the guest.
    pub fn control(&self, call: Call, now: u64) -> Answer {
        answer(Request::decode(call).and_then(|request| self.carry_out(request, now)))
    }

    fn carry_out(&self, request: Request, now: u64) -> Result<[u64; 3], Status> {
        match request {
            Request::Probe => {
                let topology = &self.machine().topology;
                return Ok([VERSION, topology.cpus() as u64, topology.l3_domains() as u64]);
            }
            Request::Add(CounterId { domain, rmid, event }, bytes) => {
                self.add(index(domain), index(rmid), event, bytes, now)?;
            }
            Request::Set(CounterId { domain, rmid, event }, bytes) => {
                self.set(index(domain), index(rmid), event, bytes, now)?;
            }
            Request::Get(CounterId { domain, rmid, event }) => {
                let (bytes, fault) = self.get(index(domain), index(rmid), event, now)?;
                return Ok([bytes, fault_id(fault), 0]);
            }
            Request::SetFault(CounterId { domain, rmid, event }, fault) => {
                self.set_fault(index(domain), index(rmid), event, fault, now)?;
            }
            Request::SetRate(CounterId { domain, rmid, event }, rate) => {
                self.set_rate(index(domain), index(rmid), event, rate, now)?;
            }
            Request::SetFlow(cpu, flow) => {
                let none = Flow { total: 0, local: 0, footprint: 0 };
                self.set_flow(index(cpu), (flow != none).then_some(flow), now)?;
            }
            Request::SetDrain(domain, rate) => self.set_drain(index(domain), rate, now)?,
            Request::Association(cpu) => {
                let assoc = self.association(index(cpu))?;
                return Ok([assoc.get(PqrAssoc::RMID), assoc.get(PqrAssoc::CLOSID), 0]);
            }
            Request::Writes(kind) => return Ok([self.writes(kind), 0, 0]),
            Request::NextWrite => return Ok([self.next_write(), 0, 0]),
            Request::WriteAt(sequence) => {
                let MsrWrite { sequence, cpu, address, value, changed } =
                    self.control_write_at_or_after(sequence).ok_or(Status::NoSuchWrite)?;
                let place = u64::from(address) | (cpu as u64) << 32 | u64::from(changed) << 63;
                return Ok([value, sequence, place]);
            }
            Request::Transactions(domain, rmid, kinds, bytes) => {
                self.transact(index(domain), index(rmid), kinds, bytes, now)?;
            }
            Request::Register(cpu, address) => {
                let cpu =
                    Some(index(cpu)).filter(|cpu| *cpu < self.machine().topology.cpus()).ok_or(Status::NoSuchCpu)?;
                let value =
                    u32::try_from(address).ok().and_then(|address| self.rdmsr(cpu, address, now).ok().flatten());
                return Ok([value.ok_or(Status::NoSuchRegister)?, 0, 0]);
            }
            Request::Telemetry(region, rmid, event, amount) => {
                let telemetry = self.telemetry().ok_or(Status::NoSuchRegion)?;
                let (socket, place) = (index(region & u64::from(u32::MAX)), index(region >> 32));
                telemetry.add(socket, place, index(rmid), event, amount)?;
            }
            Request::LosePower => self.lose_power(),
            Request::Caches(caches) => {
                let before = self.set_caches(caches).ok_or(Status::NoCaches)?;
                return Ok([before as u64, 0, 0]);
            }
            Request::MemorySpeed(bytes) if self.set_memory_speed(bytes) => {}
            Request::MemorySpeed(_) => return Err(Status::NoCaches),
            Request::CacheCounts(cpu) => return counts_of(self.caches(), cpu, self.machine().topology.cpus()),
            Request::Msc(_)
            | Request::MscControl(..)
            | Request::SetMscControl(..)
            | Request::MscError(_)
            | Request::MscRequest(..)
            | Request::MscMonitor(..)
            | Request::PowerCycle(_)
            | Request::Labels(_)
            | Request::Move(_)
            | Request::MoveAtEl1(..)
            // Neither counting, nor how long things take, nor files are the hardware's: whoever executes the guest answers
            // these before they get here.
            | Request::Keep
            | Request::Executed
            | Request::Accesses
            | Request::CountHandler(_)
            | Request::SlowRead(_) => return Err(Status::NoSuchCommand),
        }
        Ok([0; 3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_survives_the_way() {
        let id = CounterId { domain: 1, rmid: 7, event: Event::MbmLocal };
        let flow = Flow { total: 3, local: 2, footprint: 1 };
        for request in [
            Request::Probe,
            Request::Add(id, 9),
            Request::Set(id, u64::MAX),
            Request::Get(id),
            Request::SetFault(id, None),
            Request::SetFault(id, Some(Fault::Error)),
            Request::SetFault(id, Some(Fault::Unavailable)),
            Request::SetRate(id, 1),
            Request::SetFlow(3, flow),
            Request::SetDrain(1, 8),
            Request::Association(2),
            Request::Writes(Kind::Refused),
            Request::NextWrite,
            Request::WriteAt(77),
            Request::Msc(1),
            Request::MscControl(1, 2, 3, 0x1000),
            Request::SetMscControl(1, 3 << 32 | 2, 0x108, 0x4000),
            Request::MscError(1),
            Request::MscRequest(1, 2, 3, 4),
            Request::MscMonitor(1, 2, 3, 1),
            Request::Transactions(1, 2, 0x7f, 64),
            Request::Register(3, 0xc90),
            Request::Telemetry(1 << 32, 2, TelemetryEvent::UopsRetired, 64),
            Request::PowerCycle(3),
            Request::Labels(3),
            Request::Move(64),
            Request::MoveAtEl1(3, 64),
            Request::Executed,
            Request::Accesses,
            Request::CountHandler(0xffff_ffff_8100_0000),
            Request::LosePower,
            Request::SlowRead(1_000_000_000),
            Request::Keep,
            Request::Caches(Caches::Follow),
            Request::CacheCounts(3),
            Request::MemorySpeed(64 << 20),
        ] {
            assert_eq!(Request::decode(request.encode()), Ok(request));
        }
    }

    #[test]
    fn nonsense_is_answered_with_its_status() {
        assert_eq!(Request::decode([34, 0, 0, 0, 0]), Err(Status::NoSuchCommand));
        assert_eq!(Request::decode([30, 2, 0, 0, 0]), Err(Status::NoSuchKind));
        assert_eq!(Request::decode([19, 0, 0, 9, 0]), Err(Status::NoSuchEvent));
        assert_eq!(Request::decode([1, 0, 0, 4, 0]), Err(Status::NoSuchEvent));
        assert_eq!(Request::decode([4, 0, 0, 1, 3]), Err(Status::NoSuchFault));
        assert_eq!(Request::decode([9, 99, 0, 0, 0]), Err(Status::NoSuchKind));
    }

    #[test]
    fn answers_survive_the_way_and_a_plain_processor_is_recognised() {
        for status in Status::ALL.into_iter().skip(1) {
            assert_eq!(read_answer(answer(Err(status))), Some(Err(status)));
        }
        assert_eq!(read_answer(answer(Ok([1, 2, 3]))), Some(Ok([1, 2, 3])));
        assert_eq!(read_answer([0x10, 0, 0, 0]), None);
    }
}
