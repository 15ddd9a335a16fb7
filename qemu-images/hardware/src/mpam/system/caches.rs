// SPDX-License-Identifier: GPL-2.0-only
//! What labels and controls say to the caches, and caches to the monitors, while caches follow what the guest does.
//!
//! A PARTID is a class to the caches, a PARTID with a PMG a monitored id. Where several resource instances control one cache,
//! a portion has to be allowed by all of them, and the smallest maximum counts.

use super::traffic::Slice;
use super::{Effects, State, System};
use crate::caches::{Caches, Label as Owner, Limit, Mode, Model, Port, Ports, ways_of};
use crate::machine::{LINE_SIZE, Machine, MpamFeatures, Place};
use crate::mpam::registers::{Cmax, Cpbm, Intpartid, MbwMax, MbwMin};
use crate::mpam::{Label, Level, Request};
use crate::numbers::word;

/// An instance, with the part of all requests that it counts, and of all lines.
type Passed = ((usize, usize), Slice, Slice);

impl System {
    pub(super) fn caches_of(machine: &Machine, features: &MpamFeatures) -> Option<Model> {
        let partids = usize::from(features.partid_max) + 1;
        Model::of(machine, partids, partids * (usize::from(features.pmg_max) + 1))
    }

    /// The caches, if the machine file has a geometry that can be modelled. They may be still.
    #[must_use]
    pub fn caches(&self) -> Option<&Model> {
        self.caches.as_ref()
    }

    /// Lets caches follow what the guest does from now on, beginning empty, or ends that. Answers what they did; `None` if
    /// the machine has none that can.
    pub fn set_caches(&self, caches: Caches, now: u64) -> Option<(Caches, Effects)> {
        let model = self.caches.as_ref()?;
        let mut state = self.state();
        let mut effects = Effects::default();
        self.settle(&mut state, now, &mut effects);
        let before = model.caches();
        for usage in state.traffic.domains.iter_mut().flat_map(|domain| domain.labels.values_mut()) {
            usage.occupancy.set(0);
            usage.dirty = 0;
        }
        match caches {
            Caches::Follow => self.start_caches(&state, model),
            Caches::Still => model.stop(),
        }
        // Monitors show what became of it.
        state.traffic.still = false;
        self.settle(&mut state, now, &mut effects);
        Some((before, effects))
    }

    fn running(&self) -> Option<&Model> {
        self.caches.as_ref().filter(|model| model.is_running())
    }

    pub(super) fn caches_follow(&self) -> bool {
        self.running().is_some()
    }

    /// Gives memory a speed: bytes a second that each CPU can move, where its limits leave it all; 0 for any number.
    /// Whether the machine has caches that can follow.
    pub fn set_memory_speed(&self, bytes: u64) -> bool {
        let Some(model) = &self.caches else { return false };
        let state = self.state();
        model.set_speed(bytes);
        self.show_paces(&state, model);
        true
    }

    /// Tells how fast each CPU may move lines: the part of memory's speed that the limit of its PARTID at EL0 leaves.
    fn show_paces(&self, state: &State, model: &Model) {
        model.set_rates(|cpu, speed| {
            let label = state.cpus[cpu].label(Level::El0, false);
            self.limited(state, self.machine.topology.l3_domain(cpu), label, speed)
        });
    }

    /// A register of the chip has changed.
    pub(super) fn show_chip(&self, state: &State) {
        if let Some(model) = self.running() {
            self.show_paces(state, model);
        }
    }

    fn start_caches(&self, state: &State, model: &Model) {
        self.show_paces(state, model);
        model.start(|cpu| self.ports(state, model, cpu));
        self.show_limits(state, model);
    }

    /// The machine has lost its power.
    pub(super) fn empty_caches(&self, state: &State) {
        if let Some(model) = self.running() {
            self.start_caches(state, model);
        }
    }

    /// Labels of a CPU have changed.
    pub(super) fn show_labels(&self, state: &State, cpu: usize) {
        if let Some(model) = self.running() {
            model.set_ports(cpu, self.ports(state, model, cpu));
            self.show_paces(state, model);
        }
    }

    /// A register at an offset of an MSC has changed.
    pub(super) fn show_controls(&self, state: &State, offset: u32) {
        let controls = [Cmax::OFFSET, Intpartid::OFFSET, MbwMax::OFFSET, MbwMin::OFFSET].contains(&offset)
            || offset >= Cpbm::OFFSET;
        let Some(model) = self.running().filter(|_| controls) else { return };
        for cpu in 0..self.machine.topology.cpus() {
            model.set_ports(cpu, self.ports(state, model, cpu));
        }
        self.show_limits(state, model);
        self.show_paces(state, model);
    }

