//! Subscriptions to what is wasmtime-wasi's: standard streams and files. Its own `poll_oneoff` waits for them, on a copy of
//! the subscriptions in a memory of their own, beside the wait for sockets.

use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::{GuestMemory, GuestPtr};

use super::errno::Errno;
use super::memory::long;

pub(super) const SUBSCRIPTION: usize = 48;
pub(super) const EVENT: usize = 32;
/// Types of subscriptions.
pub(super) const READ: u8 = 1;
pub(super) const WRITE: u8 = 2;

/// What is said of a subscription.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) error: u16,
    pub(super) flags: u16,
    pub(super) bytes: u64,
}

impl Told {
    pub(super) fn error(errno: Errno) -> Told {
        Told { error: errno.0, ..Told::default() }
    }
}

/// A clock that is due at once.
const NO_WAIT: [u8; SUBSCRIPTION] = {
    let mut clock = [0; SUBSCRIPTION];
    // The monotonic clock, relative, 0 ns; by no number that a subscription of the program has.
    clock[16] = 1;
    clock[7] = 0xff;
    clock
};

/// Whether wasmtime-wasi's descriptor of this number is ready now, for [`READ`] or for [`WRITE`]. An error counts: the call that follows
/// tells it.
pub(super) async fn is_ready(ctx: &mut WasiP1Ctx, number: u32, side: u8) -> wasmtime::Result<bool> {
    let mut memory = [0; 2 * (SUBSCRIPTION + EVENT)];
    memory[8] = side;
    memory[16..20].copy_from_slice(&number.to_le_bytes());
    memory[SUBSCRIPTION..2 * SUBSCRIPTION].copy_from_slice(&NO_WAIT);
    let events = 2 * SUBSCRIPTION;
    let guest = &mut GuestMemory::Unshared(&mut memory);
    let fired = match ctx.poll_oneoff(guest, GuestPtr::new(0), GuestPtr::new(events as u32), 2).await {
        Ok(fired) => fired as usize,
        Err(error) => return error.downcast().map(|_| true),
    };
    Ok(memory[events..].chunks_exact(EVENT).take(fired).any(|event| event[10] == side))
}

/// Kept between calls, so that none of them allocates.
#[derive(Default)]
pub(super) struct Others {
    /// The subscriptions, with wasmtime-wasi's descriptors, and their indices for userdata.
    copies: Vec<u8>,
    /// What one call sees: subscriptions, and room for their events.
    memory: Vec<u8>,
    /// In the order of the subscriptions, which wasmtime-wasi keeps.
    told: Vec<(u32, Told)>,
}

impl Others {
    /// Forgets the subscriptions of the call before.
    pub(super) fn clear(&mut self) {
        self.copies.clear();
        self.told.clear();
    }

    /// How many copies there are.
    pub(super) fn len(&self) -> usize {
        self.copies.len() / SUBSCRIPTION
    }

    /// Takes a copy of a subscription, the one with this index, to wasmtime-wasi's descriptor of this number.
    pub(super) fn push(&mut self, subscription: &[u8], index: u32, number: u32) {
        let start = self.copies.len();
        self.copies.extend_from_slice(subscription);
        let copy = &mut self.copies[start..];
        copy[..8].copy_from_slice(&u64::from(index).to_le_bytes());
        copy[16..20].copy_from_slice(&number.to_le_bytes());
    }

    /// What is said of a subscription, if anything.
    pub(super) fn told(&self, index: u32) -> Option<Told> {
        self.told.binary_search_by_key(&index, |(of, _)| *of).ok().map(|at| self.told[at].1)
    }

    /// Waits until there is something to say; for ever if there is nothing to wait for.
    pub(super) async fn wait(&mut self, ctx: &mut WasiP1Ctx) -> wasmtime::Result<()> {
        match self.copies.is_empty() {
            true => std::future::pending().await,
            // Boxed: where there are none, as in a server of sockets, no call is to have room for this in its future.
            false => Box::pin(self.ask(ctx, false)).await,
        }
    }

    /// Says what there is to say now.
    pub(super) async fn look(&mut self, ctx: &mut WasiP1Ctx) -> wasmtime::Result<()> {
        match self.copies.is_empty() {
            true => Ok(()),
            false => Box::pin(self.ask(ctx, true)).await,
        }
    }

    async fn ask(&mut self, ctx: &mut WasiP1Ctx, at_once: bool) -> wasmtime::Result<()> {
        let all = 0..self.copies.len() / SUBSCRIPTION;
        if self.call(ctx, all.clone(), at_once).await? == 0 {
            return Ok(());
        }
        // It refuses all for one that it does not know. Each by itself, then.
        for one in all {
            let errno = self.call(ctx, one..one + 1, true).await?;
            if errno != 0 {
                let index = long(&self.copies, one * SUBSCRIPTION) as u32;
                self.told.push((index, Told::error(Errno(errno))));
            }
        }
        Ok(())
    }

    /// Calls wasmtime-wasi about some of the copies, and notes what it says; gives its error.
    async fn call(
        &mut self,
        ctx: &mut WasiP1Ctx,
        which: std::ops::Range<usize>,
        at_once: bool,
    ) -> wasmtime::Result<u16> {
        self.memory.clear();
        self.memory.extend_from_slice(&self.copies[which.start * SUBSCRIPTION..which.end * SUBSCRIPTION]);
        if at_once {
            self.memory.extend_from_slice(&NO_WAIT);
        }
        let count = self.memory.len() / SUBSCRIPTION;
        let events = self.memory.len();
        self.memory.resize(events + count * EVENT, 0);
        let memory = &mut GuestMemory::Unshared(&mut self.memory);
        let polled = ctx.poll_oneoff(memory, GuestPtr::new(0), GuestPtr::new(events as u32), count as u32).await;
        let fired = match polled {
            Ok(fired) => fired,
            Err(error) => return Ok(error.downcast()? as u16),
        };
        for event in self.memory[events..].chunks_exact(EVENT).take(fired as usize) {
            let Ok(index) = u32::try_from(long(event, 0)) else { continue };
            let told = Told {
                error: u16::from_le_bytes([event[8], event[9]]),
                flags: u16::from_le_bytes([event[24], event[25]]),
                bytes: long(event, 16),
            };
            self.told.push((index, told));
        }
        Ok(0)
    }
}
