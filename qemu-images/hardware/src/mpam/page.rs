// SPDX-License-Identifier: GPL-2.0-only
//! A copy of an MSC's registers in plain memory.
//!
//! Where the page of an MSC is memory of a guest, a load reads memory, not registers. So the memory is kept equal to what
//! a load would read at this moment: after each store, and when somebody else changes the registers.

use super::registers::{
    Aidr, Cassoc, CcapIdr, Cmax, Cmin, Cpbm, CporIdr, Csu, CsuCapture, CsuCtl, CsuFlt, CsumonIdr, Ecr, Esr, Idr, Iidr,
    Intpartid, MbwIdr, MbwMax, MbwMin, MbwPbm, MbwProp, MbwWinwd, Mbwu, MbwuCapture, MbwuFlt, MbwuLong,
    MbwuLongCapture, MbwumonIdr, MonCtl, MonSel, MsmonIdr, PAGE_SIZE, PartSel, PartidNrwIdr, Pri, PriIdr,
};
use super::{Msc, MscConfig};

/// Registers of one or two words that do not always read as zero.
const SINGLE: [(u32, u32); 34] = [
    (Idr::OFFSET, 2),
    (Iidr::OFFSET, 1),
    (Aidr::OFFSET, 1),
    (CporIdr::OFFSET, 1),
    (CcapIdr::OFFSET, 1),
    (MbwIdr::OFFSET, 1),
    (PriIdr::OFFSET, 1),
    (PartidNrwIdr::OFFSET, 1),
    (MsmonIdr::OFFSET, 1),
    (CsumonIdr::OFFSET, 1),
    (MbwumonIdr::OFFSET, 1),
    (Ecr::OFFSET, 1),
    (Esr::OFFSET, 2),
    (PartSel::OFFSET, 1),
    (Cmax::OFFSET, 1),
    (Cmin::OFFSET, 1),
    (Cassoc::OFFSET, 1),
    (MbwMin::OFFSET, 1),
    (MbwMax::OFFSET, 1),
    (MbwWinwd::OFFSET, 1),
    (Pri::OFFSET, 1),
    (MbwProp::OFFSET, 1),
    (Intpartid::OFFSET, 1),
    (MonSel::OFFSET, 1),
    (CsuFlt::OFFSET, 1),
    (CsuCtl::OFFSET, 1),
    (MbwuFlt::OFFSET, 1),
    (MonCtl::OFFSET, 1),
    (Csu::OFFSET, 1),
    (CsuCapture::OFFSET, 1),
    (Mbwu::OFFSET, 1),
    (MbwuCapture::OFFSET, 1),
    (MbwuLong::OFFSET, 2),
    (MbwuLongCapture::OFFSET, 2),
];

/// The memory of one MSC.
#[derive(Clone, Debug)]
pub struct Page {
    words: Vec<u32>,
    /// Offsets of words that can read as something else than zero.
    live: Vec<u32>,
}

impl Page {
    /// Memory that is all zeros, for an MSC of this make.
    #[must_use]
    pub fn new(config: &MscConfig) -> Self {
        let words = |bits: u32| bits.div_ceil(32);
        let portions = config.ris.iter().map(|ris| words(ris.cpor_bits)).max().unwrap_or(0);
        let bandwidth =
            config.ris.iter().filter_map(|ris| ris.bandwidth).map(|bandwidth| words(bandwidth.portion_bits));
        let arrays = [(Cpbm::OFFSET, portions), (MbwPbm::OFFSET, bandwidth.max().unwrap_or(0))];
        let live = SINGLE.into_iter().chain(arrays).flat_map(|(start, count)| (0..count).map(move |n| start + n * 4));
        Page { words: vec![0; PAGE_SIZE as usize / 4], live: live.collect() }
    }

    /// Offsets of the words that can read as something else than zero.
    #[must_use]
    pub fn live(&self) -> &[u32] {
        &self.live
    }

    /// Memory was written to, by a store that knows nothing of registers.
    pub fn stored(&mut self, offset: u32, value: u32) {
        if let Some(word) = self.words.get_mut(offset as usize / 4) {
            *word = value;
        }
    }

