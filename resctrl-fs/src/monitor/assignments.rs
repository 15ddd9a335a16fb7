// SPDX-License-Identifier: GPL-2.0-only
//! Which events of a group are counted in which domains: `mbm_L3_assignments`.

use resctrl_types::{Arch, Errno, EventId, Platform, Result};

use super::counters;
use crate::data::counters::Owner;
use crate::data::group::{Monitored, Place};
use crate::data::state::Locked;
use crate::data::state::Op;
use crate::status::{Done, Refusal};
use crate::text::Shown;
use crate::text::{TextOut, parse_u64, split_once, strip_newline, together, trim};

/// Prints a line for each event: `e` for each domain in which the group has a counter, `_` where it has none.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: Place, out: &mut dyn TextOut) -> Shown {
    counters::require_assigned(op)?;
    let who = op.state().monitored(place);
    let Locked { key, state } = &*op.locked;
    let fs = op.fs;
    together(out, |out| {
        for event in counters::events(fs) {
            out.text(event.name())?.text(":")?;
            let mut separator = "";
            for domain in &state.mon_domains {
                let counter = who.and_then(|who| domain.peek(key).counters.find(Owner { group: who.group, event }));
                let state = if counter.is_some() { "=e" } else { "=_" };
                out.text(separator)?.decimal(domain.id.0)?.text(state)?;
                separator = ";";
            }
            out.end_line()?;
        }
        Ok(())
    })
}

/// Carries out a write, line by line. What was done before a mistake stays done.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: Place, data: &[u8]) -> Done {
    let Some(text) = strip_newline(data) else {
        return Err(op.refuse(Errno::EINVAL, "mbm_L3_assignments: Invalid input\n"));
    };
    if !op.arch().counters_assigned() {
        return Err(op.refuse(Errno::EINVAL, "mbm_event mode is not enabled\n"));
    }
    let Some(who) = op.state().monitored(place) else { return op.refuse_members(place.ctrl()) };
    let mut rest = Some(text);
    while let Some(lines) = rest {
        let (line, behind) = split_once(lines, b'\n');
        carry_out(op, who, line)?;
        rest = behind;
    }
    Ok(())
}

/// `<event>:<domain>=<state>[;...]`
fn carry_out<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, who: Monitored, line: &[u8]) -> Done {
    let (name, mut rest) = split_once(line, b':');
    let Some(event) = counters::events(op.fs).find(|event| event.name().as_bytes() == name) else {
        return Err(op.state().status.refuse_quoting(Errno::ENOENT, "Invalid event ", name, "\n"));
    };
    while let Some(fields) = rest.filter(|fields| !fields.is_empty()) {
        let (field, behind) = split_once(fields, b';');
        let (id, state) = split_once(trim(field), b'=');
        if id.first() == Some(&b'*') {
            // Whatever follows is not looked at.
            let done = Operation::parse(state).and_then(|operation| operation.everywhere(op, who, event));
            return done.map_err(|errno| {
                op.state().status.format(format_args!("Assign operation '{}:*", event.name()));
                failed(op, errno, state)
            });
        }
        let Ok(id) = parse_u64(id, 10) else {
            return Err(op.refuse(Errno::EINVAL, "Missing domain id\n"));
        };
        let Some(place) = op.state().mon_domains.iter().position(|domain| u64::from(domain.id.0) == id) else {
            let id = id.cast_signed();
            return Err(op.state().status.refuse_with(Errno::EINVAL, format_args!("Invalid domain id {id}\n")));
        };
        let done = Operation::parse(state).and_then(|operation| operation.carry_out(op, place, who, event));
        done.map_err(|errno| {
            op.state().status.format(format_args!("Assign operation '{}:{id}", event.name()));
            failed(op, errno, state)
        })?;
        rest = behind;
    }
    Ok(())
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Operation {
    Assign,
    Unassign,
}

impl Operation {
    fn parse(state: Option<&[u8]>) -> Result<Self> {
        match state {
            Some(b"e") => Ok(Operation::Assign),
            Some(b"_") => Ok(Operation::Unassign),
            _ => Err(Errno::EINVAL),
        }
    }

    fn carry_out<A: Arch<P>, P: Platform>(
        self,
        op: &mut Op<'_, A, P>,
        place: usize,
        who: Monitored,
        event: EventId,
    ) -> Result<()> {
        match self {
            Operation::Assign => counters::assign(op, place, who, event).map_err(|refusal| refusal.errno()),
            Operation::Unassign => {
                counters::unassign(op, place, who, event);
                Ok(())
            }
        }
    }

    /// Goes on in the other domains where it fails in one; the last error is returned.
    fn everywhere<A: Arch<P>, P: Platform>(self, op: &mut Op<'_, A, P>, who: Monitored, event: EventId) -> Result<()> {
        let mut done = Ok(());
        for place in 0..op.state().mon_domains.len() {
            if let Err(errno) = self.carry_out(op, place, who, event) {
                done = Err(errno);
            }
        }
        done
    }
}

/// The end of a message about an operation, from behind the domain on. Where the kernel's says `=(null)`, because there is no
/// state, nothing is said of one.
fn failed<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, errno: Errno, state: Option<&[u8]>) -> Refusal {
    let (before, state) = state.map_or(("", &b""[..]), |state| ("=", state));
    op.state().status.refuse_quoting(errno, before, state, "' failed\n")
}
