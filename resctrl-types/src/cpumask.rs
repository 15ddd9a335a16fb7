// SPDX-License-Identifier: GPL-2.0-only
//! Sets of CPUs: the kernel's `struct cpumask`, sized at run time.

use core::fmt;

use crate::bits;
use crate::errno::{Errno, Result};
use crate::ids::CpuId;
use crate::mem::KVec;

/// How many words a set has room for in itself: as many as take the place of a vector.
const FEW: usize = 3;

/// A set of CPUs out of `0..nr_cpu_ids`. Allocated once, if it is for more than 192; no operation but the constructors allocates.
#[derive(Debug)]
pub struct CpuMask {
    nr_cpu_ids: u32,
    words: Words,
}

#[derive(Debug)]
enum Words {
    Few([u64; FEW]),
    Many(KVec<u64>),
}

impl CpuMask {
    /// The empty set over `nr_cpu_ids` possible CPUs.
    ///
    /// # Errors
    /// `ENOMEM`.
    #[inline]
    pub fn new(nr_cpu_ids: u32) -> Result<Self> {
        let len = nr_cpu_ids.div_ceil(64) as usize;
        // Machines whose sets take memory are larger than those that are simulated: there a mood stands for that.
        if crate::mem::fails() {
            return Err(Errno::ENOMEM);
        }
        let words = if len <= FEW { Words::Few([0; FEW]) } else { Words::Many(KVec::from_fn(len, |_| 0)?) };
        Ok(CpuMask { nr_cpu_ids, words })
    }

