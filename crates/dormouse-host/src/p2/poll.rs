//! Poll. The one call that waits, for sockets of ours and for what is wasmtime-wasi's, together.
//!
//! A pass over the list looks at a byte for each of ours. If none is ready, the call sleeps until a mark, or until wasmtime-wasi's own
//! `poll`, which gets those of the pollables that are its. A call that need not sleep gives tokio's reactor a turn, so that nothing
//! that is always ready hides the sockets. A second pass tells.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::task::yield_now;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll::{self, HostPollable};

use super::View;
use super::table::{BELL, Own, is_ours};
use super::tcp::Tcp;

/// Room that is made for what is ready, at the most, before it is known how many are.
const MANY: usize = 64;

impl Own {
    /// Whether a pollable of ours is ready. One that is not there is: the pass that tells fails for it.
    fn is_ready(&self, rep: u32) -> bool {
        self.part_is_ready(rep).unwrap_or(true)
    }

    /// Whether a pollable of ours is ready, in a list that has the bell or not.
    fn any_ready(&self, list: &[Resource<DynPollable>], has_bell: bool) -> bool {
        let is_ready = |rep: u32| is_ours(rep) && rep != BELL && self.poll_part(rep).unwrap_or(true);
        // By now each of the list has been looked at: what the bell counts is outside of it.
        list.iter().any(|pollable| is_ready(pollable.rep())) || has_bell && self.hub.bell.rings()
    }

    /// Waits until a part of a socket is ready.
    pub(super) async fn wait(&self, rep: u32) -> wasmtime::Result<()> {
        self.part_is_ready(rep)?;
        self.until(|| self.is_ready(rep)).await
    }

    /// Waits until something is so that a mark or the flusher makes so.
    pub(super) async fn wait_until(&self, rep: u32, is_so: impl Fn(&Tcp) -> bool) -> wasmtime::Result<()> {
        let tcp = self.get(rep)?;
        self.until(|| is_so(tcp)).await
    }

    async fn until(&self, is_so: impl Fn() -> bool) -> wasmtime::Result<()> {
        let mut slept = false;
        poll_fn(|cx| {
            // Before the look: what is marked after it wakes us.
            self.hub.wait(cx);
            if is_so() {
                return Poll::Ready(());
            }
            slept = true;
            Poll::Pending
        })
        .await;
        if !slept {
            yield_now().await;
        }
        Ok(())
    }
}

impl poll::Host for View<'_> {
    async fn poll(&mut self, list: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if list.is_empty() {
            wasmtime::bail!("empty poll list");
        }
        if let Some(trace) = self.trace {
            trace.count_poll_entries(list.len());
        }
        let own = &*self.own;
        let has_bell = own.has_bell() && list.iter().any(|pollable| pollable.rep() == BELL);
        loop {
            // Where wasmtime-wasi's pollables are in the list.
            let at: Vec<u32> =
                (0..).zip(&list).filter(|(_, pollable)| !is_ours(pollable.rep())).map(|(index, _)| index).collect();
            let theirs = at.iter().map(|&index| Resource::new_borrow(list[index as usize].rep())).collect();
            let mut theirs = pin!((!at.is_empty()).then(|| poll::Host::poll(self.table, theirs)));
            let (mut told, mut slept) = (None, false);
            poll_fn(|cx| {
                // Before the look: what is marked after it wakes us.
                own.hub.wait(cx);
                if let Some(theirs) = theirs.as_mut().as_pin_mut()
                    && let Poll::Ready(ready) = theirs.poll(cx)
                {
                    told = Some(ready);
                }
                if told.is_some() || own.any_ready(&list, has_bell) {
                    return Poll::Ready(());
                }
                slept = true;
                Poll::Pending
            })
            .await;
            if !slept {
                // The reactor's turn, and that of who wants to stop us.
                yield_now().await;
            }
            let mut ready = Vec::with_capacity(list.len().min(MANY));
            for (index, pollable) in (0..).zip(&list).filter(|(_, pollable)| is_ours(pollable.rep())) {
                if pollable.rep() != BELL && own.poll_part(pollable.rep())? {
                    ready.push(index);
                }
            }
            let rings = has_bell && own.hub.bell.tell();
            if rings {
                ready.extend((0..).zip(&list).filter(|(_, pollable)| pollable.rep() == BELL).map(|(index, _)| index));
                ready.sort_unstable();
            }
            if let Some(told) = told {
                ready.extend(told?.into_iter().map(|index| at[index as usize]));
                ready.sort_unstable();
            }
            if !ready.is_empty() {
                return Ok(ready);
            }
        }
    }
}

impl HostPollable for View<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        match is_ours(pollable.rep()) {
            true => self.own.wait(pollable.rep()).await,
            false => HostPollable::block(self.table, pollable).await,
        }
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let rep = pollable.rep();
        if !is_ours(rep) {
            return HostPollable::ready(self.table, pollable).await;
        }
        if self.own.part_is_ready(rep)? {
            return Ok(true);
        }
        // A program that asks again and again gives tokio no turn otherwise.
        yield_now().await;
        Ok(self.own.is_ready(rep))
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        match is_ours(pollable.rep()) {
            true => Ok(self.own.drop_pollable(pollable.rep())?),
            false => HostPollable::drop(self.table, pollable),
        }
    }
}
