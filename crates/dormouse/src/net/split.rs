//! The two halves of a stream, borrowed or owned.

use std::fmt;
use std::net::Shutdown;

use super::TcpStream;

/// The half of a stream that reads; made by [`TcpStream::split`]. Its `AsRef` is the stream, for deadlines and addresses.
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a TcpStream);

/// The half of a stream that writes; made by [`TcpStream::split`]. Its `AsRef` is the stream, for deadlines and addresses.
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a TcpStream);

/// The half of a stream that reads; made by [`TcpStream::into_split`]. Its `AsRef` is the stream, for deadlines and
/// addresses.
#[derive(Debug)]
pub struct OwnedReadHalf(pub(super) TcpStream);

impl OwnedReadHalf {
    /// Puts the halves of one stream together again.
    ///
    /// # Errors
    /// [`ReuniteError`], which holds both, if they are of different streams.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !self.0.is_of(&other.stream) {
            return Err(ReuniteError(self, other));
        }
        other.forget();
        Ok(self.0)
    }
}

/// The half of a stream that writes; made by [`TcpStream::into_split`]. Dropping it shuts writing down. Its `AsRef` is the
/// stream, for deadlines and addresses.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: TcpStream,
    shut_down_on_drop: bool,
}

impl OwnedWriteHalf {
    pub(super) fn new(stream: TcpStream) -> Self {
        OwnedWriteHalf { stream, shut_down_on_drop: true }
    }

    /// Puts the halves of one stream together again.
    ///
    /// # Errors
    /// [`ReuniteError`], which holds both, if they are of different streams.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        other.reunite(self)
    }

    /// Drops it without shutting writing down.
    pub fn forget(mut self) {
        self.shut_down_on_drop = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shut_down_on_drop {
            // Fails only if the peer has gone or the stream is closed, and then it is shut down.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

/// Two halves that are not of one stream.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same stream")
    }
}

impl std::error::Error for ReuniteError {}
