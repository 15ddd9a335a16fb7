// SPDX-License-Identifier: GPL-2.0-only
extern crate std;
use super::*;
use crate::text::{Bytes, TextOut};
use proptest::prelude::*;
use resctrl_types::resource::Scope;
use resctrl_types::{ConfType, ResourceId};
use std::format;
use std::string::String;
use std::vec::Vec;

const L3: SchemaId = SchemaId { resource: ResourceId::L3, conf_type: ConfType::Both };
const MB: SchemaId = SchemaId { resource: ResourceId::Mb, conf_type: ConfType::Both };
const CACHE: CacheControl = CacheControl { cbm_len: 12, min_cbm_bits: 1, shareable_bits: 0, sparse_masks: false };
const BANDWIDTH: BandwidthControl = BandwidthControl {
    min_bw: 10,
    max_bw: 100,
    bw_gran: 10,
    delay_linear: true,
    needs_linear: true,
    throttle_mode: None,
};

/// A group on a machine with domains 0, 2 and 4; others use the high bits of domain 2.
struct Fake {
    mode: Mode,
    cache: CacheControl,
    bandwidth: BandwidthControl,
    mba_sc: bool,
    theirs: Overlap,
    /// The bits of domain 1 that a region is in.
    locked: u32,
    targets: Vec<(usize, u32)>,
}

const SHARER: Fake = Fake {
    mode: Mode::SHAREABLE,
    cache: CACHE,
    bandwidth: BANDWIDTH,
    mba_sc: false,
    theirs: Overlap::Shared,
    locked: 0,
    targets: Vec::new(),
};

impl Group for Fake {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn schema(&self, name: &[u8]) -> Option<(SchemaId, Control)> {
        let control = |scope, kind| Control { scope, num_closid: 4, cdp_capable: false, kind };
        match name {
            b"L3" => Some((L3, control(Scope::L3Cache, ControlKind::Cache(self.cache)))),
            b"MB" => Some((MB, control(Scope::L3Cache, ControlKind::Bandwidth(self.bandwidth)))),
            _ => None,
        }
    }

    fn domain(&self, _: SchemaId, id: u64) -> Option<(usize, DomainId)> {
        let place = [0, 2, 4].iter().position(|&domain| domain == id)?;
        Some((place, DomainId(u32::try_from(id).ok()?)))
    }

    fn domain_at(&self, _: SchemaId, place: usize) -> Option<DomainId> {
        [0, 2, 4].get(place).map(|&id| DomainId(id))
    }

    fn overlap(&self, _: SchemaId, domain: usize, mask: u32) -> Overlap {
        if domain == 1 && mask & 0xf00 != 0 { self.theirs } else { Overlap::None }
    }

    fn locked_bits(&self, _: SchemaId, domain: usize) -> u32 {
        if domain == 1 { self.locked } else { 0 }
    }

    fn beside_region(&self, schema: SchemaId, domain: usize) -> bool {
        self.locked_bits(schema, domain) != 0
    }

    fn share_cpus(&self, one: (SchemaId, usize), other: (SchemaId, usize)) -> bool {
        one.1 == other.1
    }

    fn has_targets(&self, schema: SchemaId) -> bool {
        self.mba_sc && schema == MB
    }

    fn set_target(&mut self, _: SchemaId, domain: usize, mbps: u32) {
        self.targets.push((domain, mbps));
    }
}

struct Text(Vec<u8>);
impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.bytes(Bytes(text.as_bytes()))
    }
}
impl TextOut for Text {
    fn bytes(&mut self, bytes: Bytes<'_>) -> core::fmt::Result {
        self.0.extend(bytes.0);
        Ok(())
    }
}

/// What stands in the status after a mistake.
fn said(mistake: Mistake<'_>) -> Vec<u8> {
    let mut status = Status::new();
    assert_eq!(mistake.report(&mut status).errno(), Errno::EINVAL);
    let mut text = Text(Vec::new());
    status.show(&mut text).unwrap();
    text.0
}

