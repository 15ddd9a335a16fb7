// SPDX-License-Identifier: GPL-2.0-only
//! What is inside the image of an x86 kernel, for QEMU to start as it is.
//!
//! A bzImage unpacks itself, which is a fifth of all that an emulated processor does until a guest is up. Inside is an
//! ELF file. QEMU starts one that has the entry for it (the note that Xen calls PHYS32_ENTRY, "PVH"), as Debian's have.
//! What is skipped besides is the choice of a random address for the kernel.

use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use super::packages::folder;

/// What a Zstandard frame begins with (RFC 8878, 3.1.1).
const ZSTANDARD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A compressed kernel is followed by its size, in 4 bytes, unless gzip has that at its end anyway.
const SIZE: usize = 4;
/// Type of the note with the address where a kernel begins that was loaded as a PVH guest is
/// (Xen, `public/elfnote.h`, `XEN_ELFNOTE_PHYS32_ENTRY`).
const PHYS32_ENTRY: u32 = 18;

/// The kernel inside `image`, which is unpacked once. `image` itself if QEMU cannot start what is inside, or if it is packed in a
/// way that is none of Debian's.
///
/// # Errors
///
/// The image cannot be read, is damaged, or what is inside cannot be written.
pub(super) fn unpacked(image: &Path) -> Result<PathBuf> {
    unpacked_to(image, &folder("vmlinux"))
}

