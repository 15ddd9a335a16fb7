// SPDX-License-Identifier: GPL-2.0-only
//! The shipped file system on this architecture: what a user reads and writes, down to the registers and back.

use std::fmt;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use resctrl_fs::{Bytes, MountOptions, NodeId, Resctrl, TextOut};
use resctrl_hardware::mpam::registers::{Cpbm, MbwMax};
use resctrl_hardware::mpam::{CounterWidth, Label, Level, Occupancy};
use resctrl_types::sim::{SimPlatform, TaskSpec};
use resctrl_types::{CpuId, Errno, Ref, Result, sim};

use super::board::{Board, Driver, Spec, counters, memory, start};
use crate::resctrl::Options;

pub(super) type Fs = Resctrl<Driver, SimPlatform>;

#[derive(Default)]
struct Text(Vec<u8>);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl TextOut for Text {
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
        self.0.extend_from_slice(bytes.0);
        Ok(())
    }
}

pub(super) const PLAIN: MountOptions = MountOptions { cdp: false, cdpl2: false, mba_mbps: false, debug: false };
pub(super) const CDP: MountOptions = MountOptions { cdp: true, ..PLAIN };

#[derive(Clone)]
pub(super) struct Machine {
    pub(super) sim: SimPlatform,
    pub(super) board: Arc<Board>,
    pub(super) fs: Ref<Fs>,
}

impl Machine {
    pub(super) fn boot(spec: &Spec) -> Machine {
        let (sim, board, driver) = start(spec, Options { expert: true }).unwrap();
        let fs = Resctrl::new(sim.clone(), driver).unwrap();
        let (online, offline, switched) = (fs.clone(), fs.clone(), fs.clone());
        sim.register_hotplug(move |cpu| Fs::cpu_online(&online, cpu), move |cpu| Fs::cpu_offline(&offline, cpu))
            .unwrap();
        sim.set_sched_in(move |here, word| switched.sched_in(here, word));
        let [stops, last_stops, first_is_back, ended] = core::array::from_fn(|_| fs.clone());
        sim.register_sleep(
            move |cpu| Fs::cpu_suspend(&stops, cpu),
            move |here| Fs::last_cpu_suspend(&last_stops, here),
            move |here| Fs::first_cpu_resume(&first_is_back, here),
            move || Fs::system_resumed(&ended),
        );
        Machine { sim, board, fs }
    }

    pub(super) fn mounted(spec: &Spec, options: &MountOptions) -> Machine {
        let machine = Machine::boot(spec);
        Fs::mount(&machine.fs, options).unwrap();
        machine
    }

    fn node(&self, path: &str) -> Result<NodeId> {
        let root = self.fs.root().ok_or(Errno::ENOENT)?;
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(root, |dir, name| self.fs.lookup(dir, name.as_bytes()).ok_or(Errno::ENOENT))
    }

    pub(super) fn read(&self, path: &str) -> Result<String> {
        let mut text = Text::default();
        Fs::read(&self.fs, self.node(path)?, &mut text)?;
        Ok(String::from_utf8(text.0).unwrap())
    }

    pub(super) fn write(&self, path: &str, command: &str) -> Result<()> {
        Fs::write(&self.fs, self.node(path)?, command.as_bytes())
    }

    pub(super) fn mkdir(&self, dir: &str, name: &str) -> Result<()> {
        Fs::mkdir(&self.fs, self.node(dir)?, name.as_bytes(), 0o755)
    }

    pub(super) fn rmdir(&self, path: &str) -> Result<()> {
        Fs::rmdir(&self.fs, self.node(path)?)
    }

    /// Renames or moves a group.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (parent, name) = to.rsplit_once('/').unwrap_or(("", to));
        Fs::rename(&self.fs, self.node(from)?, self.node(parent)?, name.as_bytes(), 0)
    }

    /// Sees that nothing that files do not show is wrong.
    #[track_caller]
    pub(super) fn audit(&self) {
        let mut text = Text::default();
        Fs::audit(&self.fs, &mut text).unwrap();
        assert_eq!(String::from_utf8_lossy(&text.0), "");
    }

    /// Whether a file or directory is there.
    pub(super) fn has(&self, path: &str) -> bool {
        self.node(path).is_ok()
    }

    /// Writes what must fail, and with which words.
    pub(super) fn refuses(&self, path: &str, command: &str, errno: Errno, words: &str) {
        assert_eq!(self.write(path, command), Err(errno), "{command:?} to {path}");
        assert_eq!(self.read("info/last_cmd_status").unwrap(), words);
    }

    /// Unmounts, unloads, and sees that no domain and no worker is left.
    pub(super) fn finish(self) {
        Fs::unmount(&self.fs);
        self.sim.unregister_hotplug();
        self.sim.clear_sched_in();
        self.sim.advance(1002);
        self.sim.assert_idle();
        assert_eq!(self.sim.live_works(), 0, "a monitor domain was never freed");
        assert!(Fs::is_idle(&self.fs));
        for class in &self.fs.arch().devices().classes {
            assert!(class.components.iter().all(|component| Ref::count(component) == 1));
        }
    }
}

