// SPDX-License-Identifier: GPL-2.0-only
//! What scenarios need of a machine: `# needs: l3.cat l3.domains>=2 !abmc` in their headers, `|` between alternatives.
//!
//! Every word is something that resctrl finds on a machine: a feature, which is there or not, or a number. All of them are in
//! [`WORDS`]; their values come from the machine's description, most by way of the [facts](crate::guest::facts_of) that scenarios have.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use resctrl_hardware::machine::{Component, Machine, MpamFeatures, RdtFeatures, property_number};

use crate::guest::facts_of;

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There or not.
    Feature,
    /// How many.
    Number,
}

/// Every word: its name, what it is, and what it means. Docs/machines.md has the list.
pub(crate) const WORDS: &[(&str, Kind, &str)] = &[
    ("x86", Kind::Feature, "the machine is an x86-64"),
    ("arm", Kind::Feature, "it is an AArch64"),
    ("intel", Kind::Feature, "an x86-64 that is not AMD's"),
    ("amd", Kind::Feature, "it has AMD's Quality of Service"),
    ("mpam", Kind::Feature, "it has MPAM that the kernel uses"),
    ("mpam.broken", Kind::Feature, "it has MPAM that the kernel refuses as a whole"),
    ("cpus", Kind::Number, "CPUs"),
    ("sockets", Kind::Number, "packages"),
    ("threads", Kind::Number, "threads of a core"),
    ("nodes", Kind::Number, "NUMA nodes of a package"),
    ("l3.domains", Kind::Number, "L3 caches"),
    ("l3.cpus", Kind::Number, "CPUs of each of them"),
    ("l2.domains", Kind::Number, "L2 caches"),
    ("l3.first_id", Kind::Number, "id of the first L3"),
    ("resctrl", Kind::Feature, "anything can be allocated or monitored: resctrl can be mounted"),
    ("allocation", Kind::Feature, "anything can be allocated"),
    ("l3.cat", Kind::Feature, "parts of the L3 can be allocated"),
    ("l3.bits", Kind::Number, "bits of a mask of the L3"),
    ("l3.min_bits", Kind::Number, "bits that such a mask must have"),
    ("l3.closids", Kind::Number, "classes of service of the L3"),
    ("l3.cdp", Kind::Feature, "code and data apart in the L3"),
    ("l3.sparse", Kind::Feature, "masks of the L3 may have holes"),
    ("l3.shared", Kind::Feature, "devices use some of the L3"),
    ("l3.unannounced", Kind::Feature, "L3 allocation that CPUID does not tell of (Haswell)"),
    ("l2.cat", Kind::Feature, "parts of the L2 can be allocated"),
    ("l2.bits", Kind::Number, "bits of a mask of the L2"),
    ("l2.closids", Kind::Number, "classes of service of the L2"),
    ("l2.cdp", Kind::Feature, "code and data apart in the L2"),
    ("mb", Kind::Feature, "bandwidth to memory can be limited"),
    ("mb.closids", Kind::Number, "classes of service of that"),
    ("mb.step", Kind::Number, "percent from one limit to the next, or AMD's units"),
    ("mb.bits", Kind::Number, "bits of a limit (Arm)"),
    ("mb.nonlinear", Kind::Feature, "bandwidth could be limited, but not in percent, so resctrl does not"),
    ("smba", Kind::Feature, "bandwidth to slow memory can be limited"),
    ("monitoring", Kind::Feature, "caches can be monitored"),
    ("llc_occupancy", Kind::Feature, "occupancy of the L3 is counted"),
    ("mbm_total_bytes", Kind::Feature, "all traffic is counted"),
    ("mbm_local_bytes", Kind::Feature, "traffic with the own memory is counted"),
    ("rmids", Kind::Number, "monitoring ids"),
    ("mon_groups", Kind::Number, "monitoring groups that a control group can have"),
    ("mon.power_of_two", Kind::Feature, "a step of the counters is a power of two"),
    ("mbm.bits", Kind::Number, "bits of the traffic counters"),
    (
        "mbm.counters",
        Kind::Number,
        "events that each L3 can count at once; without limit where counters are not assigned",
    ),
    ("bmec", Kind::Feature, "what traffic is counted can be configured (AMD)"),
    ("abmc", Kind::Feature, "traffic counters are assigned (AMD)"),
    ("abmc.counters", Kind::Number, "such counters of each L3"),
    ("sdciae", Kind::Feature, "devices can have a class of the L3 (AMD)"),
    ("telemetry", Kind::Feature, "packages count energy and performance (Intel)"),
    ("telemetry.few", Kind::Feature, "and that for fewer RMIDs than their tables have room for"),
    ("telemetry.wrong", Kind::Feature, "and firmware describes that wrongly"),
    ("pmu", Kind::Feature, "processors have counters for programs"),
    ("memory_controllers", Kind::Feature, "and memory controllers"),
    ("pseudo_lock", Kind::Feature, "Linux can lock regions of the L3 (Intel)"),
    ("errata", Kind::Feature, "Linux leaves L3 allocation and monitoring alone unless told otherwise (Skylake)"),
    ("mpam.split", Kind::Feature, "some component can only be reached from some CPUs (Arm)"),
    ("mpam.uniform", Kind::Feature, "components know as many PARTIDs as processors (Arm)"),
    ("mpam.interrupt", Kind::Feature, "components tell of errors by an interrupt (Arm)"),
    ("partids", Kind::Number, "PARTIDs that all components know (Arm)"),
    ("pmgs", Kind::Number, "PMGs that all components know (Arm)"),
    ("usage.monitors", Kind::Number, "monitors of occupancy of each L3 (Arm)"),
    ("vhe", Kind::Feature, "the kernel runs at EL2 (Arm)"),
    ("t241", Kind::Feature, "the errata of NVIDIA's T241 (Arm)"),
];

