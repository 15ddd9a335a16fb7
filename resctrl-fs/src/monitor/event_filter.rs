// SPDX-License-Identifier: GPL-2.0-only
//! Which memory transactions a bandwidth event counts: `event_configs/<event>/event_filter`.

use resctrl_types::{Arch, Errno, EventId, Platform, Result, Transactions};

use super::counters;
use crate::data::counters::filter;
use crate::data::state::Op;
use crate::status::Done;
use crate::text::Shown;
use crate::text::{TextOut, split_once, strip_newline, trim};

/// Prints the names of what the event counts.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, event: EventId, out: &mut dyn TextOut) -> Shown {
    counters::require_assigned(op)?;
    let mut separator = "";
    for name in filter(&op.state().filters, event).names() {
        write!(out, "{separator}{name}")?;
        separator = ",";
    }
    Ok(out.write_str("\n")?)
}

/// Carries out a write: from now on the event counts just these transactions, whoever it is counted for.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, event: EventId, data: &[u8]) -> Done {
    let Some(text) = strip_newline(data) else {
        return Err(op.refuse(Errno::EINVAL, "event_filter: Invalid input\n"));
    };
    counters::require_assigned(op)?;
    let configurable = op.arch().counters().is_some_and(|counters| counters.configurable);
    let Some(index) = event.mbm_index().filter(|_| configurable) else {
        return Err(op.refuse(Errno::EPERM, "event_filter is not configurable\n"));
    };
    let filter = parse(text).map_err(|unknown| {
        let status = &mut op.state().status;
        status.refuse_quoting(Errno::EINVAL, "Invalid memory transaction type ", unknown, "\n")
    })?;
    if core::mem::replace(&mut op.state().filters[index], filter) != filter {
        counters::reprogram(op, event);
    }
    Ok(())
}

/// The set that a list of names separated by commas means. Nothing may follow the last comma.
///
/// # Errors
/// The first item that is no name.
fn parse(text: &[u8]) -> Result<Transactions, &[u8]> {
    let mut filter = Transactions::EMPTY;
    let mut rest = Some(text);
    while let Some(items) = rest.filter(|items| !items.is_empty()) {
        let (item, behind) = split_once(items, b',');
        let name = trim(item);
        filter = filter.union(Transactions::from_name(name).ok_or(name)?);
        rest = behind;
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_means_what_it_names_in_any_order() {
        let both = Transactions::from_bits(0b11);
        for text in [&b"local_reads,remote_reads"[..], b" remote_reads , local_reads", b"remote_reads,local_reads,"] {
            assert_eq!(parse(text), Ok(both));
        }
        assert_eq!(parse(b"local_reads,local_reads"), Ok(Transactions::from_bits(1)));
        assert_eq!(parse(b""), Ok(Transactions::EMPTY));
    }

    #[test]
    fn what_is_no_name_is_returned_without_its_white_space() {
        assert_eq!(parse(b"local_reads, bogus ,remote_reads"), Err(&b"bogus"[..]));
        for empty in [&b","[..], b" ", b"local_reads,,remote_reads", b"local_reads, "] {
            assert_eq!(parse(empty), Err(&b""[..]), "{empty:?}");
        }
    }
}
