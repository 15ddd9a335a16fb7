// SPDX-License-Identifier: GPL-2.0-only
//! An MSC that says anything, and watches what it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use resctrl_hardware::mpam::registers as hw;
use resctrl_mpam::Msc;
use resctrl_types::Here;

/// Bytes of the identification registers of one resource instance.
const INSTANCE: usize = 0x100;

/// What an MSC says of itself: the identification registers of its resource instances, one after another, and over again.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    bytes: Vec<u8>,
    /// Bits of the numbers of monitors that count: state is kept of each, and looking after very many takes long.
    monitor_bits: u32,
}

/// [`Identity::monitor_bits`] of inputs.
const FEW_MONITORS: u32 = 0x3ff;

impl Identity {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let bytes = if bytes.is_empty() { vec![0] } else { bytes.to_vec() };
        Identity { bytes, monitor_bits: FEW_MONITORS }
    }

    /// One resource instance that has nearly everything.
    pub(crate) fn good() -> Self {
        let mut bytes = vec![0; INSTANCE];
        let mut put = |offset: u32, value: u64| {
            let offset = usize::try_from(offset).expect("an offset");
            bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        };
        // 16 PARTIDs, 4 PMGs; all of partitioning, monitors, errors.
        put(hw::Idr::OFFSET, 0x0000_0080_5f03_000f);
        put(hw::Aidr::OFFSET, 0x11);
        put(hw::CporIdr::OFFSET, 16);
        put(hw::CcapIdr::OFFSET, 0xb000_0808);
        put(hw::MbwIdr::OFFSET, 0x0010_3c08);
        put(hw::PriIdr::OFFSET, 0x0041_0041);
        put(hw::MsmonIdr::OFFSET, 0x3_0000);
        put(hw::CsumonIdr::OFFSET, 4);
        put(hw::MbwumonIdr::OFFSET, 4);
        Identity { bytes, monitor_bits: FEW_MONITORS }
    }

    /// Two such instances, which narrow PARTIDs.
    pub(crate) fn narrowing() -> Self {
        let mut bytes = Self::good().bytes;
        bytes[3] |= 1 << 7;
        // Instances can be selected, 1 is the last.
        bytes[4] |= 1;
        bytes[7] = 1;
        let largest = usize::try_from(hw::PartidNrwIdr::OFFSET).expect("an offset");
        bytes[largest] = 7;
        Identity { bytes: [bytes.clone(), bytes].concat(), monitor_bits: FEW_MONITORS }
    }

    /// Everything, and as much of it as the fields have room for.
    #[cfg(test)]
    pub(crate) fn largest() -> Self {
        let mut bytes = vec![0xff; INSTANCE];
        let version = usize::try_from(hw::Aidr::OFFSET).expect("an offset");
        bytes[version] = 0x11;
        // The most cache portions that there are registers for.
        let portions = usize::try_from(hw::CporIdr::OFFSET).expect("an offset");
        bytes[portions..portions + 2].copy_from_slice(&0x8000_u16.to_le_bytes());
        Identity { bytes, monitor_bits: 0xffff }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn word(&self, ris: u32, offset: u32) -> u32 {
        let at = usize::try_from(ris).expect("small") * INSTANCE + usize::try_from(offset).expect("small");
        let byte = |number| self.bytes[(at + number) % self.bytes.len()];
        let word = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]);
        match offset {
            hw::CsumonIdr::OFFSET | hw::MbwumonIdr::OFFSET => word & (self.monitor_bits | 0xffff_0000),
            _ => word,
        }
    }

    fn register(&self, ris: u32, offset: u32) -> u64 {
        u64::from(self.word(ris, offset)) | u64::from(self.word(ris, offset + 4)) << 32
    }

    /// `MPAMF_IDR`, with the upper half only where it exists.
    fn idr(&self, ris: u32) -> u64 {
        let low = u64::from(self.word(ris, hw::Idr::OFFSET));
        if hw::Idr::EXT.get(low) != 0 { self.register(ris, hw::Idr::OFFSET) } else { low }
    }

    fn ris_max(&self) -> u32 {
        let idr = self.idr(0);
        if hw::Idr::HAS_RIS.get(idr) != 0 { number(hw::Idr::RIS_MAX.get(idr)) } else { 0 }
    }

    /// How many monitors a resource instance has, of either kind.
    fn monitors(&self, ris: u32) -> u32 {
        let count = |offset| self.word(ris, offset) & 0xffff;
        count(hw::CsumonIdr::OFFSET).max(count(hw::MbwumonIdr::OFFSET))
    }
}