/// What resctrl finds on a machine: the value of every word, 0 or 1 of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found(BTreeMap<&'static str, u64>);

impl Found {
    /// Of this machine.
    pub(crate) fn on(machine: &Machine) -> Self {
        let mut found = Self(WORDS.iter().map(|(name, ..)| (*name, 0)).collect());
        let facts = facts_of(machine);
        let fact = |name: &str| facts.get(name).and_then(|value| value.parse().ok()).unwrap_or(0_u64);
        let has = |name: &str| u64::from(facts.contains_key(name));
        let mask = |name: &str| facts.get(name).and_then(|value| u64::from_str_radix(value, 16).ok()).unwrap_or(0);
        let is_arm = facts["ARCH"] == "arm64";
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let topology = &machine.topology;
        found.set(&[
            ("x86", u64::from(!is_arm)),
            ("arm", u64::from(is_arm)),
            ("intel", u64::from(!is_arm && machine.qos.is_none())),
            ("amd", u64::from(machine.qos.is_some())),
            ("cpus", number(topology.cpus())),
            ("sockets", number(topology.sockets)),
            ("threads", number(topology.threads)),
            ("nodes", number(topology.nodes)),
            ("l3.domains", number(topology.l3_domains())),
            ("l3.cpus", number(topology.cpus() / topology.l3_domains())),
            ("l2.domains", number(topology.l2_domains())),
            ("l3.first_id", fact("L3_FIRST_ID")),
        ]);
        if machine.mpam.as_ref().is_some_and(is_refused) {
            found.set(&[("mpam.broken", 1)]);
            return found;
        }
        let model = Model::of(&machine.qemu.cpu);
        let (has_l3, has_monitors) = model.finds(machine.rdt.as_ref());
        if has_l3 {
            found.set(&[
                ("l3.cat", has("L3_MASK")),
                ("l3.bits", u64::from(mask("L3_MASK").count_ones())),
                ("l3.min_bits", fact("L3_MIN_BITS")),
                ("l3.closids", fact("L3_CLOSIDS")),
                ("l3.cdp", fact("L3_CDP")),
                ("l3.sparse", fact("L3_SPARSE")),
                ("l3.shared", u64::from(mask("L3_SHAREABLE") != 0)),
            ]);
        }
        found.set(&[
            ("l2.cat", has("L2_MASK")),
            ("l2.bits", u64::from(mask("L2_MASK").count_ones())),
            ("l2.closids", fact("L2_CLOSIDS")),
            ("l2.cdp", fact("L2_CDP")),
            ("mb", has("MB_CLOSIDS")),
            ("mb.closids", fact("MB_CLOSIDS")),
            ("mb.step", fact("MB_STEP")),
            ("smba", has("SMBA_CLOSIDS")),
            ("bmec", fact("BMEC")),
            ("sdciae", fact("SDCIAE")),
            ("pseudo_lock", fact("PSEUDO_LOCK")),
            ("pmu", machine.pmu.is_some().into()),
        ]);
        let events = facts.get("MON_EVENTS").filter(|_| has_monitors);
        let events: Vec<&str> = events.map(|events| events.split(' ').collect()).unwrap_or_default();
        for event in ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"] {
            found.set(&[(event, u64::from(events.contains(&event)))]);
        }
        let monitoring = events.iter().any(|event| !event.is_empty());
        if monitoring {
            let ids = if is_arm { fact("PMGS") } else { fact("RMIDS") };
            found.set(&[
                ("monitoring", 1),
                ("rmids", fact("RMIDS")),
                ("mon_groups", ids.saturating_sub(1)),
                ("mon.power_of_two", fact("MON_UNIT").is_power_of_two().into()),
            ]);
        }
        if events.iter().any(|event| event.starts_with("mbm")) {
            let counters = if facts.contains_key("COUNTERS") { fact("COUNTERS") } else { u64::MAX };
            found.set(&[("mbm.bits", fact("MON_COUNTER_BITS")), ("mbm.counters", counters)]);
        }
        let allocation = ["l3.cat", "l2.cat", "mb", "smba"].iter().any(|word| found.0[word] != 0);
        found.set(&[("allocation", allocation.into()), ("resctrl", u64::from(allocation || monitoring))]);
        if let Some(qos) = &machine.qos {
            found.set(&[("abmc", u64::from(qos.abmc.is_some())), ("abmc.counters", fact("COUNTERS"))]);
        }
        if let Some(rdt) = &machine.rdt {
            found.set(&[
                ("memory_controllers", machine.memory_controllers.is_some().into()),
                ("errata", u64::from(model.number == SKYLAKE)),
                ("l3.unannounced", u64::from(has_l3 && rdt.l3.as_ref().is_some_and(|l3| l3.unannounced))),
                ("mb.nonlinear", u64::from(rdt.mba.as_ref().is_some_and(|mba| !mba.linear))),
            ]);
        }
        if let Some(telemetry) = &machine.telemetry {
            let few = telemetry.groups().any(|(group, _)| usize::from(group.rmids) < group.counters);
            let wrong = telemetry.first_package != 0
                || telemetry.groups().any(|(group, _)| group.counters != resctrl_hardware::machine::KNOWN_COUNTERS);
            found.set(&[("telemetry", 1), ("telemetry.few", few.into()), ("telemetry.wrong", wrong.into())]);
        }
        if let Some(mpam) = &machine.mpam {
            let msc = &mpam.msc;
            let split =
                msc.iter().any(|msc| msc.reached_from_l3.or(msc.reached_from_cpus.as_ref().map(|_| 0)).is_some());
            found.set(&[
                ("mpam", 1),
                ("mpam.split", split.into()),
                ("mpam.interrupt", u64::from(msc.iter().all(|msc| msc.error_interrupt.is_some()))),
                ("partids", fact("PARTIDS")),
                ("pmgs", fact("PMGS")),
                ("usage.monitors", fact("USAGE_MONITORS")),
                ("mpam.uniform", u64::from(fact("PARTIDS") == u64::from(mpam.partid_max) + 1)),
                ("mb.bits", fact("MB_BITS")),
                ("vhe", mpam.el2.into()),
                ("t241", mpam.t241.into()),
            ]);
        }
        found
    }

    fn set(&mut self, values: &[(&'static str, u64)]) {
        self.0.extend(values.iter().copied());
    }

    /// What there is: features that are there, and numbers.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, value)| (*name, *value)).filter(|(_, value)| *value != 0)
    }
}