    /// A copy.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn try_clone(&self) -> Result<Self> {
        let mut copy = CpuMask::new(self.nr_cpu_ids)?;
        copy.copy_from(self);
        Ok(copy)
    }

    /// How many CPU numbers the set can hold.
    #[must_use]
    pub const fn nr_cpu_ids(&self) -> u32 {
        self.nr_cpu_ids
    }

    /// The set as a bitmap: CPU `n` is bit `n % 64` of word `n / 64`; as many words as `nr_cpu_ids` bits need.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[u64] {
        match &self.words {
            Words::Few(few) => few.get(..self.nr_cpu_ids.div_ceil(64) as usize).unwrap_or_default(),
            Words::Many(many) => many,
        }
    }

    /// The same, to be changed: bits beyond the last CPU stay 0.
    #[inline]
    pub fn words_mut(&mut self) -> &mut [u64] {
        match &mut self.words {
            Words::Few(few) => few.get_mut(..self.nr_cpu_ids.div_ceil(64) as usize).unwrap_or_default(),
            Words::Many(many) => many,
        }
    }

    /// Adds `cpu`.
    ///
    /// # Errors
    /// `ERANGE` when `cpu` is not below `nr_cpu_ids`.
    #[inline]
    pub fn set(&mut self, cpu: CpuId) -> Result<()> {
        if cpu.0 >= self.nr_cpu_ids {
            return Err(Errno::ERANGE);
        }
        *self.words_mut().get_mut(cpu.index() / 64).ok_or(Errno::ERANGE)? |= 1 << (cpu.0 % 64);
        Ok(())
    }

    /// Removes `cpu`, if it is there.
    #[inline]
    pub fn clear(&mut self, cpu: CpuId) {
        if let Some(word) = self.words_mut().get_mut(cpu.index() / 64) {
            *word &= !(1 << (cpu.0 % 64));
        }
    }

    /// Whether `cpu` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, cpu: CpuId) -> bool {
        self.words().get(cpu.index() / 64).is_some_and(|word| word >> (cpu.0 % 64) & 1 == 1)
    }

    /// Removes every CPU.
    #[inline]
    pub fn clear_all(&mut self) {
        self.words_mut().fill(0);
    }

    /// Whether no CPU is in the set.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words().iter().all(|&word| word == 0)
    }

    /// How many CPUs are in the set.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.words().iter().fold(0, |sum, word| sum.saturating_add(word.count_ones()))
    }

    /// The CPU with the lowest number.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<CpuId> {
        self.first_from(0)
    }

    /// The CPU with the lowest number that is not below this.
    #[inline]
    fn first_from(&self, from: u32) -> Option<CpuId> {
        bits::first_from(self.words(), from).map(CpuId)
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        let mut next = self.first();
        core::iter::from_fn(move || {
            let cpu = next?;
            next = self.first_from(cpu.0.saturating_add(1));
            Some(cpu)
        })
    }

    /// The runs of CPUs that follow each other, the first and the last of each, in ascending order.
    pub fn runs(&self) -> impl Iterator<Item = (CpuId, CpuId)> + '_ {
        let mut next = self.first();
        core::iter::from_fn(move || {
            let first = next?;
            let mut last = first;
            loop {
                next = self.first_from(last.0.saturating_add(1));
                match next {
                    Some(cpu) if cpu.0 == last.0.saturating_add(1) => last = cpu,
                    _ => return Some((first, last)),
                }
            }
        })
    }

    /// Makes this set equal to `other`.
    #[inline]
    pub fn copy_from(&mut self, other: &CpuMask) {
        self.zip(other, |_, theirs| theirs);
    }

    /// Adds every CPU of `other`.
    #[inline]
    pub fn union_with(&mut self, other: &CpuMask) {
        self.zip(other, |ours, theirs| ours | theirs);
    }

    /// Removes every CPU that is not in `other`.
    #[inline]
    pub fn intersect_with(&mut self, other: &CpuMask) {
        self.zip(other, |ours, theirs| ours & theirs);
    }

    /// Removes every CPU of `other`.
    #[inline]
    pub fn subtract(&mut self, other: &CpuMask) {
        self.zip(other, |ours, theirs| ours & !theirs);
    }

    /// Whether every CPU of this set is in `other`.
    #[inline]
    #[must_use]
    pub fn is_subset(&self, other: &CpuMask) -> bool {
        self.words().iter().zip(other.words().iter()).all(|(ours, theirs)| ours & !theirs == 0)
    }

    /// Whether some CPU is in both sets.
    #[inline]
    #[must_use]
    pub fn intersects(&self, other: &CpuMask) -> bool {
        self.words().iter().zip(other.words().iter()).any(|(ours, theirs)| ours & theirs != 0)
    }

    #[inline]
    fn zip(&mut self, other: &CpuMask, combine: impl Fn(u64, u64) -> u64) {
        debug_assert_eq!(self.nr_cpu_ids, other.nr_cpu_ids);
        for (ours, &theirs) in self.words_mut().iter_mut().zip(other.words().iter()) {
            *ours = combine(*ours, theirs);
        }
    }

    /// The set as the kernel prints it with `%*pb`: hexadecimal, 32-bit chunks between commas, the most significant
    /// first, every chunk padded to its full width.
    #[must_use]
    pub fn hex(&self) -> HexMask<'_> {
        HexMask(self)
    }

    /// The set as the kernel prints it with `%*pbl`: `0-3,8`.
    #[must_use]
    pub fn list(&self) -> ListMask<'_> {
        ListMask(self)
    }
}

impl PartialEq for CpuMask {
    fn eq(&self, other: &Self) -> bool {
        self.words() == other.words()
    }
}

impl Eq for CpuMask {}

/// Prints a set in hexadecimal. Made by [`CpuMask::hex`].
pub struct HexMask<'a>(&'a CpuMask);

impl fmt::Display for HexMask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.nr_cpu_ids;
        for chunk in (0..bits.div_ceil(32)).rev() {
            let word = self.0.words().get(chunk as usize / 2).map_or(0, |word| word >> (chunk % 2 * 32) & 0xffff_ffff);
            let width = bits.saturating_sub(chunk.saturating_mul(32)).min(32).div_ceil(4) as usize;
            write!(f, "{word:0width$x}")?;
            if chunk > 0 {
                f.write_str(",")?;
            }
        }
        Ok(())
    }
}

/// Prints a set as ranges. Made by [`CpuMask::list`].
pub struct ListMask<'a>(&'a CpuMask);

impl fmt::Display for ListMask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (first, last) in self.0.runs() {
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    fn mask(bits: u32, cpus: &[u32]) -> CpuMask {
        let mut mask = CpuMask::new(bits).unwrap();
        for &cpu in cpus {
            mask.set(CpuId(cpu)).unwrap();
        }
        mask
    }

