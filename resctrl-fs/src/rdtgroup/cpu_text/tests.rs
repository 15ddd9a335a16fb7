// SPDX-License-Identifier: GPL-2.0-only
extern crate std;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

type Parser = fn(&[u8], &mut CpuMask) -> Result<()>;

fn parsed(parser: Parser, width: u32, text: &[u8]) -> Result<Vec<u32>> {
    let mut mask = CpuMask::new(width).unwrap();
    parser(text, &mut mask)?;
    Ok(mask.iter().map(|cpu| cpu.0).collect())
}

#[track_caller]
fn is(parser: Parser, width: u32, text: &str, cpus: &[u32]) {
    assert_eq!(parsed(parser, width, text.as_bytes()).as_deref(), Ok(cpus), "{text:?}");
}

#[track_caller]
fn fails(parser: Parser, width: u32, errno: Errno, texts: &[&str]) {
    for text in texts {
        assert_eq!(parsed(parser, width, text.as_bytes()), Err(errno), "{text:?}");
    }
}

#[test]
fn a_mask_has_its_lowest_cpu_in_the_last_digit() {
    is(parse_mask, 8, "81\n", &[0, 7]);
    is(parse_mask, 40, "80,00000001", &[0, 39]);
    is(parse_mask, 40, "F", &[0, 1, 2, 3]);
}

#[test]
fn commas_cut_a_mask_into_chunks_of_32_bits_however_short() {
    is(parse_mask, 64, "1,1", &[0, 32]);
    is(parse_mask, 64, " ,1,,\t1 , ", &[0, 32]);
    is(parse_mask, 64, ",44", &[2, 6]);
}

#[test]
fn an_empty_mask_is_the_empty_set() {
    for text in ["", "\n", ",", " , \n"] {
        is(parse_mask, 8, text, &[]);
    }
}

#[test]
fn a_mask_ends_at_its_first_newline() {
    is(parse_mask, 8, "3\nrubbish", &[0, 1]);
    is(parse_mask, 8, "\n3", &[]);
}

#[test]
fn a_mask_too_wide_overflows() {
    fails(parse_mask, 8, Errno::EOVERFLOW, &["100", "1,0", "0,1", "000000001"]);
    fails(parse_mask, 32, Errno::EOVERFLOW, &["100000000", "0,ffffffff", "x,1"]);
    is(parse_mask, 32, "ffffffff", &(0..32).collect::<Vec<_>>());
}

#[test]
fn a_mask_of_other_digits_is_invalid() {
    fails(parse_mask, 64, Errno::EINVAL, &["x", "0x1", "1-3", "1,g", "g0"]);
}

#[test]
fn a_byte_in_front_of_eight_digits_is_skipped() {
    is(parse_mask, 8, "x0000000f", &[0, 1, 2, 3]);
    is(parse_mask, 64, "1x00000001", &[0, 32]);
    fails(parse_mask, 8, Errno::EINVAL, &["x000000f"]);
}

#[test]
fn a_list_is_made_of_numbers_ranges_and_patterns() {
    is(parse_list, 16, "0-3,8\n", &[0, 1, 2, 3, 8]);
    is(parse_list, 16, "15, 1\t,1", &[1, 15]);
    is(parse_list, 16, "0-N:2/8", &[0, 1, 8, 9]);
    is(parse_list, 16, "12-N", &[12, 13, 14, 15]);
    is(parse_list, 4, "all", &[0, 1, 2, 3]);
    is(parse_list, 4, "ALL:1/2", &[0, 2]);
    is(parse_list, 4, "N", &[3]);
    is(parse_list, 4, "0-3:0/1", &[]);
}

#[test]
fn an_empty_list_is_the_empty_set() {
    for text in ["", "\n", ",", " , \n\n"] {
        is(parse_list, 8, text, &[]);
    }
}

#[test]
fn a_list_ends_at_a_newline_behind_a_plain_region_only() {
    is(parse_list, 8, "1\n2", &[1]);
    is(parse_list, 8, "1 \n2", &[1, 2]);
    is(parse_list, 8, "\n2", &[2]);
    is(parse_list, 8, "0-1:1/2\n2", &[0, 2]);
}