fn staged(mut group: Fake, written: &[u8]) -> Result<Vec<(SchemaId, usize, u32)>, Vec<u8>> {
    let staged = text(&mut group, written).map_err(said)?;
    Ok(staged.iter().map(|staged| (staged.schema, staged.domain, staged.value)).collect())
}

#[track_caller]
fn refuses(group: Fake, written: &[u8], words: &[u8]) {
    let refusal = staged(group, written).expect_err("a mistake");
    assert_eq!(String::from_utf8_lossy(&refusal), String::from_utf8_lossy(words));
}

#[test]
fn entries_are_staged_in_the_order_of_the_text() {
    let all = staged(SHARER, b" L3 :4=f;0= ff0 \nMB:2=50;").unwrap();
    assert_eq!(all, [(L3, 2, 0xf), (L3, 0, 0xff0), (MB, 1, 50)]);
}

#[test]
fn ids_and_values_may_have_a_sign_and_a_prefix() {
    assert_eq!(staged(SHARER, b"L3:+0=0xF;02=+3").unwrap(), [(L3, 0, 0xf), (L3, 1, 3)]);
}

#[test]
fn the_first_mistake_of_a_text_is_named() {
    let table: &[(&[u8], &[u8])] = &[
        (b"", b"Missing ':'\n"),
        (b"L3", b"Missing ':'\n"),
        (b"L3:0=1\n", b"Missing ':'\n"),
        (b"\nL3:0=1", b"Missing ':'\n"),
        (b" L3 :", b"Missing 'L3' value\n"),
        (b"L4\xff :", b"Missing 'L4\xff' value\n"),
        (b"l3:0=1", b"Unknown or unsupported resource name 'l3'\n"),
        (b":0=1", b"Unknown or unsupported resource name ''\n"),
        (b"L3: ", b"Missing '=' or non-numeric domain\n"),
        (b"L3:;", b"Missing '=' or non-numeric domain\n"),
        (b"L3:0=1;;2=1", b"Missing '=' or non-numeric domain\n"),
        (b"L3:0=1; 2=1", b"Missing '=' or non-numeric domain\n"),
        (b"L3:0 =1", b"Missing '=' or non-numeric domain\n"),
        (b"L3:x=1", b"Missing '=' or non-numeric domain\n"),
        (b"L3:99999999999999999999=1", b"Missing '=' or non-numeric domain\n"),
        (b"L3:1=1", b"Invalid domain 1\n"),
        (b"L3:4294967296=1", b"Invalid domain 4294967296\n"),
        (b"L3:1=zz", b"Invalid domain 1\n"),
        (b"L3:0=1;0=zz", b"Duplicate domain 0\n"),
        (b"L3:2=1\nMB:2=10\nL3:2=1", b"Duplicate domain 2\n"),
        (b"MB:0=10;0=x", b"Duplicate domain 0\n"),
    ];
    for &(written, words) in table {
        refuses(SHARER, written, words);
    }
}

#[test]
fn a_mask_is_checked_for_form_range_gaps_and_length_in_this_order() {
    let table: &[(&[u8], &[u8])] = &[
        (b"", b"Non-hex character in the mask \n"),
        (b"g\xfe", b"Non-hex character in the mask g\xfe\n"),
        (b"1=2", b"Non-hex character in the mask 1=2\n"),
        (b"-1", b"Non-hex character in the mask -1\n"),
        (b"10000000000000000", b"Non-hex character in the mask 10000000000000000\n"),
        (b"0", b"Mask out of range\n"),
        (b"1000", b"Mask out of range\n"),
        (b"100000000", b"Mask out of range\n"),
        (b"5", b"The mask 5 has non-consecutive 1-bits\n"),
        (b"0xAB", b"The mask ab has non-consecutive 1-bits\n"),
    ];
    for &(value, words) in table {
        refuses(SHARER, &[b"L3:0=", value].concat(), words);
    }
    let haswell = || Fake { cache: CacheControl { min_cbm_bits: 2, ..CACHE }, ..SHARER };
    refuses(haswell(), b"L3:0=1", b"Need at least 2 bits in the mask\n");
    refuses(haswell(), b"L3:0=5", b"The mask 5 has non-consecutive 1-bits\n");
    assert_eq!(staged(haswell(), b"L3:0=3").unwrap(), [(L3, 0, 3)]);
}

