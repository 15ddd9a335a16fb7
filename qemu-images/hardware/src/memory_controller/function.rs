// SPDX-License-Identifier: GPL-2.0-only
//! The PCI functions of a socket that have to do with its memory, as far as Linux' driver for their counters looks at them.

use super::Happened;
use super::channel::Channel;
use crate::machine::MAX_CHANNELS;
use crate::numbers::read_registers;

/// Bytes of a function's configuration space.
const SIZE: usize = 256;

const INTEL: u16 = 0x8086;

/// What a function is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Says which socket its bus belongs to. Of its registers, node id and the map of node ids are 0: the first socket.
    Ubox,
    /// The first function of a device, without which nobody would look for others.
    Controller,
    /// Has the counters of a channel.
    Channel(usize),
}

/// A function of PCI, where it is and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Device number on the socket's bus.
    pub device: u8,
    /// Function number.
    pub function: u8,
    /// What it is for.
    pub kind: Kind,
    /// Device id; the vendor is Intel.
    id: u16,
}

const fn function(device: u8, function: u8, kind: Kind, id: u16) -> Function {
    Function { device, function, kind, id }
}

/// Where the functions of the channels are: two controllers of three channels each.
const CHANNELS: [Function; MAX_CHANNELS] = [
    function(10, 2, Kind::Channel(0), 0x2042),
    function(10, 6, Kind::Channel(1), 0x2046),
    function(11, 2, Kind::Channel(2), 0x204a),
    function(12, 2, Kind::Channel(3), 0x2042),
    function(12, 6, Kind::Channel(4), 0x2046),
    function(13, 2, Kind::Channel(5), 0x204a),
];

/// The first functions of their devices.
const CONTROLLERS: [Function; 4] = [
    function(10, 0, Kind::Controller, 0x2040),
    function(11, 0, Kind::Controller, 0x2048),
    function(12, 0, Kind::Controller, 0x2040),
    function(13, 0, Kind::Controller, 0x2048),
];

const UBOX: Function = function(8, 0, Kind::Ubox, 0x2014);

/// The functions of a socket with so many channels, each device's first one before the others.
pub fn functions(channels: usize) -> impl Iterator<Item = Function> {
    let of_channels = &CHANNELS[..channels.min(MAX_CHANNELS)];
    let of_device = |first: &'static Function| {
        let others = of_channels.iter().filter(|channel| channel.device == first.device);
        let is_needed = others.clone().next().is_some();
        is_needed.then_some(first).into_iter().chain(others).copied()
    };
    std::iter::once(UBOX).chain(CONTROLLERS.iter().flat_map(of_device))
}

impl Function {
    /// Its configuration space, after reset; the channel is one of so many.
    #[must_use]
    pub fn reset(self, channels: usize) -> Space {
        let mut bytes = [0; SIZE];
        bytes[0..2].copy_from_slice(&INTEL.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.id.to_le_bytes());
        // Class: system peripheral, other.
        bytes[8..12].copy_from_slice(&[0, 0, 0x80, 0x08]);
        bytes[0x2c..0x2e].copy_from_slice(&INTEL.to_le_bytes());
        let channel = match self.kind {
            Kind::Channel(number) => Some((number, Channel::default())),
            Kind::Ubox | Kind::Controller => None,
        };
        Space { bytes, channel, channels }
    }
}

/// The configuration space of a function.
#[derive(Debug)]
pub struct Space {
    bytes: [u8; SIZE],
    channel: Option<(usize, Channel)>,
    channels: usize,
}

impl Space {
    /// Bytes of it.
    pub const SIZE: usize = SIZE;

    /// Reads it, when so much has happened; all ones outside.
    pub fn read(&mut self, offset: usize, data: &mut [u8], happened: Happened) {
        read_registers(offset, data, |offset| self.word(offset, happened).to_le_bytes());
    }

    fn word(&mut self, offset: usize, happened: Happened) -> u32 {
        let channels = self.channels;
        let counted = self
            .channel
            .as_mut()
            .and_then(|(number, channel)| channel.read(offset, happened.of_channel(*number, channels)));
        let bytes = self.bytes.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
        counted.unwrap_or_else(|| bytes.map_or(u32::MAX, u32::from_le_bytes))
    }