fn number(value: u64) -> u32 {
    u32::try_from(value).expect("a field of 32 bits at most")
}

#[derive(Debug, Default)]
struct State {
    part: u32,
    monitor: u32,
    /// By selector, offset.
    written: BTreeMap<(u32, u32), u32>,
    reads: u32,
}

/// The registers of such an MSC.
#[derive(Clone, Debug)]
pub(crate) struct FuzzMsc {
    identity: Identity,
    state: Arc<Mutex<State>>,
}

impl FuzzMsc {
    pub(crate) fn new(identity: Identity) -> Self {
        FuzzMsc { identity, state: Arc::default() }
    }

    /// The selected resource instance.
    fn ris(&self, selector: u32) -> u32 {
        let ris = number(hw::PartSel::RIS.get(selector.into()));
        assert!(ris <= self.identity.ris_max(), "resource instance {ris} does not exist");
        ris
    }

    fn check_part(&self, selector: u32) {
        let ris = self.ris(selector);
        let idr = self.identity.idr(ris);
        let partid = hw::PartSel::PARTID_SEL.get(selector.into());
        if hw::PartSel::INTERNAL.get(selector.into()) != 0 {
            assert!(hw::Idr::HAS_PARTID_NRW.get(idr) != 0, "no internal PARTIDs");
            let largest = hw::PartidNrwIdr::INTPARTID_MAX.get(self.identity.register(ris, hw::PartidNrwIdr::OFFSET));
            assert!(partid <= largest, "internal PARTID {partid} of {largest}");
        } else {
            let largest = hw::Idr::PARTID_MAX.get(idr);
            assert!(partid <= largest, "PARTID {partid} of {largest}");
        }
    }

    fn check_monitor(&self, selector: u32) {
        let ris = self.ris(selector);
        let (monitor, count) = (selector & 0xffff, self.identity.monitors(ris));
        assert!(monitor < count, "monitor {monitor} of {count}");
    }

    /// That a bit map has this word.
    fn check_word(&self, part: u32, word: u32, width: (u32, hw::Bits)) {
        let bits = number(width.1.get(self.identity.register(self.ris(part), width.0)));
        assert!(word < bits.div_ceil(32), "word {word} of a bit map of {bits} bits");
    }
}

/// Whether a register is about the selected monitor, not the selected PARTID.
fn is_monitors(offset: u32) -> bool {
    (hw::MonSel::OFFSET..hw::Cpbm::OFFSET).contains(&offset)
}

impl Msc for FuzzMsc {
    fn read32(&self, _: Here<'_>, offset: u32) -> u32 {
        assert!(offset < hw::PAGE_SIZE && offset.is_multiple_of(4), "read at {offset:#x}");
        let mut state = self.state.lock().expect("no other user panicked");
        if offset < hw::Ecr::OFFSET {
            return self.identity.word(self.ris(state.part), offset);
        }
        // What hardware may change is now what was written, now something else.
        state.reads = state.reads.wrapping_add(1);
        let noise = self.identity.word(state.reads, offset & 0xfc);
        let selector = if is_monitors(offset) { state.monitor } else { state.part };
        match state.written.get(&(selector, offset)) {
            Some(&value) if noise & 3 != 0 => value,
            _ => noise,
        }
    }

    fn write32(&self, _: Here<'_>, offset: u32, value: u32) {
        assert!(offset < hw::PAGE_SIZE && offset.is_multiple_of(4), "write at {offset:#x}");
        assert!(offset >= hw::Ecr::OFFSET, "write to the read-only register at {offset:#x}");
        let mut state = self.state.lock().expect("no other user panicked");
        match offset {
            hw::PartSel::OFFSET => {
                self.check_part(value);
                state.part = value;
            }
            hw::MonSel::OFFSET => {
                self.check_monitor(value);
                state.monitor = value;
            }
            hw::MbwPbm::OFFSET.. => {
                let width = (hw::MbwIdr::OFFSET, hw::MbwIdr::BWPBM_WD);
                self.check_word(state.part, (offset - hw::MbwPbm::OFFSET) / 4, width);
            }
            hw::Cpbm::OFFSET.. => {
                let width = (hw::CporIdr::OFFSET, hw::CporIdr::CPBM_WD);
                self.check_word(state.part, (offset - hw::Cpbm::OFFSET) / 4, width);
            }
            _ => {}
        }
        let selector = if is_monitors(offset) { state.monitor } else { state.part };
        state.written.insert((selector, offset), value);
    }
}