    /// What requests of a CPU carry, and where they may fill.
    fn ports(&self, state: &State, model: &Model, cpu: usize) -> Ports {
        let topology = &self.machine.topology;
        let (l2, l3) = (topology.l2_domain(cpu), topology.l3_domain(cpu));
        let (l2_ways, l3_ways) = model.ways();
        let kernel = if self.features.el2 { Level::El2 } else { Level::El1 };
        let port = |mode: Mode, instruction: bool| {
            let label = state.cpus[cpu].label(if mode == Mode::User { Level::El0 } else { kernel }, instruction);
            let portions = |ways, is: &dyn Fn(Place) -> bool| self.portions(state, label, ways, is);
            Port {
                label: self.owner(label),
                l2_ways: portions(l2_ways, &|place| place.l2_domain(&self.machine) == Some(l2)),
                l3_ways: portions(l3_ways, &|place| place.l3_domain(&self.machine) == Some(l3)),
            }
        };
        let of = |instruction: bool| [Mode::User, Mode::Kernel].map(|mode| port(mode, instruction));
        Ports { data: of(false), code: of(true) }
    }

    /// The ways that a label may fill of the cache that instances at a place control.
    fn portions(&self, state: &State, label: Label, ways: usize, is: &dyn Fn(Place) -> bool) -> u64 {
        let mut allowed = u64::MAX;
        for (msc, ris, _) in self.instances().filter(|(_, _, place)| ways > 0 && is(*place)) {
            let length = self.features.msc[msc].ris[ris].cpor_bits as usize;
            let control = |word: u32| state.mscs[msc].msc.control(ris, label.partid, Cpbm::OFFSET + 4 * word);
            // Not every instance has portions, and a PARTID that it does not know is an error of its own.
            if control(0).is_some() {
                let bit = |bit: usize| control(word(bit / 32)).is_some_and(|word| word >> (bit % 32) & 1 == 1);
                allowed &= ways_of(bit, length, ways);
            }
        }
        allowed
    }

    /// A label as the caches know it. One that there is not is an error; here it is that of PARTID 0.
    fn owner(&self, Label { partid, pmg }: Label) -> Owner {
        if partid > self.features.partid_max || pmg > self.features.pmg_max {
            return Owner::default();
        }
        let pmgs = u32::from(self.features.pmg_max) + 1;
        Owner { class: partid, monitor: u32::from(partid) * pmgs + u32::from(pmg) }
    }

    fn show_limits(&self, state: &State, model: &Model) {
        let lines = model.l3_lines();
        for domain in 0..self.machine.topology.l3_domains() {
            for partid in 0..=self.features.partid_max {
                let of_domain = |place: Place| place.l3_domain(&self.machine) == Some(domain);
                let maxima = self.instances().filter(|(_, _, place)| of_domain(*place)).filter_map(|(msc, ris, _)| {
                    let value = u64::from(state.mscs[msc].msc.control(ris, partid, Cmax::OFFSET)?);
                    let most = (lines * (Cmax::CMAX.get(value) + 1)) >> 16;
                    Some(Limit { lines: most, soft: Cmax::SOFTLIM.get(value) == 1 })
                });
                let least = maxima.min_by_key(|limit| limit.lines);
                model.set_limit(domain, partid, least.filter(|limit| limit.lines < lines));
            }
        }
    }

    /// Lets monitors see what the caches of a domain have moved, and hold.
    pub(super) fn settle_caches(&self, state: &mut State, domain: usize, slices: &[Passed]) {
        let Some(model) = self.running() else { return };
        let pmgs = u32::from(self.features.pmg_max) + 1;
        let label_of = |monitor: u32| (((monitor / pmgs) & 0xffff) as u16, ((monitor % pmgs) & 0xff) as u8);
        let State { mscs, traffic, .. } = state;
        let labels = &mut traffic.domains[domain].labels;
        for moved in model.take_moved(domain) {
            let (partid, pmg) = label_of(moved.label.monitor);
            let (total, reads) = (moved.bytes.total(), moved.bytes.reads());
            let usage = labels.entry((partid, pmg)).or_default();
            usage.total.add(total);
            usage.passed += total;
            for &((msc, ris), requests, _) in slices {
                for (bytes, write) in [(requests.take(reads), false), (requests.take(total - reads), true)] {
                    if bytes > 0 {
                        mscs[msc].msc.request(ris, Request { partid, pmg, bytes, write });
                    }
                }
            }
        }
        for monitor in 0..(u32::from(self.features.partid_max) + 1) * pmgs {
            // Who holds lines has moved them.
            if let Some(usage) = labels.get_mut(&label_of(monitor)) {
                let held = model.held(domain, monitor);
                usage.occupancy.set(held.lines * LINE_SIZE);
                usage.dirty = held.dirty * LINE_SIZE;
            }
        }
    }
}

#[cfg(test)]
mod tests;