    /// The words that differ from what a load would read now, with the value they should have: offsets and values. They
    /// count as written back.
    pub fn refresh(&mut self, msc: &Msc, also: u32, now: u64) -> Vec<(u32, u32)> {
        let also = also & !3;
        // Beyond the registers nothing is remembered, so whatever was stored there is taken back at once.
        let mut changes: Vec<_> = (also >= PAGE_SIZE).then_some((also, 0)).into_iter().collect();
        for &offset in self.live.iter().chain((also < PAGE_SIZE).then_some(&also)) {
            let value = msc.peek32(offset, now);
            let word = &mut self.words[offset as usize / 4];
            if *word != value {
                *word = value;
                changes.push((offset, value));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mpam::{BandwidthMonitors, CounterWidth, NotReady, RisConfig};

    fn pair() -> (Msc, Page) {
        let traffic = BandwidthMonitors {
            count: 2,
            width: CounterWidth::Bits63,
            direction: true,
            capture: true,
            not_ready: NotReady::Unmanaged,
            bytes_per_count: 1,
        };
        let config = MscConfig::new(vec![RisConfig { cpor_bits: 40, traffic: Some(traffic), ..RisConfig::new(7, 1) }]);
        let mut page = Page::new(&config);
        let msc = Msc::new(config);
        page.refresh(&msc, 0, 0);
        (msc, page)
    }

    /// A store as a guest makes it: memory first, then the register.
    fn store(msc: &mut Msc, page: &mut Page, offset: u32, value: u32) -> Vec<(u32, u32)> {
        page.stored(offset, value);
        msc.write32(offset, value, 0);
        page.refresh(msc, offset, 0)
    }

    fn agree(msc: &Msc, page: &Page) {
        for offset in (0..PAGE_SIZE).step_by(4) {
            assert_eq!(page.words[offset as usize / 4], msc.peek32(offset, 0), "{offset:#x}");
        }
    }

    #[test]
    fn every_word_reads_as_its_register_whatever_is_stored_anywhere() {
        let (mut msc, mut page) = pair();
        agree(&msc, &page);
        let mut seed = 12345_u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for _ in 0..2000 {
            let selectors = [PartSel::OFFSET, MonSel::OFFSET, MonCtl::OFFSET, MbwuFlt::OFFSET, MbwuLong::OFFSET];
            let offset = match random() % 3 {
                0 => (random() % PAGE_SIZE) & !3,
                _ => selectors[random() as usize % selectors.len()],
            };
            let value = (random() % 16) | ((random() & 1) << 31);
            store(&mut msc, &mut page, offset, value);
        }
        agree(&msc, &page);
    }

    #[test]
    fn a_read_only_word_is_put_back_and_a_selection_changes_what_it_selects() {
        let (mut msc, mut page) = pair();
        assert_eq!(store(&mut msc, &mut page, Iidr::OFFSET, 7), [(Iidr::OFFSET, msc.peek32(Iidr::OFFSET, 0))]);
        // PARTID 0 is open after reset, PARTID 3 is not.
        let changes = store(&mut msc, &mut page, PartSel::OFFSET, 3);
        assert!(changes.contains(&(Cpbm::OFFSET, 0)) && changes.contains(&(Cpbm::OFFSET + 4, 0)), "{changes:x?}");
        assert_eq!(store(&mut msc, &mut page, Cpbm::OFFSET, 0xff), []);
    }

    #[test]
    fn nothing_stays_beyond_the_registers() {
        let (mut msc, mut page) = pair();
        page.stored(0x4000, 1);
        assert_eq!(page.refresh(&msc, 0x4000, 0), [(0x4000, 0)]);
        assert_eq!(store(&mut msc, &mut page, PAGE_SIZE, 1), [(PAGE_SIZE, 0)]);
        assert_eq!(store(&mut msc, &mut page, PAGE_SIZE - 4, 1), [(PAGE_SIZE - 4, 0)]);
        assert_eq!(store(&mut msc, &mut page, 0x700, 5), [(0x700, 0)]);
    }
}