/// The kernel uses nothing of this MPAM: tables that cannot be right, or a component of a version that is not 1.
fn is_refused(mpam: &MpamFeatures) -> bool {
    let major = |aidr: u32| aidr >> 4 & 0xf;
    let is_foreign = |msc: &Component| !msc.disabled && msc.aidr.is_some_and(|aidr| major(aidr) != 1);
    mpam.table_defect.is_some() || mpam.msc.iter().any(is_foreign)
}

/// Model of the Xeons that are known for something, where the family is 6.
const HASWELL: u32 = 63;
/// Bits of the mask with which Linux tries whether there is L3 allocation on a Haswell: other registers refuse it.
const HASWELL_CBM_LEN: u32 = 20;
const SKYLAKE: u32 = 85;

/// The model of a processor of QEMU's.
struct Model {
    number: u32,
    stepping: u32,
}

impl Model {
    fn of(processor: &str) -> Self {
        let number = |name: &str| property_number(processor, name).unwrap_or(0);
        Self { number: number("model"), stepping: number("stepping") }
    }

    /// Whether Linux uses L3 allocation and monitoring of a processor that has them: not where there are errata, and L3 allocation
    /// that CPUID keeps quiet about only where it knows to look for it.
    fn finds(&self, rdt: Option<&RdtFeatures>) -> (bool, bool) {
        let Some(rdt) = rdt else { return (true, true) };
        let unannounced = rdt.l3.as_ref().is_some_and(|l3| l3.unannounced);
        match self.number {
            SKYLAKE => (false, self.stepping > 4),
            HASWELL => (rdt.l3.as_ref().is_none_or(|l3| !unannounced || l3.cbm_len == HASWELL_CBM_LEN), true),
            _ => (!unannounced, true),
        }
    }
}

