//! The program's memory. Whatever the program passes for a pointer, what is outside of its memory is EFAULT.

use std::ops::Range;

use super::errno::Errno;

/// The bytes from `start` on; they may be none.
pub(super) fn range(memory: &[u8], start: u32, len: usize) -> Result<Range<usize>, Errno> {
    let start = start as usize;
    match start.checked_add(len) {
        Some(end) if end <= memory.len() => Ok(start..end),
        _ => Err(Errno::FAULT),
    }
}

pub(super) fn write<const N: usize>(memory: &mut [u8], at: u32, bytes: [u8; N]) -> Result<(), Errno> {
    let range = range(memory, at, N)?;
    memory[range].copy_from_slice(&bytes);
    Ok(())
}

pub(super) fn read<const N: usize>(memory: &[u8], at: u32) -> Result<[u8; N], Errno> {
    let range = range(memory, at, N)?;
    let mut bytes = [0; N];
    bytes.copy_from_slice(&memory[range]);
    Ok(bytes)
}

/// The buffers that an array of `iovec` names: at most this many of them, as of readv(2), the rest is for the next call.
pub(super) const BUFFERS: usize = 64;

/// The ranges of the buffers, those that are not empty, and together no more than a u32 can tell: they may lie over each
/// other, and so be longer than the memory.
pub(super) fn buffers(
    memory: &[u8],
    array: u32,
    count: u32,
) -> Result<impl Iterator<Item = Range<usize>> + use<>, Errno> {
    let array = range(memory, array, count as usize * 8)?;
    let mut ranges = [const { 0..0 }; BUFFERS];
    let (mut used, mut left) = (0, u32::MAX as usize);
    for entry in memory[array].chunks_exact(8) {
        let (start, len) = (word(entry, 0), word(entry, 4));
        let buffer = range(memory, start, len as usize)?;
        let len = buffer.len().min(left);
        if len > 0 && used < BUFFERS {
            ranges[used] = buffer.start..buffer.start + len;
            used += 1;
            left -= len;
        }
    }
    Ok(ranges.into_iter().take(used))
}

/// The range of the one buffer of an array of `iovec`, and whether it is that: one, and not empty.
pub(super) fn one_buffer(memory: &[u8], array: u32, count: u32) -> Option<Range<usize>> {
    let entry = match count {
        1 => &memory[range(memory, array, 8).ok()?],
        _ => return None,
    };
    let buffer = range(memory, word(entry, 0), word(entry, 4) as usize).ok()?;
    (!buffer.is_empty()).then_some(buffer)
}

/// The number at this place of a struct.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The long number at this place of a struct.
pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
