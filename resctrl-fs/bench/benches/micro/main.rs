// SPDX-License-Identifier: GPL-2.0-only
//! What single steps take on the host: `cargo bench -p resctrl-fs-bench`.
//!
//! Parsers are reached as users reach them, by writing to files of a file system on the simulated kernel. What the
//! simulation adds to each command (locks that are decided by a scheduler) is what the smallest command takes,
//! `command/nothing`; lines that are refused change nothing, so what is above that is parsing.

#[path = "../../../tests/abi/amd.rs"]
#[expect(dead_code, reason = "the tests of single files ask for more")]
mod amd;
#[path = "../../../tests/abi/arch.rs"]
#[expect(dead_code, reason = "the tests of single files ask for more")]
mod arch;
mod machine;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use resctrl_types::{CpuId, CpuMask, cbm, sim};

use machine::{CPUS, DOMAINS, Machine};

/// A line that gives a mask to each of so many domains, and the last of them one that is refused.
fn refused_schemata(domains: u32) -> String {
    let masks: Vec<String> = (0..domains - 1).map(|domain| format!("{domain}=ff0")).collect();
    format!("L3:{};{}=f0f0\n", masks.join(";"), domains - 1)
}

fn parsers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("command");
    let mut write = |name: &str, file: &'static str, text: String| {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            let text = text.clone();
            bencher.iter_custom(move |times| {
                let text = text.clone();
                machine::timed(times, 0, move |machine| machine.write(file, text.as_bytes()))
            });
        });
    };
    write("nothing", "schemata", "\n".to_owned());
    for domains in [2, DOMAINS] {
        write(&format!("schemata/{domains}-domains-refused"), "schemata", refused_schemata(domains));
    }
    write("schemata/1-domain-same", "schemata", "L3:1=fff\n".to_owned());
    write("schemata/bandwidth-refused", "schemata", "MB:1=1000\n".to_owned());
    write("cpus_list/refused", "cpus_list", format!("0-7,9,11-{}:1/2,{CPUS}\n", CPUS - 1));
    write("cpus/refused", "cpus", format!("1,{:08x},{:08x}\n", 0xf0f0_f0f0_u32, u32::MAX));
    write("mode/same", "mode", "shareable\n".to_owned());
    group.finish();
}

fn readers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for file in ["schemata", "size", "cpus_list", "mode"] {
        group.bench_function(file, |bencher| {
            bencher.iter_custom(|times| machine::timed(times, 0, move |machine| machine.read(file)));
        });
    }
    group.finish();
}

fn masks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    group.throughput(Throughput::Elements(1 << 12));
    group.bench_function("cbm-contiguous", |bencher| {
        bencher.iter(|| (0..1 << 12).filter(|&mask| cbm::is_contiguous(black_box(mask))).count());
    });
    for cpus in [64, 1024] {
        group.throughput(Throughput::Elements(u64::from(cpus)));
        let mut odd = CpuMask::new(cpus).expect("memory");
        (1..cpus).step_by(2).for_each(|cpu| odd.set(CpuId(cpu)).expect("one of its CPUs"));
        let mut other = odd.try_clone().expect("memory");
        group.bench_function(BenchmarkId::new("cpus-union-subtract", cpus), |bencher| {
            bencher.iter(|| {
                other.union_with(black_box(&odd));
                other.subtract(black_box(&odd));
                other.is_empty()
            });
        });
        group.bench_function(BenchmarkId::new("cpus-iterate", cpus), |bencher| {
            bencher.iter(|| black_box(&odd).iter().map(|cpu| cpu.0).sum::<u32>());
        });
        group.bench_function(BenchmarkId::new("cpus-print-list", cpus), |bencher| {
            bencher.iter(|| black_box(&odd).list().to_string().len());
        });
    }
    group.finish();
}

fn tree(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree");
    for groups in [1, 16, 256] {
        group.bench_function(BenchmarkId::new("look-up", groups), |bencher| {
            bencher.iter_custom(|times| machine::timed(times, groups, Machine::look_up_last));
        });
        group.bench_function(BenchmarkId::new("look-up-missing", groups), |bencher| {
            bencher.iter_custom(|times| machine::timed(times, groups, |machine| machine.look_up(b"nobody")));
        });
    }
    group.finish();
}

fn schedules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulated-kernel");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.bench_function("schedules", |bencher| {
        bencher.iter_custom(|times| {
            let schedules = usize::try_from(times).expect("a number of this machine");
            let begun = std::time::Instant::now();
            let done = sim::explore(schedules, machine::race);
            let each = begun.elapsed() / u32::try_from(done.max(1)).expect("not so many");
            // SIM_ITERATIONS asks for more than criterion does.
            each * u32::try_from(times).expect("not so many")
        });
    });
    group.finish();
}

criterion_group!(benches, parsers, readers, masks, tree, schedules);
criterion_main!(benches);
