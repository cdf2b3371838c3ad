//! Limits. One number bounds all linear memories of a program together, and a refusal is remembered, so that the
//! trap that follows can say what to raise.

use wasmtime::ResourceLimiter;

/// Live handles in a guest and entries in the host's table. wasmtime's own limits (100 000 and 1 000 000) are made
/// for plug-ins: a TCP connection is 5 of each, so 100 000 handles are 20 000 connections. These are for a million.
pub(crate) const MAX_HANDLES: usize = 5_000_000;

/// Bounds the linear memories of one store.
pub(crate) struct Limits {
    max_memory: usize,
    used: usize,
    refused: bool,
}

impl Limits {
    pub(crate) fn new(max_memory: Option<usize>) -> Limits {
        Limits { max_memory: max_memory.unwrap_or(usize::MAX), used: 0, refused: false }
    }

    /// The limit in bytes, if memory was refused because of it.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused.then_some(self.max_memory)
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // The module's own limit, not ours.
        }
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.max_memory {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_covers_all_memories_together() {
        let mut limits = Limits::new(Some(3));
        assert!(limits.memory_growing(0, 2, None).unwrap());
        assert!(limits.memory_growing(0, 1, None).unwrap());
        assert_eq!(limits.refused(), None);
        assert!(!limits.memory_growing(1, 2, None).unwrap());
        assert_eq!(limits.refused(), Some(3));
    }

    #[test]
    fn a_modules_own_maximum_is_not_blamed_on_the_limit() {
        let mut limits = Limits::new(Some(10));
        assert!(!limits.memory_growing(0, 9, Some(8)).unwrap());
        assert_eq!(limits.refused(), None);
    }
}
