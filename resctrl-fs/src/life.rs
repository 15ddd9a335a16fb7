// SPDX-License-Identifier: GPL-2.0-only
//! One life of a CPU: a function for each edge. Their table is [`resctrl_types::cpu`].
//!
//! Both hotplug callbacks run on the CPU in question, with the hotplug lock held for writing by the kernel, and take the
//! rdtgroup mutex.
//!
//! While the system suspends, a CPU that goes offline becomes *suspended*: it stays in its group and its domains, so that
//! nothing has to be remembered beside them, and only what is crossed to loses it. Nobody crosses meanwhile: tasks are
//! frozen, and so are workers. When it is back its registers are written from memory, and if it is the first of a domain
//! the domain's are. CPUs that do not come back go offline in the end, still before the first task goes on.

use resctrl_types::arch::{Counting, EachCounting, MonId};
use resctrl_types::cpu::{Edge, Life};
use resctrl_types::locked::Key;
use resctrl_types::platform::Mutex;
use resctrl_types::{Arch, Closid, Counter, Here, HotplugCpu, IrqOff, Platform, Ref, ResourceId, Result, Rmid};

use crate::data::counters::{CounterTable, Owner, filter};
use crate::data::domain::MonState;
use crate::data::state::{Locked, MonDomain, Resctrl, State};
use crate::hotplug;
use crate::rdtgroup::{mount, tasks};

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// A CPU has come online: makes or extends its domains and gives the CPU to the default group. One that the system's
    /// sleep had stopped is back as it was.
    ///
    /// A domain for which there is no memory is left out; the CPU comes online without it.
    ///
    /// # Errors
    /// Those of [`Cpus::cpu_online`](resctrl_types::arch::Cpus::cpu_online), which fail the CPU's hotplug.
    pub fn cpu_online(this: &Ref<Self>, cpu: HotplugCpu<'_>) -> Result<()> {
        let mut locked = this.locked.lock();
        resume(this, &mut locked, cpu.here().into());
        if !locked.state.online.can(cpu.cpu(), Edge::Come) {
            return Ok(());
        }
        this.arch.cpu_online(&this.platform, cpu)?;
        hotplug::join(this, &mut locked, cpu);
        let state = &mut locked.state;
        state.online.come(cpu);
        tasks::set_cpu_default(this, cpu.cpu(), MonId { closid: Closid::RESERVED, rmid: Rmid::RESERVED });
        state.default_group().cpus.set(cpu.cpu())
    }

    /// A CPU is about to go offline: takes it out of its group and its domains.
    pub fn cpu_offline(this: &Ref<Self>, cpu: HotplugCpu<'_>) {
        // Dropped behind the mutex: with it may go the last reference to the domain and its arrays.
        let _gone;
        let mut locked = this.locked.lock();
        if locked.state.online.leave(cpu.cpu(), Edge::Go) {
            _gone = hotplug::leave(this, &mut locked, cpu.cpu());
            this.arch.cpu_offline(&this.platform, cpu);
        }
    }

    /// A CPU goes offline because the system is to sleep, and is to come back with it: the hotplug callback, with all tasks
    /// frozen.
    pub fn cpu_suspend(this: &Ref<Self>, cpu: HotplugCpu<'_>) {
        let mut locked = this.locked.lock();
        suspend(this, &mut locked, cpu.here().into());
    }

    /// The CPU that puts the system to sleep is about to stop, as the last one: `syscore_ops.suspend`. False when it must not,
    /// since a command is under way, which cannot be when tasks are frozen.
    #[must_use = "a system that sleeps regardless loses what its registers hold"]
    pub fn last_cpu_suspend(this: &Ref<Self>, here: IrqOff<'_>) -> bool {
        let Some(mut locked) = this.locked.try_lock() else { return false };
        suspend(this, &mut locked, here.into());
        true
    }

    /// That CPU is back, as the first one: `syscore_ops.resume`.
    pub fn first_cpu_resume(this: &Ref<Self>, here: IrqOff<'_>) {
        // Nobody else has run since it was free.
        if let Some(mut locked) = this.locked.try_lock() {
            resume(this, &mut locked, here.into());
        }
    }

    /// The system is awake, its tasks still frozen: every CPU that is to come back has done so.
    pub fn system_resumed(this: &Ref<Self>) {
        Self::locked_op(this, |op| {
            for cpu in op.locked.state.online.possible() {
                if op.locked.state.online.leave(cpu, Edge::Lose) {
                    hotplug::leave(this, op.locked, cpu);
                }
            }
        });
    }

    /// The hardware has failed, and is not used any more: unmounts and takes every CPU out, as one piece. Nothing can be mounted
    /// afterwards, and CPUs that come and go are nobody's business.
    pub fn shut_down(this: &Ref<Self>) {
        let between = mount::unmount_with(this, |op| {
            for cpu in op.locked.state.online.possible() {
                if op.locked.state.online.leave(cpu, Edge::Fail) {
                    hotplug::leave(this, op.locked, cpu);
                }
            }
            this.arch.shut_down(&this.platform, op.cpus);
        });
        mount::finish_all(this, between);
    }
}

