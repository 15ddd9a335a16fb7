// SPDX-License-Identifier: GPL-2.0-only

mod pptt;

use std::boxed::Box;
use std::collections::BTreeSet;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use resctrl_hardware::mpam::firmware;
use resctrl_types::CpuId;

use super::*;

const CPUS: u32 = 4;

fn processor(uid: u32) -> Option<CpuId> {
    (uid < CPUS).then_some(CpuId(uid))
}

/// Two level 3 caches of two processors each, every processor with a level 2 cache of its own.
fn pptt() -> Vec<u8> {
    let cluster = |uid: u32| firmware::Cluster {
        uid: 10 + uid,
        l3: Some(firmware::Cache { id: 0x300 + uid, size: 8 << 20, ways: 16 }),
        l2: (0..2).map(|cpu| firmware::Cache { id: 0x200 + uid * 2 + cpu, size: 1 << 20, ways: 8 }).collect(),
        parts: Vec::new(),
        processors: (0..2)
            .map(|cpu| firmware::Processor { uid: uid * 2 + cpu, l2: usize::try_from(cpu).ok(), part: None })
            .collect(),
    };
    firmware::pptt(&[cluster(0), cluster(1)])
}

fn msc(id: u32, resources: Vec<firmware::Resource>) -> firmware::Node {
    firmware::Node {
        id,
        address: 0x1_0000_0000 + u64::from(id) * 0x1_0000,
        size: 0x1_0000,
        overflow: firmware::Interrupt::default(),
        error: firmware::Interrupt { number: 40 + id, flags: 0 },
        not_ready_us: 10,
        container: None,
        resources,
    }
}

fn mpam() -> Vec<u8> {
    firmware::mpam(&[
        msc(1, vec![firmware::Resource { ris: 0, locator: firmware::Locator::Cache(0x300) }]),
        firmware::Node { size: 0, ..msc(2, vec![]) },
        msc(
            3,
            vec![
                firmware::Resource { ris: 0, locator: firmware::Locator::Memory(0) },
                firmware::Resource { ris: 1, locator: firmware::Locator::Other(2, 7, 7) },
            ],
        ),
    ])
}

/// Makes the bytes add up to 0 again.
fn resum(mut table: Vec<u8>) -> Vec<u8> {
    if table.len() > 9 {
        table[9] = 0;
        table[9] = table.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
    }
    table
}

#[test]
fn caches_have_their_level_size_and_processors() {
    let table = pptt();
    let caches = Caches::parse(&table, CPUS, &processor).unwrap();
    let l3 = caches.cache(0x301).unwrap();
    assert_eq!((l3.level, l3.size), (3, 8 << 20));
    assert!(l3.cpus.iter().eq([CpuId(2), CpuId(3)]));
    let l2 = caches.cache(0x202).unwrap();
    assert_eq!(l2.level, 2);
    assert!(l2.cpus.iter().eq([CpuId(2)]));
    assert!(caches.container(11).unwrap().iter().eq([CpuId(2), CpuId(3)]));
    assert!(caches.container(99).is_none());
    // The package's id is not a valid one, and an instruction cache is nobody's resource.
    assert_eq!(caches.caches().iter().filter(|cache| cache.level == 1).count(), 4);
}