/// The words of each line of a file, without the padding of its columns.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().into()).collect()
}

#[test]
fn what_a_user_writes_is_in_the_registers_and_reads_back() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(1), &PLAIN);
        assert_eq!(lines(&machine.read("schemata").unwrap()), ["MB:768=100", "L3:768=ffff"]);
        assert_eq!(machine.read("info/L3/num_closids").unwrap(), "32\n");
        assert_eq!(machine.read("info/L3/shareable_bits").unwrap(), "ffff\n");
        assert_eq!(machine.read("info/L3_MON/num_rmids").unwrap(), "128\n");
        assert_eq!(machine.read("info/L3_MON/mon_features").unwrap(), "llc_occupancy\n");
        machine.mkdir("", "p0").unwrap();
        machine.write("p0/schemata", "L3:768=f0\nMB:768=50\n").unwrap();
        assert_eq!(lines(&machine.read("p0/schemata").unwrap()), ["MB:768=50", "L3:768=f0"]);
        assert_eq!(machine.board.msc(0).control(0, 1, Cpbm::OFFSET), Some(0xf0));
        assert_eq!(machine.board.msc(1).control(0, 1, MbwMax::OFFSET), Some(0x7f00));
        machine.rmdir("p0").unwrap();
        machine.sim.advance(5000);
        machine.finish();
    });
}

#[test]
fn the_modes_of_pseudo_locking_are_unknown() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(1), &PLAIN);
        machine.mkdir("", "p0").unwrap();
        for mode in ["pseudo-locksetup\n", "pseudo-locked\n"] {
            machine.refuses("p0/mode", mode, Errno::EINVAL, "Unknown or unsupported mode\n");
        }
        machine.rmdir("p0").unwrap();
        machine.sim.advance(5000);
        machine.finish();
    });
}

#[test]
fn b4_all_bandwidth_stays_all_bandwidth_for_every_width() {
    for bits in 1..=16 {
        sim::run(move || {
            let mut spec = Spec::new(1);
            spec.mscs[1].config.ris[0] = memory(bits);
            let machine = Machine::mounted(&spec, &PLAIN);
            machine.mkdir("", "p0").unwrap();
            for percent in ["99", "100"] {
                machine.write("p0/schemata", &std::format!("MB:768={percent}\n")).unwrap();
                let shown = lines(&machine.read("p0/schemata").unwrap())[0].clone();
                let shown: u32 = shown.strip_prefix("MB:768=").unwrap().trim().parse().unwrap();
                assert!(shown >= 99, "{percent} became {shown} with {bits} bits");
                assert!(percent == "99" || shown == 100);
            }
            machine.finish();
        });
    }
}

#[test]
fn a_group_has_its_tasks_labelled_and_its_lines_counted() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(1), &PLAIN);
        machine.mkdir("", "p0").unwrap();
        machine.mkdir("p0/mon_groups", "m0").unwrap();
        let task = machine.sim.spawn_task(TaskSpec::default());
        machine.write("p0/mon_groups/m0/tasks", &std::format!("{}\n", task.pid())).unwrap_err();
        machine.write("p0/tasks", &std::format!("{}\n", task.pid())).unwrap();
        machine.write("p0/mon_groups/m0/tasks", &std::format!("{}\n", task.pid())).unwrap();
        machine.sim.switch_to(CpuId(1), Some(&task)).unwrap();
        let label = machine.board.cpu(1).label(Level::El0, false);
        assert_eq!(label.partid, 1);
        assert_ne!(label, Label { partid: 1, pmg: 0 }, "the parent has PMG 0 of its PARTID");
        let lines = Occupancy { total: 12_288, dirty: 0 };
        machine.board.msc(0).set_occupancy(0, label.partid, label.pmg, lines);
        assert_eq!(machine.read("p0/mon_groups/m0/mon_data/mon_L3_768/llc_occupancy").unwrap(), "12288\n");
        assert_eq!(machine.read("p0/mon_data/mon_L3_768/llc_occupancy").unwrap(), "12288\n");
        assert_eq!(machine.read("mon_data/mon_L3_768/llc_occupancy").unwrap(), "0\n");
        machine.finish();
    });
}