fn suspend<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, locked: &mut Locked<A, P>, here: Here<'_>) {
    let Locked { key, state } = locked;
    if !state.online.leave(here.cpu(), Edge::Suspend) {
        return;
    }
    with_domain(fs, key, state, here, &mut |domain, each| fs.arch.mon_domain_suspend(here, domain, each));
    fs.arch.cpu_suspend(here);
}

/// In the hotplug callback, and for the first CPU of all.
fn resume<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, locked: &mut Locked<A, P>, here: Here<'_>) {
    let Locked { key, state } = locked;
    let state = &mut **state;
    let cpu = here.cpu();
    if state.online.of(cpu) != Life::Suspended {
        return;
    }
    fs.arch.cpu_resume(&fs.platform, here);
    for resource in ResourceId::ALL {
        let mut domains = state.ctrl_domains[resource.index()].iter_mut();
        if let Some(domain) = domains.find(|domain| domain.cpus.contains(cpu) && !state.online.reaches(&domain.cpus)) {
            fs.arch.ctrl_domain_resume(here, resource, &mut domain.arch);
        }
    }
    with_domain(fs, key, state, here, &mut |domain, each| fs.arch.mon_domain_resume(here, domain, each));
    state.online.resume(here);
}

/// Calls `f` with what counts in the monitor domain of this CPU, unless another CPU of the domain is awake.
fn with_domain<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    key: &mut Key,
    state: &State<A, P>,
    here: Here<'_>,
    f: &mut dyn FnMut(&mut A::MonDomain, EachCounting<'_>),
) {
    let mine = |domain: &&Ref<MonDomain<A, P>>| {
        let cpus = &domain.peek(key).cpus;
        cpus.contains(here.cpu()) && !state.online.reaches(cpus)
    };
    let Some(domain) = state.mon_domains.iter().find(mine) else { return };
    let MonState { arch, counters, .. } = domain.open(key);
    f(arch, &|counts| each_counting(fs, state, counters, counts));
}

/// Calls `f` with what counts in a domain: of each group that has an RMID, each bandwidth event, or the counter that was
/// assigned to it.
fn each_counting<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &State<A, P>,
    counters: &CounterTable,
    f: &mut dyn FnMut(Counting),
) {
    let assigned = fs.arch.counters_assigned();
    for who in state.every_monitored() {
        for event in crate::monitor::counters::events(fs) {
            if !assigned {
                f(Counting::Always(who.id, event));
            } else if let Some(number) = counters.find(Owner { group: who.group, event }) {
                f(Counting::Assigned(Counter { number, id: who.id, event }, filter(&state.filters, event)));
            }
        }
    }
}