    /// Writes it. Of what all functions have, nothing but the command is kept.
    pub fn write(&mut self, offset: usize, data: &[u8], happened: Happened) {
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let begin = at / 4 * 4;
            let (bytes, more) = rest.split_at(rest.len().min(begin + 4 - at));
            let mut word = self.word(begin, happened).to_le_bytes();
            word[at - begin..][..bytes.len()].copy_from_slice(bytes);
            self.write_word(begin, word, happened);
            (at, rest) = (at + bytes.len(), more);
        }
    }

    fn write_word(&mut self, offset: usize, word: [u8; 4], happened: Happened) {
        if offset == 4 {
            self.bytes[4..6].copy_from_slice(&word[..2]);
        }
        let channels = self.channels;
        if let Some((number, channel)) = &mut self.channel {
            channel.write(offset, u32::from_le_bytes(word), happened.of_channel(*number, channels));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(channels: usize) -> Vec<String> {
        functions(channels).map(|place| format!("{:02x}.{} {:04x}", place.device, place.function, place.id)).collect()
    }

    #[test]
    fn functions_are_where_the_processors_have_them_and_none_lacks_the_first_of_its_device() {
        assert_eq!(places(1), ["08.0 2014", "0a.0 2040", "0a.2 2042"]);
        assert_eq!(places(3), ["08.0 2014", "0a.0 2040", "0a.2 2042", "0a.6 2046", "0b.0 2048", "0b.2 204a"]);
        assert_eq!(places(6).len(), 11);
        for channels in 1..=MAX_CHANNELS {
            let numbers = functions(channels).filter_map(|place| match place.kind {
                Kind::Channel(number) => Some(number),
                Kind::Ubox | Kind::Controller => None,
            });
            assert_eq!(numbers.collect::<Vec<_>>(), (0..channels).collect::<Vec<_>>());
        }
    }

    #[test]
    fn configuration_space_says_what_it_is_and_keeps_only_the_command() {
        let nothing = Happened::default();
        let mut space = UBOX.reset(2);
        let mut bytes = [0; 4];
        space.read(0, &mut bytes, nothing);
        assert_eq!(u32::from_le_bytes(bytes), 0x2014_8086);
        space.write(0, &[0xff; 8], nothing);
        let mut bytes = [0; 8];
        space.read(0, &mut bytes, nothing);
        assert_eq!(bytes, [0x86, 0x80, 0x14, 0x20, 0xff, 0xff, 0, 0]);
        let mut bytes = [0; 4];
        space.read(0xc0, &mut bytes, nothing);
        assert_eq!(bytes, [0; 4], "node 0");
        space.read(SIZE - 2, &mut bytes, nothing);
        assert_eq!(bytes, [0, 0, 0xff, 0xff]);
    }

    #[test]
    fn only_a_write_to_the_command_changes_the_command() {
        let nothing = Happened::default();
        let mut space = UBOX.reset(2);
        let command = |space: &mut Space| {
            let mut bytes = [0; 2];
            space.read(4, &mut bytes, nothing);
            u16::from_le_bytes(bytes)
        };
        for (offset, data, expected) in [
            (0, &[0xff; 4][..], 0),
            (8, &[0xff; 4], 0),
            (4, &[0x46, 0x01, 0xff, 0xff], 0x0146),
            (5, &[0x02], 0x0246),
            // Across the boundary of two registers.
            (2, &[0, 0, 0x07, 0x00], 0x0007),
            (0, &[0; 4], 0x0007),
        ] {
            space.write(offset, data, nothing);
            assert_eq!(command(&mut space), expected, "{offset}: {data:x?}");
        }
    }

    #[test]
    fn a_channel_counts_its_part_however_its_registers_are_reached() {
        let mut space = CHANNELS[1].reset(2);
        let nothing = Happened::default();
        // In two halves.
        space.write(0xd8, &[0x04, 0x03], nothing);
        space.write(0xda, &[0x40, 0x00], nothing);
        let later = Happened { read: 2001, ..nothing };
        let mut bytes = [0; 8];
        space.read(0xa0, &mut bytes, later);
        assert_eq!(u64::from_le_bytes(bytes), 1000, "the other channel has one more");
        let mut upper = [0; 2];
        space.read(0xda, &mut upper, later);
        assert_eq!(upper, [0x40, 0]);
    }
}
