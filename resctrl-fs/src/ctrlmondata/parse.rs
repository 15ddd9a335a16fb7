// SPDX-License-Identifier: GPL-2.0-only
//! From the texts written into `schemata` and `io_alloc_cbm` to staged values.
//!
//! ```text
//! text  := line { "\n" line }
//! line  := name ":" entry { ";" entry } [ ";" ]
//! entry := id "=" value
//!
//! masks := [ entry { ";" entry } ] [ ";" ], where the last id may be "*"
//! ```
//!
//! Names and values may have blanks around them, ids may not. Everything is checked in the order in which it is written
//! and the first mistake ends it, with nothing programmed: what is staged here is applied by somebody else. The one
//! exception is a target of the software bandwidth controller, which is kept at once, also when a later entry turns out
//! to be wrong.

use resctrl_types::cbm;
use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind};
use resctrl_types::{DomainId, Errno, KVec};

use super::overlap::Overlap;
use crate::data::group::{Mode, Sharing};
use crate::nodes::SchemaId;
use crate::status::{Refusal, Status};
use crate::text::{parse_u32, parse_u64, split_once, trim};

/// One value that waits to be programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) schema: SchemaId,
    /// The place of the domain in its list.
    pub(crate) domain: usize,
    pub(crate) value: u32,
}

/// What the parser must know of the group that is written to.
pub(crate) trait Group {
    /// What it is for.
    fn mode(&self) -> Mode;
    /// The bits of a domain that pseudo-locked regions are in.
    fn locked_bits(&self, schema: SchemaId, domain: usize) -> u32;
    /// Whether a CPU of the domain uses a cache with a pseudo-locked region in it.
    fn beside_region(&self, schema: SchemaId, domain: usize) -> bool;
    /// Whether some CPU is in both domains.
    fn share_cpus(&self, one: (SchemaId, usize), other: (SchemaId, usize)) -> bool;
    /// The schema of this name.
    fn schema(&self, name: &[u8]) -> Option<(SchemaId, Control)>;
    /// The domain with this id: its place in the list.
    fn domain(&self, schema: SchemaId, id: u64) -> Option<(usize, DomainId)>;
    /// The domain at a place of the list.
    fn domain_at(&self, schema: SchemaId, place: usize) -> Option<DomainId>;
    /// How a mask would meet what other groups have in this domain.
    fn overlap(&self, schema: SchemaId, domain: usize, mask: u32) -> Overlap;
    /// Whether values of the schema are targets of the software bandwidth controller.
    fn has_targets(&self, schema: SchemaId) -> bool;
    /// Keeps such a target.
    fn set_target(&mut self, schema: SchemaId, domain: usize, mbps: u32);
}

