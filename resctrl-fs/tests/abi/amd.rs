// SPDX-License-Identifier: GPL-2.0-only
//! What AMD machines have besides: a choice of what events count, and cache for devices.

use std::collections::BTreeMap;
use std::sync::Mutex;

use resctrl_types::{Errno, EventId, Result, Transactions};

/// What the hardware keeps of it.
#[derive(Default)]
pub(crate) struct Amd {
    /// What an event counts in a domain, where that has been chosen.
    configs: Mutex<BTreeMap<(u32, EventId), u32>>,
    /// Every choice since [`Amd::take_chosen`].
    chosen: Mutex<Vec<(u32, EventId, u32)>>,
    /// What has been counted in a domain, for an RMID, of an event.
    counted: Mutex<BTreeMap<(u32, u32, EventId), u64>>,
    /// Whether devices use a CLOSID.
    devices: Mutex<bool>,
    /// Whether each domain has been told so.
    told: Mutex<BTreeMap<u32, bool>>,
    /// The error that giving devices a CLOSID ends with from now on.
    broken: Mutex<Option<Errno>>,
}

impl Amd {
    pub(crate) fn config(&self, domain: u32, event: EventId) -> u32 {
        let reset = if event == EventId::MbmLocal { Transactions::LOCAL } else { Transactions::ALL };
        self.configs.lock().unwrap().get(&(domain, event)).copied().unwrap_or(reset.bits())
    }

    /// All that was counted in the domain is lost.
    pub(crate) fn choose(&self, domain: u32, event: EventId, config: u32) {
        self.configs.lock().unwrap().insert((domain, event), config);
        self.chosen.lock().unwrap().push((domain, event, config));
        self.counted.lock().unwrap().retain(|&(of, ..), _| of != domain);
    }

    /// What has been chosen since this was asked last.
    pub(crate) fn take_chosen(&self) -> Vec<(u32, EventId, u32)> {
        std::mem::take(&mut *self.chosen.lock().unwrap())
    }

    /// Traffic of an RMID in a domain: events that count one of these kinds count it.
    pub(crate) fn traffic(&self, domain: u32, rmid: u32, kinds: Transactions, bytes: u64) {
        for event in EventId::MBM {
            if Transactions::from_bits(self.config(domain, event)).intersection(kinds) != Transactions::EMPTY {
                *self.counted.lock().unwrap().entry((domain, rmid, event)).or_default() += bytes;
            }
        }
    }

    pub(crate) fn counted(&self, domain: u32, rmid: u32, event: EventId) -> u64 {
        self.counted.lock().unwrap().get(&(domain, rmid, event)).copied().unwrap_or(0)
    }

    pub(crate) fn rebase(&self, domain: u32, rmid: u32, event: EventId) {
        self.counted.lock().unwrap().remove(&(domain, rmid, event));
    }

    pub(crate) fn devices(&self) -> bool {
        *self.devices.lock().unwrap()
    }

    pub(crate) fn set_devices(&self, enable: bool) -> Result<()> {
        if let Some(errno) = self.broken.lock().unwrap().filter(|_| enable) {
            return Err(errno);
        }
        let before = std::mem::replace(&mut *self.devices.lock().unwrap(), enable);
        assert_ne!(before, enable, "nothing to change");
        Ok(())
    }

    /// Tells a domain what has been decided.
    pub(crate) fn tell(&self, domain: u32) {
        self.told.lock().unwrap().insert(domain, self.devices());
    }

    /// The domains, and whether devices use a CLOSID there, as they have been told last.
    pub(crate) fn told(&self) -> Vec<(u32, bool)> {
        self.told.lock().unwrap().iter().map(|(&domain, &enabled)| (domain, enabled)).collect()
    }

    /// Lets giving devices a CLOSID fail from now on.
    pub(crate) fn break_devices(&self, errno: Errno) {
        *self.broken.lock().unwrap() = Some(errno);
    }
}
