// SPDX-License-Identifier: GPL-2.0-only
//! Reading what is counted in parts: by several MSCs of one component, which may be reached from different CPUs.
//!
//! MSCs that are reached from the same CPUs are a [`Reach`], and each is crossed for once, whatever the number of counters;
//! not at all where the reader reaches it. A counter has a number when each of its parts has. Parts that no online CPU reaches
//! may be without power, and are not touched: what they add is known without.

use resctrl_types::arch::{Counters, ReadError, Resources};
use resctrl_types::{DomainCpus, KVec, Pinned, Platform, Ref, Result};

use super::Mpam;
use super::monitor::MonDomain;
use crate::devices::{Component, Reach};
use crate::{Msc, SystemRegisters};

/// What a counter, or a part of it, has come to.
type Reading = Result<u64, ReadError>;

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    /// Reads counters of the component that `from` says, each part of it with `read`, or with `aside` where nobody reaches it.
    ///
    /// # Errors
    /// `ENOMEM`; those of [`DomainCpus::on_one_of`].
    pub(super) fn read_parts<P: Platform, C>(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, MonDomain, C>,
        from: &dyn Fn(&MonDomain) -> Option<Ref<Component>>,
        read: &(dyn Fn(Pinned<'_>, &Reach, C) -> Reading + Sync),
        aside: &dyn Fn(&Reach, C) -> Reading,
    ) -> Result<()> {
        let mut count = 0_usize;
        let mut component = None;
        counters(&mut |domain, _| {
            count = count.saturating_add(1);
            component = from(domain);
            None
        });
        if count == 0 {
            return Ok(());
        }
        let component = component.filter(|_| !self.has_failed());
        let reachable = component
            .as_ref()
            .is_some_and(|component| component.reaches.iter().any(|reach| self.devices.is_reachable(reach)));
        let (Some(component), true) = (component, reachable) else {
            counters(&mut |_, _| Some(Err(ReadError::Error)));
            return Ok(());
        };
        if let [reach] = &component.reaches[..] {
            return cpus.on_one_of(platform, &reach.cpus, &mut |here| {
                counters(&mut |_, counter| Some(read(here, reach, counter)));
            });
        }
        // By the order in which they are asked for.
        let mut sums: KVec<Reading> = KVec::from_fn(count, |_| Ok(0))?;
        for reach in &component.reaches {
            if self.devices.is_reachable(reach) {
                cpus.on_one_of(platform, &reach.cpus, &mut |here| {
                    add(counters, &mut sums, &mut |counter| read(here, reach, counter));
                })?;
            } else {
                add(counters, &mut sums, &mut |counter| aside(reach, counter));
            }
        }
        let mut sums = sums.iter();
        counters(&mut |_, _| sums.next().copied());
        Ok(())
    }
}

/// Adds what each counter has in one reach. Each is read, so that each is told what to count.
fn add<C>(counters: &mut Counters<'_, MonDomain, C>, sums: &mut [Reading], read: &mut dyn FnMut(C) -> Reading) {
    let mut sums = sums.iter_mut();
    counters(&mut |_, counter| {
        let part = read(counter);
        if let Some(sum) = sums.next() {
            *sum = sum.and_then(|sum| Ok(sum.wrapping_add(part?)));
        }
        None
    });
}