#[test]
fn a_disabled_msc_is_not_there() {
    let table = mpam();
    let mpam = MpamTable::parse(&table).unwrap();
    let mscs: Vec<_> = mpam.mscs().collect();
    assert_eq!(mscs.iter().map(|msc| msc.id).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(mscs[0].address, 0x1_0001_0000);
    assert_eq!(mscs[0].error, Some(Interrupt { number: 41, edge: false, private: false }));
    assert_eq!(mscs[0].overflow, None);
    assert_eq!(mscs[0].not_ready_us, 10);
    let resources: Vec<_> = mscs[1].resources().map(Result::unwrap).collect();
    assert_eq!(resources[0], Resource { ris: 0, locator: Locator::Memory(0) });
    assert_eq!(resources[1], Resource { ris: 1, locator: Locator::Other(2) });
}

#[test]
fn an_msc_linked_to_a_container_is_reached_from_it() {
    let node = firmware::Node { container: Some(11), ..msc(1, vec![]) };
    let table = firmware::mpam(&[node]);
    let linked = MpamTable::parse(&table).unwrap().mscs().next().unwrap().linked;
    assert_eq!(linked, Linked::Container(11));
}

#[test]
fn interrupts_that_are_messages_or_partitioned_are_not_used() {
    let with = |flags| {
        let error = firmware::Interrupt { number: 40, flags };
        let table = firmware::mpam(&[firmware::Node { error, ..msc(1, vec![]) }]);
        MpamTable::parse(&table).unwrap().mscs().next().unwrap().error
    };
    assert_eq!(with(0b00001), Some(Interrupt { number: 40, edge: true, private: false }));
    assert_eq!(with(0b10000), Some(Interrupt { number: 40, edge: false, private: true }));
    assert_eq!(with(0b00010), None);
    assert_eq!(with(0b11000), None);
}

#[test]
fn a_reserved_field_or_another_interface_makes_the_table_unusable() {
    for (offset, value) in [(3, 1), (28, 1), (44, 1), (2, 0x0a), (2, 7)] {
        let mut table = mpam();
        table[36 + offset] = value;
        assert_eq!(MpamTable::parse(&resum(table)).err(), Some(TableError::Revision), "byte {offset}");
    }
}

#[test]
fn reserved_fields_are_each_to_be_zero_not_only_together() {
    for bit in 0..8 {
        for offsets in [[3, 28], [3, 44], [28, 44]] {
            let mut table = mpam();
            offsets.into_iter().for_each(|offset| table[36 + offset] = 1 << bit);
            assert_eq!(MpamTable::parse(&resum(table)).err(), Some(TableError::Revision), "bytes {offsets:?}");
        }
    }
}

#[test]
fn every_refusal_has_a_text_of_its_own() {
    use TableError::{Checksum, Length, NoMemory, Node, Reference, Revision, Signature};
    let all = [Signature, Length, Checksum, Revision, Node, Reference, NoMemory];
    assert_eq!(Checksum.to_string(), "has a wrong checksum");
    let texts: BTreeSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len());
    assert!(!texts.contains(""));
}

#[test]
fn broken_headers_are_told_apart() {
    let broken = |break_it: &dyn Fn(&mut Vec<u8>)| {
        let mut table = mpam();
        break_it(&mut table);
        MpamTable::parse(&table).err()
    };
    assert_eq!(broken(&|table| table[0] = b'X'), Some(TableError::Signature));
    assert_eq!(broken(&|table| table.truncate(80)), Some(TableError::Length));
    assert_eq!(broken(&|table| table[4..8].copy_from_slice(&20_u32.to_le_bytes())), Some(TableError::Length));
    assert_eq!(broken(&|table| table[40] ^= 1), Some(TableError::Checksum));
    assert_eq!(broken(&|table| table.clear()), Some(TableError::Signature));
    let mut old = mpam();
    old[8] = 0;
    assert_eq!(MpamTable::parse(&resum(old)).err(), Some(TableError::Revision));
}

#[test]
fn lengths_and_counts_that_leave_the_table_are_refused() {
    for (offset, value) in
        [(36, 71), (37, 0xff), (36 + 68, 2), (36 + 71, 0xff), (36 + 72 + 20, 1), (36 + 72 + 23, 0xff)]
    {
        let mut table = mpam();
        table[offset] = value;
        assert_eq!(MpamTable::parse(&resum(table)).err(), Some(TableError::Node), "byte {offset}");
    }
}

