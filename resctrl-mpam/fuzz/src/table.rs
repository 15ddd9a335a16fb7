// SPDX-License-Identifier: GPL-2.0-only
//! The firmware's tables: good ones, and any.

use resctrl_hardware::mpam::firmware::{self, Cache, Cluster, Interrupt, Locator, Node, Processor, Resource};

/// CPUs of every machine. All share one level 3 cache.
pub(crate) const CPUS: u32 = 2;

/// Id of that cache.
pub(crate) const L3: u32 = 7;

/// Id of the first level 2 cache, of which each CPU has its own.
const L2: u32 = 20;

const L3_SIZE: u32 = 8 << 20;
const L2_SIZE: u32 = 1 << 20;
const CONTAINER: u32 = 100;

/// MPAM, PPTT and HMAT.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) mpam: Vec<u8>,
    pub(crate) pptt: Vec<u8>,
    pub(crate) hmat: Vec<u8>,
}

/// What comes in front of the tables in an input: which of them get a good signature, length and checksum (one bit each),
/// and the lengths of the first two.
const PREFIX: usize = 5;

impl Tables {
    /// One level 3 cache, with an MSC, and memory with one that only the cache's CPUs reach, which are all.
    pub(crate) fn good() -> Tables {
        let cluster = Cluster {
            uid: CONTAINER,
            l3: Some(Cache { id: L3, size: L3_SIZE, ways: 16 }),
            l2: (0..CPUS).map(|cpu| Cache { id: L2 + cpu, size: L2_SIZE, ways: 8 }).collect(),
            parts: Vec::new(),
            processors: (0..CPUS).zip(0..).map(|(uid, l2)| Processor { uid, l2: Some(l2), part: None }).collect(),
        };
        let node = |id, container, locator| Node {
            id,
            address: 0x1_0000_0000 + u64::from(id) * 0x1_0000,
            size: 0x1_0000,
            overflow: Interrupt::default(),
            error: Interrupt { number: 40 + id, flags: 0 },
            not_ready_us: 10,
            container,
            resources: vec![Resource { ris: 0, locator }],
        };
        let mut hmat = b"HMAT".to_vec();
        hmat.resize(40, 0);
        Tables {
            mpam: firmware::mpam(&[node(0, None, Locator::Cache(L3)), node(1, Some(CONTAINER), Locator::Memory(0))]),
            pptt: firmware::pptt(&[cluster]),
            hmat: finished(hmat, *b"HMAT", 2),
        }
    }

    pub(crate) fn from_bytes(data: &[u8]) -> Tables {
        let mut prefix = [0; PREFIX];
        let (head, rest) = data.split_at(data.len().min(PREFIX));
        prefix[..head.len()].copy_from_slice(head);
        let length = |at: usize| usize::from(u16::from_le_bytes([prefix[at], prefix[at + 1]]));
        let (mpam, rest) = rest.split_at(length(1).min(rest.len()));
        let (pptt, hmat) = rest.split_at(length(3).min(rest.len()));
        let table = |bit: u8, bytes: &[u8], signature, revision| {
            if prefix[0] >> bit & 1 == 1 { finished(bytes.to_vec(), signature, revision) } else { bytes.to_vec() }
        };
        Tables {
            mpam: table(0, mpam, *b"MPAM", 1),
            pptt: table(1, pptt, *b"PPTT", 3),
            hmat: table(2, hmat, *b"HMAT", 2),
        }
    }

    /// The input that makes these tables.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let length = |table: &[u8]| u16::try_from(table.len()).expect("a small table").to_le_bytes();
        [&[7][..], &length(&self.mpam), &length(&self.pptt), &self.mpam, &self.pptt, &self.hmat].concat()
    }
}

/// Gives a table a good header, so that the parsers look at what is behind it.
fn finished(mut table: Vec<u8>, signature: [u8; 4], revision: u8) -> Vec<u8> {
    if table.len() < 36 {
        table.resize(36, 0);
    }
    let length = u32::try_from(table.len()).expect("a small table");
    table[..4].copy_from_slice(&signature);
    table[4..8].copy_from_slice(&length.to_le_bytes());
    table[8] = revision;
    table[9] = 0;
    table[9] = table.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
    table
}