#[test]
fn a_list_beyond_the_width_is_out_of_range() {
    fails(parse_list, 8, Errno::ERANGE, &["8", "0-8", "4294967294", "0-8:1/2"]);
}

#[test]
fn a_number_beyond_32_bits_overflows() {
    fails(parse_list, 8, Errno::EOVERFLOW, &["4294967296", "99999999999999999999999", "0-4294967296"]);
}

#[test]
fn a_malformed_list_is_invalid() {
    let texts = [
        "x",
        "-1",
        "1-",
        "3-1",
        "1--2",
        "1:1/2",
        "0-3:",
        "0-3:1",
        "0-3:2/1",
        "0-3:1/0",
        "0-3x",
        "0-3N",
        "1N",
        "1all",
        "alls",
        "0x1",
        "4294967295",
        "1;2",
    ];
    fails(parse_list, 8, Errno::EINVAL, &texts);
}

/// A region, and what it means.
fn region_strategy(width: u32) -> impl Strategy<Value = (String, BTreeSet<u32>)> {
    let range = (0..width, 0..width, prop::option::of((0..9_u32, 1..9_u32)), any::<bool>());
    range.prop_map(move |(a, b, pattern, single)| {
        let (first, last) = if single { (a, a) } else { (a.min(b), a.max(b)) };
        match pattern.filter(|_| !single) {
            Some((used, group)) => {
                let used = used.min(group);
                let cpus = (first..=last).filter(|cpu| (cpu - first) % group < used).collect();
                (format!("{first}-{last}:{used}/{group}"), cpus)
            }
            None if single => (first.to_string(), BTreeSet::from([first])),
            None => (format!("{first}-{last}"), (first..=last).collect()),
        }
    })
}

proptest! {
    #[test]
    fn what_is_shown_can_be_written_back(width in 1..200_u32, cpus in prop::collection::vec(any::<u32>(), 0..20)) {
        let mut mask = CpuMask::new(width).unwrap();
        for cpu in cpus {
            mask.set(CpuId(cpu % width)).unwrap();
        }
        let cpus: Vec<u32> = mask.iter().map(|cpu| cpu.0).collect();
        let (hex, list) = (format!("{}\n", mask.hex()), format!("{}\n", mask.list()));
        prop_assert_eq!(parsed(parse_mask, width, hex.as_bytes()), Ok(cpus.clone()));
        prop_assert_eq!(parsed(parse_list, width, list.as_bytes()), Ok(cpus));
    }

    #[test]
    fn a_list_is_the_union_of_its_regions(regions in prop::collection::vec(region_strategy(70), 0..6)) {
        let text = regions.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(",");
        let cpus: BTreeSet<u32> = regions.into_iter().flat_map(|(_, cpus)| cpus).collect();
        prop_assert_eq!(parsed(parse_list, 70, text.as_bytes()), Ok(cpus.into_iter().collect()));
    }

    #[test]
    fn a_mask_is_what_its_chunks_say(chunks in prop::collection::vec(any::<u32>(), 1..4), pads in any::<bool>()) {
        let text = chunks.iter().map(|chunk| if pads { format!("{chunk:08x}") } else { format!("{chunk:x}") });
        let text = text.collect::<Vec<_>>().join(",");
        let width = 32 * u32::try_from(chunks.len()).unwrap();
        let bit = |cpu: u32| chunks[chunks.len() - 1 - CpuId(cpu / 32).index()] >> (cpu % 32) & 1 == 1;
        let cpus: Vec<u32> = (0..width).filter(|&cpu| bit(cpu)).collect();
        prop_assert_eq!(parsed(parse_mask, width, text.as_bytes()), Ok(cpus));
    }

    #[test]
    fn any_bytes_give_a_set_or_one_of_the_kernels_errors(
        text in prop::collection::vec(prop::sample::select(&b"0123789afFNalx-:/, \n\xa0\xff"[..]), 0..24),
        width in 1..70_u32,
    ) {
        let errors = [Errno::EINVAL, Errno::ERANGE, Errno::EOVERFLOW];
        for parser in [parse_mask as Parser, parse_list] {
            if let Err(errno) = parsed(parser, width, &text) {
                prop_assert!(errors.contains(&errno));
            }
        }
    }
}