#[test]
fn a_cache_that_is_its_own_next_level_is_refused() {
    let mut table = pptt();
    // The second node, behind the package, is the first level 3 cache.
    let offset = 36 + 20;
    table[offset + 8..offset + 12].copy_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
    assert_eq!(Caches::parse(&resum(table), CPUS, &processor).err(), Some(TableError::Reference));
}

#[test]
fn a_node_that_contains_itself_is_refused() {
    let mut table = pptt();
    table[36 + 8..36 + 12].copy_from_slice(&36_u32.to_le_bytes());
    assert_eq!(Caches::parse(&resum(table), CPUS, &processor).err(), Some(TableError::Reference));
}

/// A HMAT of these structures: type, claimed length, and the bytes behind them.
fn hmat(structures: &[(u16, u32, Vec<u8>)]) -> Vec<u8> {
    let mut table = b"HMAT".to_vec();
    table.resize(40, 0);
    for (kind, length, body) in structures {
        table.extend(kind.to_le_bytes());
        table.extend([0; 2]);
        table.extend(length.to_le_bytes());
        table.extend(body);
    }
    let length = u32::try_from(table.len()).unwrap();
    table[4..8].copy_from_slice(&length.to_le_bytes());
    table[8] = 2;
    resum(table)
}

#[test]
fn a_memory_side_cache_is_one_with_levels() {
    let cache = |levels| {
        let mut body = vec![0; 24];
        body[16] = levels;
        (2, 32, body)
    };
    let other = (1, 12, vec![0xff; 4]);
    assert_eq!(has_memory_side_cache(&hmat(&[])), Ok(false));
    assert_eq!(has_memory_side_cache(&hmat(&[other.clone(), cache(0x10)])), Ok(false));
    assert_eq!(has_memory_side_cache(&hmat(&[other.clone(), cache(0x11), other])), Ok(true));
}

#[test]
fn a_structure_of_the_hmat_that_is_too_short_or_too_long_is_refused() {
    for length in [0, 8, 31, 33, u32::MAX] {
        assert_eq!(has_memory_side_cache(&hmat(&[(2, length, vec![0; 24])])), Err(TableError::Node), "{length}");
    }
    assert_eq!(has_memory_side_cache(&mpam()), Err(TableError::Signature));
}

/// Everything a table can be asked.
fn exercise(bytes: &[u8]) {
    let _ = has_memory_side_cache(bytes);
    if let Ok(table) = MpamTable::parse(bytes) {
        for msc in table.mscs() {
            assert!(msc.resources().all(|resource| resource.is_ok()));
        }
    }
    if let Ok(caches) = Caches::parse(bytes, CPUS, &processor) {
        for cache in caches.caches() {
            assert!(!cache.cpus.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(
        signature in prop_oneof![Just(*b"MPAM"), Just(*b"PPTT")],
        mut body in prop::collection::vec(any::<u8>(), 32..400),
    ) {
        let length = u32::try_from(body.len() + 4).unwrap();
        body[..4].copy_from_slice(&length.to_le_bytes());
        body[4] = 3;
        exercise(&resum([&signature[..], &body].concat()));
    }

    #[test]
    fn no_change_of_a_good_table_makes_the_parsers_panic(
        which in any::<bool>(),
        changes in prop::collection::vec((36_usize..400, any::<u8>()), 1..8),
        cut in any::<Option<u16>>(),
    ) {
        let mut table = if which { mpam() } else { pptt() };
        for (offset, value) in changes {
            if let Some(byte) = table.get_mut(offset) {
                *byte = value;
            }
        }
        let mut table = resum(table);
        if let Some(cut) = cut {
            table.truncate(usize::from(cut));
        }
        exercise(&table);
    }
}

#[test]
fn caches_survive_every_single_byte_change() {
    let good = pptt().into_boxed_slice();
    for offset in 0..good.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut table: Box<[u8]> = good.clone();
            table[offset] = value;
            exercise(&resum(table.into_vec()));
        }
    }
}