/// What is wrong with a text. Words of the user's are part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake<'t> {
    NoColon,
    NothingAfter(&'t [u8]),
    UnknownSchema(&'t [u8]),
    BadEntry,
    DuplicateDomain(DomainId),
    NonLinear,
    BadBandwidth(&'t [u8]),
    BandwidthOutOfRange { value: u32, min: u32, max: u32 },
    BadMask(&'t [u8]),
    MaskOutOfRange,
    Gaps(u32),
    TooFewBits(u32),
    MeetsExclusive,
    MeetsOther,
    MeetsRegion,
    BesideRegion,
    LocksBandwidth,
    AfterAll,
    NoSuchDomain(u64),
    NoMemory,
}

impl From<Errno> for Mistake<'_> {
    /// Growing the list of staged values is the only thing that fails with a number here.
    fn from(_: Errno) -> Self {
        Mistake::NoMemory
    }
}

impl Mistake<'_> {
    /// Says it in the status.
    pub(crate) fn report(self, status: &mut Status) -> Refusal {
        const ERRNO: Errno = Errno::EINVAL;
        match self {
            Mistake::NoColon => status.refuse(ERRNO, "Missing ':'\n"),
            Mistake::NothingAfter(name) => status.refuse_quoting(ERRNO, "Missing '", name, "' value\n"),
            Mistake::UnknownSchema(name) => {
                status.refuse_quoting(ERRNO, "Unknown or unsupported resource name '", name, "'\n")
            }
            Mistake::BadEntry => status.refuse(ERRNO, "Missing '=' or non-numeric domain\n"),
            Mistake::DuplicateDomain(id) => status.refuse_with(ERRNO, format_args!("Duplicate domain {id}\n")),
            Mistake::NonLinear => status.refuse(ERRNO, "No support for non-linear MB domains\n"),
            Mistake::BadBandwidth(value) => status.refuse_quoting(ERRNO, "Invalid MB value ", value, "\n"),
            Mistake::BandwidthOutOfRange { value, min, max } => {
                status.refuse_with(ERRNO, format_args!("MB value {value} out of range [{min},{max}]\n"))
            }
            Mistake::BadMask(value) => status.refuse_quoting(ERRNO, "Non-hex character in the mask ", value, "\n"),
            Mistake::MaskOutOfRange => status.refuse(ERRNO, "Mask out of range\n"),
            Mistake::Gaps(mask) => {
                status.refuse_with(ERRNO, format_args!("The mask {mask:x} has non-consecutive 1-bits\n"))
            }
            Mistake::TooFewBits(bits) => {
                status.refuse_with(ERRNO, format_args!("Need at least {bits} bits in the mask\n"))
            }
            Mistake::MeetsExclusive => status.refuse(ERRNO, "Overlaps with exclusive group\n"),
            Mistake::MeetsOther => status.refuse(ERRNO, "Overlaps with other group\n"),
            Mistake::MeetsRegion => status.refuse(ERRNO, "CBM overlaps with pseudo-locked region\n"),
            Mistake::BesideRegion => status.refuse(ERRNO, "Pseudo-locked region in hierarchy\n"),
            Mistake::LocksBandwidth => status.refuse(ERRNO, "Cannot pseudo-lock MBA resource\n"),
            Mistake::AfterAll => status.refuse(ERRNO, "Configurations after global '*'\n"),
            // The kernel has no words for it in `schemata`, and these in `io_alloc_cbm`.
            Mistake::NoSuchDomain(id) => status.refuse_with(ERRNO, format_args!("Invalid domain {id}\n")),
            Mistake::NoMemory => status.out_of_memory(),
        }
    }
}

/// Stages the values of a text whose final newline has been removed, in the order in which they are written.
///
/// # Errors
/// The first mistake.
pub(crate) fn text<'t>(group: &mut impl Group, text: &'t [u8]) -> Result<KVec<Staged>, Mistake<'t>> {
    let mut staged = KVec::new();
    for line in text.split(|&byte| byte == b'\n') {
        let (name, entries) = split_once(line, b':');
        let name = trim(name);
        let entries = entries.ok_or(Mistake::NoColon)?;
        if entries.is_empty() {
            return Err(Mistake::NothingAfter(name));
        }
        let (schema, control) = group.schema(name).ok_or(Mistake::UnknownSchema(name))?;
        let locksetup = group.mode() == Mode::PseudoLocksetup;
        if locksetup && matches!(control.kind, ControlKind::Bandwidth(_)) {
            return Err(Mistake::LocksBandwidth);
        }
        let mut rest = Some(entries);
        while let Some(entries) = rest.filter(|entries| !entries.is_empty()) {
            let (entry, following) = split_once(entries, b';');
            rest = following;
            let (id, value) = split_once(entry, b'=');
            let value = trim(value.ok_or(Mistake::BadEntry)?);
            let id = parse_u64(id, 10).map_err(|_| Mistake::BadEntry)?;
            let (domain, id) = group.domain(schema, id).ok_or(Mistake::NoSuchDomain(id))?;
            require_first(&staged, schema, domain, id)?;
            if locksetup {
                // One region is all that a group can have, and a line: what follows in the line is not looked at.
                rest = None;
                let here = (schema, domain);
                let twice = staged.iter().any(|earlier| group.share_cpus((earlier.schema, earlier.domain), here));
                if twice || group.beside_region(schema, domain) {
                    return Err(Mistake::BesideRegion);
                }
            }
            let value = match control.kind {
                ControlKind::Cache(cache) => shared_mask(group, schema, domain, mask(value, &cache)?)?,
                ControlKind::Bandwidth(bandwidth) => {
                    let wanted = number(value, &bandwidth)?;
                    if group.has_targets(schema) {
                        group.set_target(schema, domain, wanted);
                        continue;
                    }
                    in_steps(wanted, &bandwidth)?
                }
            };
            staged.push(Staged { schema, domain, value })?;
        }
    }
    Ok(staged)
}

