//! Streams. The two halves of a connection are ours; every other stream is wasmtime-wasi's.

use std::mem::take;

use tokio::task::yield_now;
use wasmtime::component::{Linker, Resource, WasmList};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};
use wasmtime_wasi_io::bindings::wasi::io::streams::{self, Host as _, HostInputStream, HostOutputStream};

use super::table::{Own, is_ours};
use super::tcp::{MOST, Tcp};
use super::{State, View};

/// What one call that blocks may write, in bytes: the specification's number.
const MOST_AT_ONCE: usize = 4096;
/// After so many reads that had no need to wait tokio gets its turn, for what else it runs: the flusher, and an embedder's tasks. Each turn
/// is a system call.
const READS: u32 = 16;

impl Own {
    fn read(&mut self, rep: u32, len: u64) -> StreamResult<Vec<u8>> {
        let mut spare = take(&mut self.spare);
        let read = self.get_mut(rep)?.read(usize::try_from(len).unwrap_or(usize::MAX), &mut spare);
        self.spare = spare;
        read
    }

    async fn blocking_read(&mut self, rep: u32, len: u64) -> StreamResult<Vec<u8>> {
        if self.reads == READS {
            self.reads = 0;
            yield_now().await;
        }
        loop {
            let bytes = self.read(rep, len)?;
            if !bytes.is_empty() {
                self.reads += 1;
                return Ok(bytes);
            }
            self.reads = 0;
            self.wait(rep).await.map_err(StreamError::Trap)?;
            if len == 0 {
                return self.read(rep, 0);
            }
        }
    }

    fn write(&mut self, rep: u32, bytes: &[u8]) -> StreamResult<()> {
        let flusher = &self.flusher.clone();
        let tcp = self.get_mut(rep)?;
        tcp.begin_write(bytes.len())?;
        let sent = tcp.send(bytes, flusher);
        tcp.sent(sent, flusher)
    }

    fn check_write(&mut self, rep: u32) -> StreamResult<usize> {
        let most = self.flusher.permit();
        self.get_mut(rep)?.check_write(most)
    }

    /// How much may be written, when something may.
    async fn write_ready(&mut self, rep: u32) -> StreamResult<usize> {
        loop {
            match self.check_write(rep)? {
                0 => self.wait(rep).await.map_err(StreamError::Trap)?,
                permit => return Ok(permit),
            }
        }
    }

    /// Waits until the system has taken all that was written.
    async fn flushed(&mut self, rep: u32) -> StreamResult<()> {
        self.wait_until(rep, Tcp::is_flushed).await.map_err(StreamError::Trap)?;
        self.get_mut(rep)?.flush()
    }

    async fn write_and_flush(&mut self, rep: u32, mut bytes: &[u8]) -> StreamResult<()> {
        loop {
            let permit = self.write_ready(rep).await?;
            let (now, later) = bytes.split_at(bytes.len().min(permit));
            self.write(rep, now)?;
            if later.is_empty() {
                break;
            }
            bytes = later;
        }
        match self.flushed(rep).await {
            // All has been written.
            Err(StreamError::Closed) => Ok(()),
            flushed => flushed,
        }
    }
}

impl streams::Host for View<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        self.table.convert_stream_error(error)
    }
}

impl HostInputStream for View<'_> {
    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        match is_ours(stream.rep()) {
            true => self.own.read(stream.rep(), len),
            false => HostInputStream::read(self.table, stream, len),
        }
    }

    async fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        match is_ours(stream.rep()) {
            true => self.own.blocking_read(stream.rep(), len).await,
            false => HostInputStream::blocking_read(self.table, stream, len).await,
        }
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        match is_ours(stream.rep()) {
            true => self.own.read(stream.rep(), len).map(|bytes| bytes.len() as u64),
            false => HostInputStream::skip(self.table, stream, len),
        }
    }

    async fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        match is_ours(stream.rep()) {
            true => self.own.blocking_read(stream.rep(), len).await.map(|bytes| bytes.len() as u64),
            false => HostInputStream::blocking_skip(self.table, stream, len).await,
        }
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        match is_ours(stream.rep()) {
            true => Ok(Resource::new_own(self.own.subscribe(stream.rep())?)),
            false => HostInputStream::subscribe(self.table, stream),
        }
    }

    async fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        match is_ours(stream.rep()) {
            true => Ok(self.own.drop_part(stream.rep())?),
            false => HostInputStream::drop(self.table, stream).await,
        }
    }
}

