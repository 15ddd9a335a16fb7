// SPDX-License-Identifier: GPL-2.0-only
//! What an event counts in each domain, while every group is counted: `mbm_total_bytes_config`, `mbm_local_bytes_config`.
//!
//! The hardware keeps it (AMD BMEC), over unmounting too. With assigned counters `event_filter` says the same for all
//! domains, and these files are hidden.

use resctrl_types::{Arch, Errno, EventId, Platform, Result, Transactions};

use crate::data::domain::{Bandwidth, MonState};
use crate::data::state::Locked;
use crate::data::state::{Op, Resctrl};
use crate::status::{Done, NO_COMMANDS};
use crate::text::Shown;
use crate::text::{TextOut, parse_u64, split_once, strip_newline, trim};

/// The events whose choice there is, and the names of their files.
pub(crate) fn files<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) -> impl Iterator<Item = (&'static str, EventId)> + '_ {
    let named = [("mbm_total_bytes_config", EventId::MbmTotal), ("mbm_local_bytes_config", EventId::MbmLocal)];
    named.into_iter().filter(|&(_, event)| fs.has_event(event) && fs.arch.configurable_transactions(event).is_some())
}

/// The name of the event's file, if `mon_features` is to show it now.
pub(crate) fn feature<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, event: EventId) -> Option<&'static str> {
    if fs.arch.counters_assigned() {
        return None;
    }
    files(fs).find(|&(_, configurable)| configurable == event).map(|(name, _)| name)
}

/// Shows the files, or hides them while counters are assigned.
pub(crate) fn show_files<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let hidden = op.arch().counters_assigned();
    let files = op.state().mount.as_ref().map(|mount| mount.config_files);
    for file in files.into_iter().flatten().flatten() {
        op.fs.tree.set_hidden(file, hidden.into());
    }
}

/// Prints what the event counts in each domain.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, event: EventId, out: &mut dyn TextOut) -> Shown {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let Locked { key, state } = &*op.locked;
    let mut separator = "";
    for domain in &state.mon_domains {
        let config = arch.event_config(platform, cpus, &domain.peek(key).cpus, event)?;
        write!(out, "{separator}{}=0x{config:02x}", domain.id)?;
        separator = ";";
    }
    Ok(out.write_str("\n")?)
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    NoDomain,
    NoNumber,
    Unsupported,
}

/// Carries out a write, field by field. What was done before a mistake stays done.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, event: EventId, data: &[u8]) -> Done {
    let name = match event {
        EventId::MbmLocal => "mbm_local_bytes_config: Invalid input\n",
        _ => "mbm_total_bytes_config: Invalid input\n",
    };
    let Some(text) = strip_newline(data) else {
        return Err(op.refuse(Errno::EINVAL, name));
    };
    let Some(supported) = op.arch().configurable_transactions(event) else {
        return Err(op.refuse(Errno::EINVAL, NO_COMMANDS));
    };
    let mut rest = Some(text);
    while let Some(fields) = rest.filter(|fields| !fields.is_empty()) {
        let (field, behind) = split_once(fields, b';');
        let (id, config) = parse(field, supported).map_err(|mistake| {
            let status = &mut op.state().status;
            match mistake {
                Mistake::NoDomain => status.refuse(Errno::EINVAL, "Missing '=' or non-numeric domain id\n"),
                Mistake::NoNumber => status.refuse(Errno::EINVAL, "Non-numeric event configuration value\n"),
                Mistake::Unsupported => {
                    let supported = supported.bits();
                    let why = format_args!("Invalid event configuration: max valid mask is 0x{supported:02x}\n");
                    status.refuse_with(Errno::EINVAL, why)
                }
            }
        })?;
        let Some(place) = op.state().mon_domains.iter().position(|domain| u64::from(domain.id.0) == id) else {
            // The kernel has no words for it.
            return Err(op.state().status.refuse_with(Errno::EINVAL, format_args!("Invalid domain {id}\n")));
        };
        configure(op, place, event, config)
            .map_err(|errno| op.failed(errno, format_args!("configure the event in domain {id}")))?;
        rest = behind;
    }
    Ok(())
}

/// `<domain>=<hexadecimal bits>`, with white space around all of it only.
fn parse(field: &[u8], supported: Transactions) -> Result<(u64, u32), Mistake> {
    let (id, config) = split_once(trim(field), b'=');
    let id = parse_u64(id, 10).map_err(|_| Mistake::NoDomain)?;
    let config = config.and_then(|config| parse_u64(config, 16).ok()).ok_or(Mistake::NoNumber)?;
    let config = u32::try_from(config).ok().filter(|config| config & !supported.bits() == 0);
    Ok((id, config.ok_or(Mistake::Unsupported)?))
}

/// Chooses what the event counts in the domain at this place of the list. Nothing is lost where nothing changes.
fn configure<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: usize, event: EventId, config: u32) -> Result<()> {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let Locked { key, state } = &mut *op.locked;
    let MonState { arch: arch_domain, cpus: mask, bandwidth, .. } = state.mon_domains[place].open(key);
    if arch.event_config(platform, cpus, mask, event)? == config {
        return Ok(());
    }
    arch.set_event_config(platform, cpus, arch_domain, mask, event, config)?;
    for memory in bandwidth {
        memory.fill(Bandwidth::default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPPORTED: Transactions = Transactions::from_bits(0x3f);

    #[test]
    fn a_field_is_a_domain_and_its_bits() {
        for field in [&b"1=0x15"[..], b" 1=15 ", b"+1=0X15", b"1=000015", b"\t1=+15"] {
            assert_eq!(parse(field, SUPPORTED), Ok((1, 0x15)), "{field:?}");
        }
        assert_eq!(parse(b"0=0", SUPPORTED), Ok((0, 0)));
    }

    #[test]
    fn a_field_with_a_mistake_says_which() {
        for field in [&b""[..], b" ", b"=1", b"x=1", b"0x1=1", b"-1=1", b"0 =1", b"x"] {
            assert_eq!(parse(field, SUPPORTED), Err(Mistake::NoDomain), "{field:?}");
        }
        for field in [&b"0"[..], b"0=", b"0=zz", b"0= 1", b"0=1=2", b"0=-1"] {
            assert_eq!(parse(field, SUPPORTED), Err(Mistake::NoNumber), "{field:?}");
        }
        for field in [&b"0=40"[..], b"0=0x100", b"0=100000000", b"0=ffffffffffffffff"] {
            assert_eq!(parse(field, SUPPORTED), Err(Mistake::Unsupported), "{field:?}");
        }
    }
}