    #[test]
    fn hex_pads_each_chunk_to_its_width() {
        assert_eq!(mask(4, &[0, 1, 2, 3]).hex().to_string(), "f");
        assert_eq!(mask(6, &[0]).hex().to_string(), "01");
        assert_eq!(mask(36, &[0, 35]).hex().to_string(), "8,00000001");
        assert_eq!(mask(100, &[64]).hex().to_string(), "0,00000001,00000000,00000000");
    }

    #[test]
    fn a_cpu_that_both_sets_have_is_in_their_union() {
        let mut union = mask(70, &[1, 2, 65]);
        union.union_with(&mask(70, &[2, 3, 65]));
        assert_eq!(union.list().to_string(), "1-3,65");
    }

    #[test]
    fn list_joins_runs() {
        assert_eq!(mask(16, &[]).list().to_string(), "");
        assert_eq!(mask(16, &[0, 1, 2, 8]).list().to_string(), "0-2,8");
        assert_eq!(mask(70, &[63, 64, 69]).list().to_string(), "63-64,69");
    }

    #[test]
    fn sets_of_any_width_visit_their_cpus_in_order_and_once() {
        for bits in [1, 63, 64, 65, 128, 192, 193, 300] {
            let cpus: std::vec::Vec<u32> = (0..bits).filter(|cpu| cpu % 7 < 3 || *cpu == bits - 1).collect();
            let mask = mask(bits, &cpus);
            assert_eq!(mask.words().len(), bits.div_ceil(64) as usize);
            assert!(mask.iter().map(|cpu| cpu.0).eq(cpus.iter().copied()), "{bits}");
            assert_eq!(mask.first(), Some(CpuId(0)));
            let in_runs = mask.runs().flat_map(|(first, last)| first.0..=last.0);
            assert!(in_runs.eq(cpus.iter().copied()), "{bits}");
            assert!(mask.runs().zip(mask.runs().skip(1)).all(|((_, last), (next, _))| next.0 > last.0 + 1), "{bits}");
        }
        assert_eq!(mask(70, &[]).iter().next(), None);
    }

    #[test]
    fn a_cpu_beyond_the_width_is_refused_and_changes_nothing() {
        let mut mask = mask(6, &[5]);
        assert_eq!(mask.set(CpuId(6)), Err(Errno::ERANGE));
        mask.clear(CpuId(64));
        assert_eq!(mask.len(), 1);
    }

    #[test]
    fn set_algebra_works_word_by_word() {
        let mut a = mask(70, &[0, 1, 65]);
        let b = mask(70, &[1, 65, 69]);
        assert!(a.intersects(&b));
        assert!(!a.is_subset(&b));
        a.intersect_with(&b);
        assert_eq!(a, mask(70, &[1, 65]));
        assert!(a.is_subset(&b));
        a.union_with(&mask(70, &[3]));
        a.subtract(&b);
        assert_eq!(a, mask(70, &[3]));
    }

    #[test]
    fn a_set_is_changed_one_cpu_at_a_time_and_all_at_once() {
        let mut changed = mask(300, &[3, 64, 299]);
        changed.clear(CpuId(64));
        assert_eq!([3, 64, 299, 300].map(|cpu| changed.contains(CpuId(cpu))), [true, false, true, false]);
        assert_eq!((changed.len(), changed.is_empty(), changed.nr_cpu_ids()), (2, false, 300));
        let copy = changed.try_clone().unwrap();
        changed.clear_all();
        assert!(changed.is_empty() && changed.first().is_none() && changed != copy);
        assert_eq!(copy, mask(300, &[3, 299]));
        assert!(!changed.intersects(&copy) && changed.is_subset(&copy));
    }

    #[test]
    fn what_a_set_has_in_its_upper_half_words_is_printed_there() {
        assert_eq!(mask(64, &[32, 63]).hex().to_string(), "80000001,00000000");
        assert_eq!(mask(33, &[31, 32]).hex().to_string(), "1,80000000");
    }
}