#[test]
fn with_sparse_masks_only_the_lowest_run_must_be_long_enough() {
    let cache = CacheControl { sparse_masks: true, min_cbm_bits: 2, ..CACHE };
    assert_eq!(staged(Fake { cache, ..SHARER }, b"L3:0=83").unwrap(), [(L3, 0, 0x83)]);
    refuses(Fake { cache, ..SHARER }, b"L3:0=c1", b"Need at least 2 bits in the mask\n");
}

#[test]
fn the_empty_mask_is_legal_where_no_bit_is_needed() {
    let cache = CacheControl { sparse_masks: true, min_cbm_bits: 0, ..CACHE };
    assert_eq!(staged(Fake { cache, ..SHARER }, b"L3:0=0").unwrap(), [(L3, 0, 0)]);
}

#[test]
fn nobody_may_take_from_an_exclusive_group_and_an_exclusive_group_from_nobody() {
    let exclusive = || Fake { mode: Mode::Using(Sharing::Exclusive), ..SHARER };
    assert_eq!(staged(SHARER, b"L3:2=300").unwrap(), [(L3, 1, 0x300)]);
    refuses(exclusive(), b"L3:2=300", b"Overlaps with other group\n");
    refuses(Fake { theirs: Overlap::Exclusive, ..SHARER }, b"L3:2=300", b"Overlaps with exclusive group\n");
    refuses(Fake { theirs: Overlap::Exclusive, ..exclusive() }, b"L3:2=300", b"Overlaps with exclusive group\n");
    assert_eq!(staged(exclusive(), b"L3:2=ff").unwrap(), [(L3, 1, 0xff)]);
}

#[test]
fn bandwidth_is_checked_for_linearity_form_and_range_in_this_order() {
    let table: &[(&[u8], &[u8])] = &[
        (b"", b"Invalid MB value \n"),
        (b"1f", b"Invalid MB value 1f\n"),
        (b"0x10", b"Invalid MB value 0x10\n"),
        (b"4294967296", b"Invalid MB value 4294967296\n"),
        (b"9", b"MB value 9 out of range [10,100]\n"),
        (b"101", b"MB value 101 out of range [10,100]\n"),
    ];
    for &(value, words) in table {
        refuses(SHARER, &[b"MB:0=", value].concat(), words);
    }
    let bandwidth = BandwidthControl { delay_linear: false, ..BANDWIDTH };
    refuses(Fake { bandwidth, ..SHARER }, b"MB:0=x", b"No support for non-linear MB domains\n");
    let bandwidth = BandwidthControl { needs_linear: false, ..bandwidth };
    assert_eq!(staged(Fake { bandwidth, ..SHARER }, b"MB:0=20").unwrap(), [(MB, 0, 20)]);
}

#[test]
fn bandwidth_is_rounded_up_but_never_beyond_the_largest() {
    assert_eq!(staged(SHARER, b"MB:0=11;2=20;4=91").unwrap(), [(MB, 0, 20), (MB, 1, 20), (MB, 2, 100)]);
    let bandwidth = BandwidthControl { min_bw: 1, bw_gran: 7, ..BANDWIDTH };
    assert_eq!(staged(Fake { bandwidth, ..SHARER }, b"MB:0=99;2=1").unwrap(), [(MB, 0, 100), (MB, 1, 7)]);
    let bandwidth = BandwidthControl { min_bw: 0, max_bw: u32::MAX, bw_gran: 1000, ..BANDWIDTH };
    assert_eq!(staged(Fake { bandwidth, ..SHARER }, b"MB:0=4294967290").unwrap(), [(MB, 0, u32::MAX)]);
}

#[test]
fn targets_are_kept_at_once_whatever_follows() {
    let mut group = Fake { mba_sc: true, ..SHARER };
    let mistake = text(&mut group, b"MB:0=4294967295;2=7;0=1\nL3:0=1;0=1").expect_err("a mistake");
    assert_eq!(mistake, Mistake::DuplicateDomain(DomainId(0)));
    assert_eq!(group.targets, [(0, u32::MAX), (1, 7), (0, 1)]);
    assert!(text(&mut group, b"MB:4=5").unwrap().is_empty());
}

