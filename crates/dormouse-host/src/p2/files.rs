//! Files. A write to a file is over when the call returns, as if it were a blocking one. wasmtime-wasi gives it to another thread, and the
//! program, which waits for it in its next call, is woken by that: 5 times the time of the write.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor as _};
use wasmtime_wasi::p2::{DynOutputStream, FsResult, StreamError, StreamResult};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::OutputStream;

use super::State;

/// Replaces the calls that make a file's output stream. For programs whose file calls may block the thread.
pub(super) fn written_at_once(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(versioned!("wasi:filesystem/types"))?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store, (file, offset): (Resource<Descriptor>, u64)| {
            let made = store.data_mut().filesystem().write_via_stream(file, offset);
            Ok((at_once(&mut store.data_mut().table, made)?,))
        },
    )?;
    types.func_wrap("[method]descriptor.append-via-stream", |mut store, (file,): (Resource<Descriptor>,)| {
        let made = store.data_mut().filesystem().append_via_stream(file);
        Ok((at_once(&mut store.data_mut().table, made)?,))
    })
}

type Made = Result<Resource<DynOutputStream>, ErrorCode>;

/// The stream that was made, as one that writes at once.
pub(super) fn at_once(table: &mut ResourceTable, made: FsResult<Resource<DynOutputStream>>) -> wasmtime::Result<Made> {
    match made {
        Ok(stream) => {
            let stream: DynOutputStream = Box::new(AtOnce(table.delete(stream)?));
            Ok(Ok(table.push(stream)?))
        }
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

struct AtOnce(DynOutputStream);

#[async_trait]
impl OutputStream for AtOnce {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let write = pin!(self.0.blocking_write_and_flush(bytes));
        match write.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(StreamError::trap("a write to a file that does not end")),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.0.cancel().await;
    }
}

#[async_trait]
impl Pollable for AtOnce {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}