fn unpacked_to(image: &Path, folder: &Path) -> Result<PathBuf> {
    let read = || format!("cannot read {}", image.display());
    let metadata = image.metadata().with_context(read)?;
    let place = hash(image);
    let state = hash((metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
    let there = folder.join(format!("{place:016x}-{state:016x}"));
    if there.exists() {
        return Ok(there);
    }
    let inside = kernel_inside(&fs::read(image).with_context(read)?).with_context(|| image.display().to_string())?;
    let Some(kernel) = inside else { return Ok(image.to_owned()) };
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Those of this place that were there before.
    let old = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?.flatten();
    for old in old.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{place:016x}-"))) {
        // Whoever starts a guest with it right now has it open.
        let _ = fs::remove_file(old.path());
    }
    // Another run may do the same at the same time.
    let write = || format!("cannot write {}", there.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(write)?;
    std::io::Write::write_all(&mut file, &kernel).with_context(write)?;
    file.persist(&there).with_context(write)?;
    Ok(there)
}

fn hash(value: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The ELF file inside a bzImage (`Documentation/arch/x86/boot.rst`, protocol 2.08), if it is packed with Zstandard and can be
/// started as a PVH guest.
fn kernel_inside(image: &[u8]) -> Result<Option<Vec<u8>>> {
    let word = |place: usize| {
        let bytes = image.get(place..place + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).map(|word| word as usize)
    };
    let protocol = image.get(0x206..0x208).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
    let (Some(b"HdrS"), Some(0x208..)) = (image.get(0x202..0x206), protocol) else { return Ok(None) };
    let sectors = match image[0x1f1] {
        // As it was before there was such a number.
        0 => 4,
        sectors => usize::from(sectors),
    };
    let (offset, length) = (word(0x248).unwrap_or(0), word(0x24c).unwrap_or(0));
    let start = (sectors + 1) * 512 + offset;
    let payload = image.get(start..start + length).context("the image ends before the kernel in it does")?;
    if !payload.starts_with(&ZSTANDARD) || length <= SIZE {
        return Ok(None);
    }
    let (frame, size) = payload.split_at(length - SIZE);
    let size = size.try_into().map_or(0, u32::from_le_bytes) as usize;
    let mut kernel = Vec::with_capacity(size);
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(frame).context("the kernel inside cannot be unpacked")?;
    decoder.read_to_end(&mut kernel).context("the kernel inside cannot be unpacked")?;
    ensure!(kernel.len() == size, "the kernel inside has {} bytes, and should have {size}", kernel.len());
    Ok(starts_as_pvh(&kernel).then_some(kernel))
}

/// Whether QEMU can start this ELF file.
fn starts_as_pvh(kernel: &[u8]) -> bool {
    let Ok(header) = elf::FileHeader64::<object::Endianness>::parse(kernel) else { return false };
    let Ok(endian) = header.endian() else { return false };
    let Ok(segments) = header.program_headers(endian, kernel) else { return false };
    segments.iter().any(|segment| {
        let Ok(Some(mut notes)) = segment.notes(endian, kernel) else { return false };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == b"Xen" && note.n_type(endian) == PHYS32_ENTRY {
                return true;
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    /// An ELF file with one note of the name and type.
    fn kernel(name: &[u8; 4], n_type: u32) -> Vec<u8> {
        let mut file = vec![0_u8; 64 + 56];
        file[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        let mut put = |place: usize, bytes: &[u8]| file[place..place + bytes.len()].copy_from_slice(bytes);
        // An executable for x86-64, version 1; program headers at 64, one of 56 bytes.
        put(16, &[2, 0, 62, 0, 1]);
        put(32, &[64]);
        put(52, &[64, 0, 56, 0, 1, 0]);
        // PT_NOTE at 120, 20 bytes, aligned to 4.
        put(64, &[4]);
        put(64 + 8, &[120]);
        put(64 + 32, &[20]);
        put(64 + 48, &[4]);
        for word in [4_u32, 4, n_type] {
            file.extend(word.to_le_bytes());
        }
        file.extend(name);
        file.extend(0x100_0000_u32.to_le_bytes());
        file
    }

    /// A bzImage with `payload` in it.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0_u8; 3 * 512 + 16];
        image[0x1f1] = 2;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).expect("short").to_le_bytes());
        image.extend(payload);
        image
    }

    fn packed(kernel: &[u8]) -> Vec<u8> {
        let mut payload = compress_to_vec(kernel, CompressionLevel::Fastest);
        payload.extend(u32::try_from(kernel.len()).expect("short").to_le_bytes());
        payload
    }

    #[test]
    fn the_kernel_comes_out_as_it_went_in() {
        let kernel = kernel(b"Xen\0", PHYS32_ENTRY);
        assert_eq!(kernel_inside(&image(&packed(&kernel))).expect("sound"), Some(kernel));
    }

    #[test]
    fn what_qemu_cannot_start_stays_packed() {
        for other in [kernel(b"Xen\0", 3), kernel(b"GNU\0", PHYS32_ENTRY), b"no ELF file".to_vec()] {
            assert_eq!(kernel_inside(&image(&packed(&other))).expect("sound"), None);
        }
        let gzip = [&[0x1f, 0x8b, 8][..], &[0; 64]].concat();
        for other in [image(&gzip), image(&[]), b"MZ and what an Arm image has".to_vec(), Vec::new()] {
            assert_eq!(kernel_inside(&other).expect("sound"), None);
        }
    }

    #[test]
    fn a_damaged_image_is_an_error() {
        let whole = image(&packed(&kernel(b"Xen\0", PHYS32_ENTRY)));
        let error = kernel_inside(&whole[..whole.len() - 1]).expect_err("a byte is missing");
        assert_eq!(error.to_string(), "the image ends before the kernel in it does");
        let mut longer = whole.clone();
        *longer.last_mut().expect("not empty") += 1;
        assert!(kernel_inside(&longer).expect_err("another size").to_string().contains("and should have"));
    }

    #[test]
    fn an_image_is_unpacked_once_and_again_when_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (place, out) = (folder.path().join("vmlinuz"), folder.path().join("out"));
        fs::write(&place, image(&packed(&kernel(b"Xen\0", PHYS32_ENTRY)))).expect("written");
        let first = unpacked_to(&place, &out).expect("unpacked");
        let age = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).expect("there");
        let made = age(&first);
        assert_eq!(age(&unpacked_to(&place, &out).expect("unpacked")), made);
        let file = fs::File::options().write(true).open(&place).expect("there");
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).expect("touched");
        let second = unpacked_to(&place, &out).expect("unpacked");
        assert_ne!(first, second);
        assert_eq!(out.read_dir().expect("there").count(), 1, "the old one is gone");
        fs::write(&place, b"something else").expect("written");
        assert_eq!(unpacked_to(&place, &out).expect("read"), place);
    }
}
