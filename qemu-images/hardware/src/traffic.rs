// SPDX-License-Identifier: GPL-2.0-only
//! The traffic source: what tests pretend the machine's programs do to caches and memory.
//!
//! There are three ways to make traffic. The plain one addresses a counter: bytes at once, or a rate, for one RMID of one
//! domain; where counters are assigned, the one that counts this event for this RMID, if there is one. One addresses what
//! was done: transactions of some kinds, for whatever counts them. The faithful one addresses a CPU: a [`Flow`] belongs to whatever the CPU's `IA32_PQR_ASSOC` holds at each
//! moment, is slowed by the bandwidth delay of that CLOSID and fills no more cache than its mask allows. A program that
//! is moved to another group takes its flow along with no help from the test.

use crate::flow::{Flow, TrafficError};
use crate::monitor::{Counter, Event, Fault};
use crate::rdt::Rdt;
use crate::registers::PqrAssoc;

impl Rdt {
    /// Adds bytes to a counter, or to what an RMID occupies.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn add(&self, domain: usize, rmid: usize, event: Event, bytes: u64, now: u64) -> Result<(), TrafficError> {
        self.with_counter(domain, rmid, event, now, |counter| counter.add(bytes))
    }

    /// Makes bytes of transactions for an RMID; `kinds` is a mask of [`TransactionKinds`](crate::registers::TransactionKinds). Each counter that counts one of
    /// them counts the bytes.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn transact(&self, domain: usize, rmid: usize, kinds: u64, bytes: u64, now: u64) -> Result<(), TrafficError> {
        // Brings the counters of the RMID up to date, and says whether there are any.
        self.with_counter(domain, rmid, Event::MbmTotal, now, |_| ())?;
        let assoc = PqrAssoc::default().with(&PqrAssoc::RMID, rmid as u64);
        self.state().l3[domain].each_counting(assoc, kinds, |counter| counter.add(bytes));
        Ok(())
    }

    /// Sets a counter, or what an RMID occupies, to a number of bytes.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn set(&self, domain: usize, rmid: usize, event: Event, bytes: u64, now: u64) -> Result<(), TrafficError> {
        self.with_counter(domain, rmid, event, now, |counter| counter.set(bytes))
    }

    /// Reads a counter in bytes, not wrapped and whatever its fault state, which comes with it.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn get(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        now: u64,
    ) -> Result<(u64, Option<Fault>), TrafficError> {
        self.with_counter(domain, rmid, event, now, |counter| (counter.bytes(), counter.fault()))
    }

    /// Makes a counter answer with a fault, or (`None`) with its value again.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn set_fault(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        fault: Option<Fault>,
        now: u64,
    ) -> Result<(), TrafficError> {
        let restarts = event != Event::LlcOccupancy;
        self.with_counter(domain, rmid, event, now, |counter| counter.set_fault(fault, restarts))
    }

    /// Lets a bandwidth counter grow by so many bytes a second from now on; 0 stops it.
    ///
    /// # Errors
    ///
    /// No such domain or RMID, or the event is occupancy.
    pub fn set_rate(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        bytes_per_second: u64,
        now: u64,
    ) -> Result<(), TrafficError> {
        if event == Event::LlcOccupancy {
            return Err(TrafficError::NoRateForOccupancy);
        }
        self.with_counter(domain, rmid, event, now, |counter| counter.set_rate(bytes_per_second))
    }

    /// Lets every RMID that no CPU of the domain works for lose so many bytes of cache a second; 0, as after power-on,
    /// keeps its lines in the cache for ever.
    ///
    /// # Errors
    ///
    /// No such domain.
    pub fn set_drain(&self, domain: usize, bytes_per_second: u64, now: u64) -> Result<(), TrafficError> {
        let mut state = self.state();
        let rmids = state.l3.get(domain).ok_or(TrafficError::NoSuchDomain)?.rmids.len();
        for rmid in 0..rmids {
            self.settle(&mut state, domain, rmid, now);
        }
        state.l3[domain].drain_rate = bytes_per_second;
        Ok(())
    }

    /// Gives a CPU a flow, or (`None`) takes it away.
    ///
    /// # Errors
    ///
    /// No such CPU.
    pub fn set_flow(&self, cpu: usize, flow: Option<Flow>, now: u64) -> Result<(), TrafficError> {
        let mut state = self.state();
        if cpu >= state.threads.len() {
            return Err(TrafficError::NoSuchCpu);
        }
        self.settle_flows(&mut state, self.machine.topology.l3_domain(cpu), now);
        state.threads[cpu].flow = flow;
        Ok(())
    }

    /// RMID and CLOSID a CPU works for.
    ///
    /// # Errors
    ///
    /// No such CPU.
    pub fn association(&self, cpu: usize) -> Result<PqrAssoc, TrafficError> {
        let state = self.state();
        state.threads.get(cpu).map(|thread| thread.assoc).ok_or(TrafficError::NoSuchCpu)
    }

    fn with_counter<T>(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        now: u64,
        act: impl FnOnce(&mut Counter) -> T,
    ) -> Result<T, TrafficError> {
        let mut state = self.state();
        let rmids = state.l3.get(domain).ok_or(TrafficError::NoSuchDomain)?.rmids.len();
        if rmid >= rmids {
            return Err(TrafficError::NoSuchRmid);
        }
        self.settle(&mut state, domain, rmid, now);
        Ok(state.l3[domain].with_counter(event, rmid, act))
    }
}