/// One word of a list of needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Need {
    /// As it is written.
    text: String,
    word: &'static str,
    kind: Kind,
    least: u64,
    most: u64,
}

impl Need {
    fn parse(text: &str) -> Result<Self> {
        let end = text.find(['<', '>', '=']).unwrap_or(text.len());
        let (name, comparison) = text.split_at(end);
        let (name, is_not) = name.strip_prefix('!').map_or((name, false), |name| (name, true));
        let found = WORDS.iter().find(|(word, ..)| *word == name);
        let &(word, kind, _) = found.with_context(|| {
            let near = WORDS
                .iter()
                .map(|(word, ..)| *word)
                .min_by_key(|word| strsim::levenshtein(word, name))
                .unwrap_or_default();
            format!("there is no `{name}` to need, perhaps `{near}`; docs/machines.md has all words")
        })?;
        let (least, most) = match (kind, is_not, comparison) {
            (Kind::Feature, false, "") => (1, u64::MAX),
            (Kind::Feature, true, "") => (0, 0),
            (Kind::Feature, ..) => bail!("`{name}` is there or not: `{name}` or `!{name}`"),
            (Kind::Number, false, comparison) if !comparison.is_empty() => {
                let digits = comparison.trim_start_matches(['<', '>', '=']);
                let number = digits.parse().with_context(|| format!("`{digits}` in `{text}` is no number"))?;
                match &comparison[..comparison.len() - digits.len()] {
                    ">=" => (number, u64::MAX),
                    "<=" => (0, number),
                    "=" => (number, number),
                    other => bail!("`{other}` in `{text}`: there are >=, <= and ="),
                }
            }
            (Kind::Number, ..) => bail!("`{name}` is a number: `{name}>=N`, `{name}<=N` or `{name}=N`"),
        };
        Ok(Self { text: text.to_owned(), word, kind, least, most })
    }