#[test]
fn under_cdp_bandwidth_is_hidden_and_closids_are_halved_until_the_unmount() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(1), &CDP);
        assert_eq!(lines(&machine.read("schemata").unwrap()), ["L3DATA:768=ffff", "L3CODE:768=ffff"]);
        assert_eq!(machine.read("info/L3CODE/num_closids").unwrap(), "16\n");
        assert_eq!(machine.read("info/L3_MON/num_rmids").unwrap(), "64\n");
        assert_eq!(machine.node("info/MB").err(), Some(Errno::ENOENT));
        machine.mkdir("", "p0").unwrap();
        machine.write("p0/schemata", "L3CODE:768=f\n").unwrap();
        assert_eq!(machine.board.msc(0).control(0, 2, Cpbm::OFFSET), Some(0xffff));
        assert_eq!(machine.board.msc(0).control(0, 3, Cpbm::OFFSET), Some(0xf));
        Fs::unmount(&machine.fs);
        assert_eq!(machine.board.msc(0).control(0, 3, Cpbm::OFFSET), Some(0xffff));
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(lines(&machine.read("schemata").unwrap()), ["MB:768=100", "L3:768=ffff"]);
        machine.finish();
    });
}

#[test]
fn as_many_groups_as_there_are_pairs_and_no_more() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(1), &PLAIN);
        let name = |number| std::format!("p{number}");
        (1..32).for_each(|number| machine.mkdir("", &name(number)).unwrap());
        assert_eq!(machine.mkdir("", "p32"), Err(Errno::ENOSPC));
        // Three monitor groups beside the control group's own PMG.
        (0..3).for_each(|number| machine.mkdir("p1/mon_groups", &name(number)).unwrap());
        assert_eq!(machine.mkdir("p1/mon_groups", "p3"), Err(Errno::ENOSPC));
        machine.finish();
    });
}

#[test]
fn a_new_group_gets_the_closid_of_which_the_fewest_rmids_are_in_limbo() {
    for [dirty, cleaner] in [[30, 31], [31, 30]] {
        sim::run(move || {
            let machine = Machine::mounted(&Spec::new(1), &MountOptions { debug: true, ..PLAIN });
            (1..32).for_each(|number| machine.mkdir("", &std::format!("p{number}")).unwrap());
            machine.mkdir(&std::format!("p{dirty}/mon_groups"), "m").unwrap();
            for gone in [dirty, cleaner] {
                let group = std::format!("p{gone}");
                assert_eq!(machine.read(&std::format!("{group}/ctrl_hw_id")).unwrap(), std::format!("{gone}\n"));
                machine.rmdir(&group).unwrap();
            }
            machine.mkdir("", "new").unwrap();
            assert_eq!(machine.read("new/ctrl_hw_id").unwrap(), std::format!("{cleaner}\n"));
            machine.audit();
            machine.finish();
        });
    }
}

/// The unmount while the second cache's CPUs are away, whose MSC can be reached from everywhere or from them alone.
fn unmount_without_a_cache(reachable: bool) {
    sim::run(move || {
        let mut spec = Spec::new(2);
        spec.mscs[1].cluster = (!reachable).then_some(1);
        let machine = Machine::mounted(&spec, &PLAIN);
        let held = |partid| machine.board.msc(1).control(0, partid, Cpbm::OFFSET).unwrap();
        machine.mkdir("", "p0").unwrap();
        machine.write("p0/schemata", "L3:769=f\n").unwrap();
        machine.write("schemata", "L3:769=ff\n").unwrap();
        for cpu in [2, 3] {
            machine.sim.offline(CpuId(cpu)).unwrap();
        }
        // What nobody can reach was left open; of the rest, the values go on to hold for whoever else is behind it.
        assert_eq!((held(0), held(1)), if reachable { (0xff, 0xf) } else { (0xffff, 0xffff) });
        if !reachable {
            machine.board.msc(1).power_off();
        }
        let writes = machine.board.msc(1).writes();
        Fs::unmount(&machine.fs);
        if reachable {
            assert!((0..32).all(|partid| held(partid) == 0xffff));
        } else {
            assert_eq!(machine.board.msc(1).writes(), writes);
            machine.board.msc(1).power_on();
        }
        for cpu in [3, 2] {
            machine.sim.online(CpuId(cpu)).unwrap();
        }
        assert!((0..32).all(|partid| held(partid) == 0xffff));
        assert_eq!(machine.board.msc(1).accesses_unpowered(), 0);
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(lines(&machine.read("schemata").unwrap()), ["L3:768=ffff;769=ffff"]);
        machine.sim.advance(5000);
        machine.finish();
    });
}