fn values() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    let mask = (0..12_u32, 1..12_u32).prop_map(|(shift, len)| (cbm::full(len) << shift & 0xfff).max(1 << shift));
    (prop::collection::vec(mask, 3), prop::collection::vec((1..=10_u32).prop_map(|tens| tens * 10), 3))
}

proptest! {
    #[test]
    fn what_is_shown_can_be_written_back((masks, amounts) in values(), width in 2..8_usize) {
        let [a, b, c] = masks[..] else { unreachable!() };
        let [d, e, f] = amounts[..] else { unreachable!() };
        let shown = format!("{:>width$}:0={d};2={e};4={f}\n{:>width$}:0={a:x};2={b:x};4={c:x}", "MB", "L3");
        let expected = [(MB, 0, d), (MB, 1, e), (MB, 2, f), (L3, 0, a), (L3, 1, b), (L3, 2, c)];
        prop_assert_eq!(staged(SHARER, shown.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_staged_of_a_random_text_is_legal_and_no_domain_is_staged_twice(
        lines in prop::collection::vec(line(), 1..4),
        sparse_masks in any::<bool>(),
    ) {
        let group = Fake { cache: CacheControl { sparse_masks, ..CACHE }, ..SHARER };
        let all = staged(group, lines.join("\n").as_bytes()).unwrap_or_default();
        for (at, &(schema, domain, value)) in all.iter().enumerate() {
            let legal = if schema == L3 {
                value != 0 && value <= 0xfff && (sparse_masks || cbm::is_contiguous(value))
            } else {
                value % 10 == 0 && (10..=100).contains(&value)
            };
            prop_assert!(domain < 3 && legal, "{:?} {}", schema, value);
            prop_assert!(all[..at].iter().all(|&(other, place, _)| (other, place) != (schema, domain)));
        }
    }

    #[test]
    fn any_bytes_are_staged_or_refused(
        written in prop::collection::vec(prop::sample::select(&b"L3MB:;=0248fFx+- \t\n\xff"[..]), 0..40),
    ) {
        let _ = staged(SHARER, &written);
    }
}

/// A line that is right as often as not.
fn line() -> impl Strategy<Value = String> {
    let id = prop::sample::select(&["0", "2", "4", "+4", "1", ""][..]);
    let value = prop::sample::select(&["f", "10", "20", "50", "3f", "100", "0", "7 ", "101", "z"][..]);
    let entry = (id, value).prop_map(|(id, value)| format!("{id}={value}"));
    let name = prop::sample::select(&["L3", "MB", " L3 ", "L2"][..]);
    (name, prop::collection::vec(entry, 1..3)).prop_map(|(name, entries)| format!("{name}:{}", entries.join(";")))
}

fn devices(written: &[u8]) -> Result<Vec<(usize, u32)>, Vec<u8>> {
    let staged = masks(&SHARER, L3, &CACHE, written).map_err(said)?;
    Ok(staged.iter().map(|staged| (staged.domain, staged.value)).collect())
}

#[test]
fn masks_of_devices_are_for_one_domain_after_another_or_for_all() {
    assert_eq!(devices(b""), Ok(Vec::new()));
    assert_eq!(devices(b"4=f;0= 3 ;"), Ok([(2, 0xf), (0, 3)].into()));
    assert_eq!(devices(b"*=7"), Ok([(0, 7), (1, 7), (2, 7)].into()));
    assert_eq!(devices(b"*=7;0=1"), Err(b"Configurations after global '*'\n".into()));
    assert_eq!(devices(b"2=7;*=7"), Err(b"Duplicate domain 2\n".into()));
    assert_eq!(devices(b"0=7;1=7"), Err(b"Invalid domain 1\n".into()));
    for bad in [&b"* =7"[..], b"*", b";", b"0 =7", b"7"] {
        assert_eq!(devices(bad), Err(b"Missing '=' or non-numeric domain\n".into()), "{bad:?}");
    }
}