    /// Why a machine does not have it.
    fn why_not(&self, found: &Found) -> Option<String> {
        let there = found.0.get(self.word).copied().unwrap_or(0);
        if (self.least..=self.most).contains(&there) {
            return None;
        }
        Some(match self.kind {
            Kind::Feature => self.text.clone(),
            Kind::Number => format!("{} (here: {there})", self.text),
        })
    }
}

/// What a scenario needs of a machine: all of one of these lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs(Vec<Vec<Need>>);

impl Needs {
    /// Parses words, with blanks between, and `|` between lists of which one is enough.
    ///
    /// # Errors
    ///
    /// An unknown word, one twice, or a comparison that makes no sense.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lists = Vec::new();
        for words in text.split('|') {
            let list = words.split_whitespace().map(Need::parse).collect::<Result<Vec<_>>>()?;
            ensure!(!list.is_empty(), "what does it need?");
            for (number, need) in list.iter().enumerate() {
                ensure!(!list[..number].contains(need), "`{}` is there twice", need.text);
            }
            lists.push(list);
        }
        Ok(Self(lists))
    }

    /// What of them a machine does not have; `None` if it has all.
    pub(crate) fn why_not(&self, found: &Found) -> Option<String> {
        let missing =
            |list: &Vec<Need>| list.iter().filter_map(|need| need.why_not(found)).collect::<Vec<_>>().join(", ");
        let lists: Vec<String> = self.0.iter().map(missing).collect();
        let fits = lists.is_empty() || lists.iter().any(String::is_empty);
        (!fits).then(|| format!("needs {}", lists.join("; or ")))
    }

    /// It says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |list: &Vec<Need>| list.iter().map(|need| need.text.as_str()).collect::<Vec<_>>().join(" ");
        f.write_str(&self.0.iter().map(words).collect::<Vec<_>>().join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::platform;

    fn found(machine: &str) -> Found {
        Found::on(&crate::machine::load(machine, platform::Kind::Qemu).unwrap().hardware)
    }

    fn why_not(needs: &str, machine: &str) -> Option<String> {
        Needs::parse(needs).unwrap().why_not(&found(machine))
    }

    #[test]
    fn a_machine_has_what_its_file_says() {
        for (needs, machine) in [
            ("x86 intel !amd l3.cat l3.cdp mb monitoring cpus=4 l3.domains=2 l3.cpus=2 rmids=32 l3.bits=12", "intel"),
            ("monitoring !allocation llc_occupancy l3.cat mbm_local_bytes", "intel-mon-only"),
            ("amd bmec abmc abmc.counters=8 !smba mbm.bits=48", "amd-abmc"),
            ("sdciae l2.cat !l2.cdp", "amd-sdciae"),
            ("arm mpam mb mb.step=1 mb.bits=8 partids=32 pmgs=4 usage.monitors=16 mpam.interrupt !mpam.split", "mpam"),
            ("mbm.counters=4 mon_groups=3 mpam.uniform", "mpam-few-monitors"),
            ("!mpam.uniform partids=8 !mbm_total_bytes mbm.counters=0", "mpam-narrow"),
            ("mbm.counters=8 mon_groups=31", "amd-abmc"),
            ("mpam.broken !mpam !allocation !monitoring arm cpus=4", "mpam-broken-checksum"),
            ("mpam.broken !resctrl", "mpam-broken-version"),
            ("!allocation monitoring !l3.cat", "mpam-broken-widths"),
            ("mpam.split t241", "mpam-split"),
            ("nodes>=2 rmids=32", "intel-snc"),
            ("telemetry telemetry.few !telemetry.wrong", "intel-aet-few"),
            ("telemetry !telemetry.few telemetry.wrong", "intel-aet-broken"),
            // What Linux finds, not what is there.
            ("errata mb !l3.cat !monitoring", "intel-skylake"),
            ("errata memory_controllers mb !l3.cat monitoring sockets=1", "intel-imc"),
            ("l3.cat l3.unannounced", "intel-haswell"),
            ("intel llc_occupancy !allocation !l3.unannounced", "intel-haswell-small"),
            ("x86 intel !allocation !monitoring", "none"),
            ("pseudo_lock !pmu", "intel-pseudo-lock"),
            ("pseudo_lock pmu", "intel-pseudo-lock-perf"),
            ("pmu rmids=32", "intel-perf"),
            ("pmu amd", "amd-perf"),
            ("pmu arm", "mpam-perf"),
            ("mpam.uniform partids=32 mbm.bits=63", "mpam-cmax"),
            ("mb.bits=8 mbm.bits=31 mbm.counters=64 mbm_total_bytes !llc_occupancy !l3.cat !l2.cat", "mpam-wide"),
            ("mb.nonlinear !mb", "intel-nonlinear-mba"),
        ] {
            let expected = match machine {
                "intel-mon-only" => Some("needs l3.cat".to_owned()),
                "mpam-split" => Some("needs t241".to_owned()),
                _ => None,
            };
            assert_eq!(why_not(needs, machine), expected, "{machine}");
        }
    }

    #[test]
    fn everything_that_a_machine_lacks_is_said_with_what_it_has() {
        assert_eq!(
            why_not("l2.cat l3.cat l3.domains>=3 cpus<=2 !mb", "intel").as_deref(),
            Some("needs l2.cat, l3.domains>=3 (here: 2), cpus<=2 (here: 4), !mb")
        );
    }

    #[test]
    fn one_of_several_lists_is_enough() {
        let needs = "abmc cpus>=8 | l3.cat !mb | mpam";
        assert_eq!(why_not(needs, "mpam-2l3"), None);
        assert_eq!(
            why_not(needs, "intel").as_deref(),
            Some("needs abmc, cpus>=8 (here: 4); or !mb; or mpam"),
            "what each of them lacks"
        );
        assert_eq!(Needs::parse(needs).unwrap().to_string(), needs);
        assert!(Needs::parse("abmc |").is_err());
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        for (text, message) in [
            ("l3.cta", "there is no `l3.cta` to need, perhaps `l3.cat`"),
            ("cpus", "`cpus` is a number: `cpus>=N`"),
            ("!cpus>=2", "`cpus` is a number"),
            ("mb>=2", "`mb` is there or not: `mb` or `!mb`"),
            ("cpus>2", "`>` in `cpus>2`: there are >=, <= and ="),
            ("cpus>=x", "`x` in `cpus>=x` is no number"),
            ("mb mb", "`mb` is there twice"),
            ("", "what does it need?"),
        ] {
            let error = Needs::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn no_word_is_there_twice_and_each_is_true_of_some_machine_and_not_of_another() {
        let names = crate::machine::names(platform::Kind::Qemu).unwrap();
        let machines: Vec<Found> = names.iter().map(|name| found(name)).collect();
        for (number, (word, ..)) in WORDS.iter().enumerate() {
            assert!(WORDS[..number].iter().all(|(other, ..)| other != word), "{word} is there twice");
            let values: Vec<u64> = machines.iter().map(|found| found.0[word]).collect();
            assert!(values.iter().any(|value| *value != values[0]), "{word} is {} everywhere", values[0]);
        }
        assert!(machines.iter().all(|found| found.0.len() == WORDS.len()), "a value without a word");
    }
}