#[test]
fn the_unmount_lifts_the_restrictions_of_a_cache_whose_cpus_are_away() {
    unmount_without_a_cache(true);
}

#[test]
fn the_unmount_leaves_alone_what_nobody_can_reach_and_it_comes_back_unrestricted() {
    unmount_without_a_cache(false);
}

#[test]
fn a_cache_that_comes_back_has_the_values_of_before_but_not_for_a_group_that_is_new() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(2), &MountOptions { debug: true, ..PLAIN });
        for (group, mask) in [("old", "f"), ("gone", "f0")] {
            machine.mkdir("", group).unwrap();
            machine.write(&std::format!("{group}/schemata"), &std::format!("L3:769={mask}\n")).unwrap();
        }
        let closid = machine.read("gone/ctrl_hw_id").unwrap();
        for cpu in [2, 3] {
            machine.sim.offline(CpuId(cpu)).unwrap();
        }
        machine.rmdir("gone").unwrap();
        machine.sim.advance(5000);
        machine.mkdir("", "new").unwrap();
        assert_eq!(machine.read("new/ctrl_hw_id").unwrap(), closid);
        for cpu in [3, 2] {
            machine.sim.online(CpuId(cpu)).unwrap();
        }
        assert_eq!(lines(&machine.read("old/schemata").unwrap()), ["L3:768=ffff;769=f"]);
        assert_eq!(lines(&machine.read("new/schemata").unwrap()), ["L3:768=ffff;769=ffff"]);
        let held = |partid| machine.board.msc(1).control(0, partid, Cpbm::OFFSET);
        assert_eq!((held(1), held(2)), (Some(0xf), Some(0xffff)));
        machine.finish();
    });
}

/// Groups come and go and are read while a whole cache goes away and comes back: with every order of events the lines of
/// freed groups are waited for, nothing is touched without power, and in the end nothing is left.
#[test]
fn groups_limbo_and_hotplug_in_any_order_leave_nothing_behind() {
    let schedules = sim::explore(150, || {
        let mut spec = Spec::new(2);
        spec.mscs[1].cluster = Some(1);
        for msc in &mut spec.mscs[..2] {
            msc.config.ris[0].traffic = Some(counters(CounterWidth::Bits44));
        }
        let machine = Machine::mounted(&spec, &PLAIN);
        let clock = machine.sim.start_clock(6);
        let plug = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                for _ in 0..2 {
                    machine.sim.offline(CpuId(2)).unwrap();
                    machine.sim.offline(CpuId(3)).unwrap();
                    machine.board.msc(1).power_off();
                    machine.board.msc(1).power_on();
                    machine.sim.online(CpuId(2)).unwrap();
                    machine.sim.online(CpuId(3)).unwrap();
                }
            })
        };
        for round in 0..3 {
            machine.mkdir("", "p0").unwrap();
            let written = machine.write("p0/schemata", "L3:769=f\n");
            assert!(matches!(written, Ok(()) | Err(Errno::EINVAL)), "round {round}: {written:?}");
            assert!(machine.read("p0/mon_data/mon_L3_768/llc_occupancy").is_ok());
            // The counter of the cache that stays; the other one's is there or not.
            assert_eq!(machine.read("p0/mon_data/mon_L3_768/mbm_total_bytes").unwrap(), "0\n");
            let assigned = machine.read("p0/mbm_L3_assignments").unwrap();
            assert!(assigned.starts_with("mbm_total_bytes:768=e"), "{assigned}");
            machine.rmdir("p0").unwrap();
        }
        plug.join().unwrap();
        clock.stop();
        for msc in 0..3 {
            assert_eq!(machine.board.msc(msc).error_status(), 0);
            assert_eq!(machine.board.msc(msc).accesses_unpowered(), 0);
        }
        machine.sim.advance(5000);
        machine.finish();
    });
    assert!(schedules >= 150);
}

#[test]
fn b11_bandwidth_hidden_by_cdp_comes_back_with_all_its_cpus() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(1), &CDP);
        machine.sim.offline(CpuId(1)).unwrap();
        machine.sim.online(CpuId(1)).unwrap();
        Fs::unmount(&machine.fs);
        machine.sim.offline(CpuId(0)).unwrap();
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(lines(&machine.read("schemata").unwrap()), ["MB:768=100", "L3:768=ffff"]);
        machine.write("schemata", "MB:768=50\n").unwrap();
        assert_eq!(machine.board.msc(1).control(0, 0, MbwMax::OFFSET), Some(0x7f00));
        machine.finish();
    });
}