/// Stages the masks of one cache, for one domain after another or, as the last entry, for all.
///
/// # Errors
/// The first mistake.
pub(crate) fn masks<'t>(
    group: &impl Group,
    schema: SchemaId,
    cache: &CacheControl,
    text: &'t [u8],
) -> Result<KVec<Staged>, Mistake<'t>> {
    let mut staged = KVec::new();
    let mut stage = |domain, id, value| {
        require_first(&staged, schema, domain, id)?;
        let value = shared_mask(group, schema, domain, mask(value, cache)?)?;
        Ok::<_, Mistake<'t>>(staged.push(Staged { schema, domain, value })?)
    };
    let (mut rest, mut all) = (Some(text), false);
    while let Some(entries) = rest.filter(|entries| !entries.is_empty()) {
        if all {
            return Err(Mistake::AfterAll);
        }
        let (entry, following) = split_once(entries, b';');
        rest = following;
        let (id, value) = split_once(entry, b'=');
        let value = trim(value.ok_or(Mistake::BadEntry)?);
        if id == b"*" {
            all = true;
            for (domain, id) in (0..).map_while(|place| Some((place, group.domain_at(schema, place)?))) {
                stage(domain, id, value)?;
            }
        } else {
            let id = parse_u64(id, 10).map_err(|_| Mistake::BadEntry)?;
            let (domain, id) = group.domain(schema, id).ok_or(Mistake::NoSuchDomain(id))?;
            stage(domain, id, value)?;
        }
    }
    Ok(staged)
}

/// Sees that nothing is staged for a domain of a schema yet.
fn require_first(staged: &[Staged], schema: SchemaId, domain: usize, id: DomainId) -> Result<(), Mistake<'static>> {
    if staged.iter().any(|earlier| earlier.schema == schema && earlier.domain == domain) {
        return Err(Mistake::DuplicateDomain(id));
    }
    Ok(())
}

/// Lets a mask pass which collides with no other group's and with no region.
fn shared_mask<'t>(group: &impl Group, schema: SchemaId, domain: usize, mask: u32) -> Result<u32, Mistake<'t>> {
    if group.mode().sharing().is_some() && mask & group.locked_bits(schema, domain) != 0 {
        return Err(Mistake::MeetsRegion);
    }
    match (group.overlap(schema, domain, mask), group.mode()) {
        (Overlap::Exclusive, _) => Err(Mistake::MeetsExclusive),
        (Overlap::Shared, Mode::Using(Sharing::Exclusive) | Mode::PseudoLocksetup) => Err(Mistake::MeetsOther),
        _ => Ok(mask),
    }
}

/// A capacity bit mask that the hardware takes.
fn mask<'t>(value: &'t [u8], cache: &CacheControl) -> Result<u32, Mistake<'t>> {
    let number = parse_u64(value, 16).map_err(|_| Mistake::BadMask(value))?;
    let mask = u32::try_from(number).map_err(|_| Mistake::MaskOutOfRange)?;
    if mask & !cache.full_mask() != 0 || (mask == 0 && cache.min_cbm_bits > 0) {
        return Err(Mistake::MaskOutOfRange);
    }
    if !cache.sparse_masks && !cbm::is_contiguous(mask) {
        return Err(Mistake::Gaps(mask));
    }
    if cbm::lowest_run(mask).count_ones() < cache.min_cbm_bits {
        return Err(Mistake::TooFewBits(cache.min_cbm_bits));
    }
    Ok(mask)
}

fn number<'t>(value: &'t [u8], bandwidth: &BandwidthControl) -> Result<u32, Mistake<'t>> {
    if bandwidth.needs_linear && !bandwidth.delay_linear {
        return Err(Mistake::NonLinear);
    }
    parse_u32(value, 10).map_err(|_| Mistake::BadBandwidth(value))
}

/// An amount of bandwidth, rounded up to what the hardware can tell apart.
///
/// Where the largest amount is no multiple of the granularity the kernel rounds beyond it, into values that its
/// conversion to hardware units does not expect; here the largest amount is the end.
fn in_steps<'t>(value: u32, bandwidth: &BandwidthControl) -> Result<u32, Mistake<'t>> {
    let &BandwidthControl { min_bw: min, max_bw: max, bw_gran, .. } = bandwidth;
    if !(min..=max).contains(&value) {
        return Err(Mistake::BandwidthOutOfRange { value, min, max });
    }
    Ok(value.checked_next_multiple_of(bw_gran).map_or(max, |rounded| rounded.min(max)))
}

#[cfg(test)]
mod tests;