impl HostOutputStream for View<'_> {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        match is_ours(stream.rep()) {
            true => self.own.check_write(stream.rep()).map(|permit| permit as u64),
            false => HostOutputStream::check_write(self.table, stream),
        }
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        match is_ours(stream.rep()) {
            true => self.own.write(stream.rep(), &bytes),
            false => HostOutputStream::write(self.table, stream, bytes),
        }
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        if !is_ours(stream.rep()) {
            return HostOutputStream::blocking_write_and_flush(self.table, stream, bytes).await;
        }
        if bytes.len() > MOST_AT_ONCE {
            return Err(StreamError::trap("blocking-write-and-flush takes at most 4096 bytes"));
        }
        self.own.write_and_flush(stream.rep(), &bytes).await
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        if !is_ours(stream.rep()) {
            return HostOutputStream::write_zeroes(self.table, stream, len);
        }
        if len > MOST as u64 {
            return Err(StreamError::Trap(wasmtime::format_err!("not permitted to write {len} zeroes")));
        }
        // As in wasmtime, it may come without a permit if there would be one.
        if (self.own.get(stream.rep())?.permit() as u64) < len {
            self.own.check_write(stream.rep())?;
        }
        self.own.write(stream.rep(), &vec![0; len as usize])
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        if !is_ours(stream.rep()) {
            return HostOutputStream::blocking_write_zeroes_and_flush(self.table, stream, len).await;
        }
        if len > MOST_AT_ONCE as u64 {
            return Err(StreamError::trap("blocking-write-zeroes-and-flush takes at most 4096 bytes"));
        }
        self.own.write_and_flush(stream.rep(), &[0; MOST_AT_ONCE][..len as usize]).await
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        match is_ours(stream.rep()) {
            true => self.own.get_mut(stream.rep())?.flush(),
            false => HostOutputStream::flush(self.table, stream),
        }
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        match is_ours(stream.rep()) {
            true => self.own.flushed(stream.rep()).await,
            false => HostOutputStream::blocking_flush(self.table, stream).await,
        }
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        match is_ours(stream.rep()) {
            true => Ok(Resource::new_own(self.own.subscribe(stream.rep())?)),
            false => HostOutputStream::subscribe(self.table, stream),
        }
    }

    fn splice(&mut self, to: Resource<DynOutputStream>, from: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        if !is_ours(to.rep()) && !is_ours(from.rep()) {
            return HostOutputStream::splice(self.table, to, from, len);
        }
        let permit = self.check_write(Resource::new_borrow(to.rep()))?;
        if permit.min(len) == 0 {
            return Ok(0);
        }
        let bytes = HostInputStream::read(self, from, permit.min(len))?;
        let moved = bytes.len() as u64;
        if moved > 0 {
            HostOutputStream::write(self, to, bytes)?;
        }
        Ok(moved)
    }

    async fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        if !is_ours(to.rep()) && !is_ours(from.rep()) {
            return HostOutputStream::blocking_splice(self.table, to, from, len).await;
        }
        let permit = match is_ours(to.rep()) {
            true => self.own.write_ready(to.rep()).await?,
            false => self.table.get_mut(&to)?.write_ready().await?,
        };
        let len = len.min(permit as u64);
        if len == 0 {
            return Ok(0);
        }
        let bytes = HostInputStream::blocking_read(self, from, len).await?;
        let moved = bytes.len() as u64;
        match is_ours(to.rep()) {
            true => self.own.write_and_flush(to.rep(), &bytes).await?,
            false => self.table.get_mut(&to)?.blocking_write_and_flush(bytes.into()).await?,
        }
        Ok(moved)
    }

    async fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        match is_ours(stream.rep()) {
            true => Ok(self.own.drop_part(stream.rep())?),
            false => HostOutputStream::drop(self.table, stream).await,
        }
    }
}

/// The call of all that is made most often, without a copy: the system takes the bytes from the program's memory.
pub(super) fn write_without_copy(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut streams = linker.instance(versioned!("wasi:io/streams"))?;
    type Write = (Resource<DynOutputStream>, WasmList<u8>);
    streams.func_wrap("[method]output-stream.write", |mut store, (stream, bytes): Write| {
        let rep = stream.rep();
        let written = match is_ours(rep) {
            true => {
                let len = bytes.as_le_slice(&store).len();
                match store.data_mut().own.get_mut(rep)?.begin_write(len) {
                    Ok(()) => {
                        let own = &store.data().own;
                        let sent = own.get(rep)?.send(bytes.as_le_slice(&store), &own.flusher);
                        let own = &mut store.data_mut().own;
                        let flusher = own.flusher.clone();
                        own.get_mut(rep)?.sent(sent, &flusher)
                    }
                    no => no,
                }
            }
            false => {
                let bytes = bytes.as_le_slice(&store).to_vec();
                HostOutputStream::write(&mut store.data_mut().table, stream, bytes)
            }
        };
        match written {
            Ok(()) => Ok((Ok(()),)),
            Err(error) => Ok((Err(store.data_mut().table.convert_stream_error(error)?),)),
        }
    })
}
