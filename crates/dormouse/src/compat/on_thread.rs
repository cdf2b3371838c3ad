//! `Send` for libraries that ask for it, where there is only one thread.

use std::io::{self, IoSlice, IoSliceMut};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use send_wrapper::SendWrapper;

/// A stream that is [`Send`], for a library that asks for it: `redis`' connections, or a pool that is shared. It stays on its thread.
///
/// It is for streams what [`SendWrapper`] is for futures.
///
/// ```
/// use dormouse::{io::OnThread, net::{TcpListener, TcpStream}};
///
/// fn needs_send(_: impl futures_io::AsyncRead + Send) {}
///
/// # dormouse::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// needs_send(OnThread::new(TcpStream::connect(listener.local_addr()?).await?));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Panics
/// When it is used, or dropped, on another thread than the one that made it.
#[derive(Debug)]
pub struct OnThread<T>(SendWrapper<T>);

impl<T> OnThread<T> {
    /// Of this thread.
    pub fn new(stream: T) -> Self {
        OnThread(SendWrapper::new(stream))
    }

    /// What it was made of.
    ///
    /// # Panics
    /// On another thread.
    pub fn into_inner(self) -> T {
        self.0.take()
    }
}

impl<T> Deref for OnThread<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for OnThread<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for OnThread<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self).poll_read_vectored(cx, bufs)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for OnThread<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self).poll_close(cx)
    }
}
