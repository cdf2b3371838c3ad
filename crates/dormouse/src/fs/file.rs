//! An open file.

use std::fmt;
use std::fs;
use std::future::poll_fn;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::{context, of_read};
use crate::reactor::{Handle, Moved, Reactor, Share};
use crate::sys::{PIPE_BUF, Side, Source, file_error};

/// An open file, pipe or device.
///
/// Reads, writes and seeks take `&self`, and [`AsyncRead`], [`AsyncWrite`] and [`AsyncSeek`] are there for `&File` as well.
/// Nothing is buffered. Dropping it closes it.
///
/// ```no_run
/// use dormouse::{fs::File, io::SeekFrom};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// # dormouse::block_on(async {
/// File::create("notes.txt").await?.write_all(b"hello, file").await?;
///
/// let mut file = File::open("notes.txt").await?;
/// file.seek(SeekFrom::Start(7)).await?;
/// let mut text = String::new();
/// file.read_to_string(&mut text).await?;
/// assert_eq!(text, "file");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// What is not here, such as `set_len`, is on the [`std::fs::File`] that [`AsRef`] gives.
pub struct File {
    /// What to wait on before each read or write; `None` if the file is always ready. Dropped before file: where there is
    /// no second descriptor, it is the same one.
    wait: Option<Share>,
    /// Shared by clones: WASI has no other descriptor for the same file.
    file: Rc<fs::File>,
}

impl File {
    /// Opens a file for reading.
    ///
    /// Opening a FIFO waits for its other end, with the whole program. To open it for both, which does not wait on Linux,
    /// or with other options, see [`from_std`](File::from_std).
    ///
    /// ```
    /// # dormouse::block_on(async {
    /// let error = dormouse::fs::File::open("no/such").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    /// assert!(error.to_string().starts_with("open no/such: "));
    /// # });
    /// ```
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied` and what else the host says.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        fs::File::open(path).and_then(File::from_std).map_err(|error| context(error, "open", path))
    }

    /// Opens a file for writing, and makes it empty, or creates it.
    ///
    /// ```no_run
    /// # dormouse::block_on(async {
    /// use futures_lite::AsyncWriteExt;
    /// dormouse::fs::File::create("notes.txt").await?.write_all(b"hello").await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`open`](File::open).
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        fs::File::create(path).and_then(File::from_std).map_err(|error| context(error, "create", path))
    }

    /// Wraps a file that std has opened, or a pipe.
    ///
    /// ```no_run
    /// use dormouse::fs::File;
    /// use std::fs::OpenOptions;
    /// # dormouse::block_on(async {
    /// let log = File::from_std(OpenOptions::new().append(true).create(true).open("log.txt")?)?;
    /// log.write(b"started\n").await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the host says: a pipe or a device needs one more descriptor, to be waited on. `Unsupported` for those in a
    /// simulation.
    pub fn from_std(file: fs::File) -> io::Result<File> {
        let wait = match Source::file(&file)? {
            Some(source) => Some(Share::new(Handle::new(source)?)),
            None => None,
        };
        Ok(File { wait, file: Rc::new(file) })
    }

    /// Reads some bytes at the file's position, waiting for at least one. `Ok(0)` is the end, or an empty `buf`.
    /// Safe to cancel: nothing that was read is lost.
    ///
    /// # Errors
    /// What the host says.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.wait {
            Some(wait) => wait.retry(Side::Read, |source| try_read(source, &self.file, buf)).await,
            None => poll_fn(|cx| poll_now(cx, || read(&self.file, buf))).await,
        }
    }

    /// Writes some of `buf` at the file's position, and returns how much: a pipe takes no more than 4 KiB at a time.
    /// Safe to cancel: a future that is dropped has written nothing.
    ///
    /// # Errors
    /// `BrokenPipe` if the pipe has no reader any more, and what else the host says.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match &self.wait {
            Some(wait) => wait.retry(Side::Write, |source| try_write(source, &self.file, buf)).await,
            None => poll_fn(|cx| poll_now(cx, || (&*self.file).write(buf))).await,
        }
    }

    /// Moves the file's position, and returns it, in bytes from the beginning. It may be after the end.
    ///
    /// # Errors
    /// `NotSeekable` for a pipe, `InvalidInput` for a place before the beginning.
    pub async fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        (&*self.file).seek(to).map_err(file_error)
    }

    /// Does nothing: the host has what was written. See [`sync_all`](File::sync_all).
    ///
    /// # Errors
    /// None.
    pub async fn flush(&self) -> io::Result<()> {
        (&*self.file).flush()
    }

    /// Waits, with the whole program, until the file's content and metadata are on the disk.
    ///
    /// # Errors
    /// What the host says.
    pub async fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all().map_err(file_error)
    }

    /// Returns the file's metadata: its length, its type.
    ///
    /// # Errors
    /// What the host says.
    pub async fn metadata(&self) -> io::Result<fs::Metadata> {
        self.file.metadata().map_err(file_error)
    }

    /// Makes another handle to the same file; both have one position, as
    /// [`std::fs::File::try_clone`]. The file is closed when the last of them is dropped.
    ///
    /// # Errors
    /// None.
    pub fn try_clone(&self) -> io::Result<File> {
        Ok(File { wait: self.wait.as_ref().map(Share::another), file: Rc::clone(&self.file) })
    }
}

impl AsRef<fs::File> for File {
    /// What is called on it does not park.
    fn as_ref(&self) -> &fs::File {
        &self.file
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

/// Reads what is always ready.
fn read(mut file: &fs::File, buf: &mut [u8]) -> io::Result<usize> {
    file.read(buf).map_err(|error| of_read(error, || file.metadata().is_ok_and(|found| found.is_dir())))
}

/// Reads if that does not have to wait.
fn try_read(source: &Source, mut file: &fs::File, buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    source.try_ready(Side::Read)?;
    file.read(buf).map_err(file_error)
}

/// Writes as much as does not have to wait.
fn try_write(source: &Source, mut file: &fs::File, buf: &[u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    source.try_ready(Side::Write)?;
    file.write(&buf[..buf.len().min(PIPE_BUF)]).map_err(file_error)
}

/// Runs an operation that is always ready. It counts as any other, so that the task leaves others their turn.
fn poll_now<T: Moved>(cx: &mut Context<'_>, mut op: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    let reactor = Reactor::running();
    if let Some(reactor) = &reactor {
        ready!(reactor.poll_budget(cx));
    }
    loop {
        match op() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(done) => {
                if let Some(reactor) = &reactor {
                    reactor.spend(done.bytes());
                }
                return Poll::Ready(Ok(done));
            }
            Err(error) => return Poll::Ready(Err(file_error(error))),
        }
    }
}

macro_rules! traits {
    ($handle:ty, $poll:ident) => {
        impl AsyncRead for $handle {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                match &self.wait {
                    Some(wait) => wait.$poll(Side::Read, cx, |source| try_read(source, &self.file, buf)),
                    None => poll_now(cx, || read(&self.file, buf)),
                }
            }
        }

        impl AsyncWrite for $handle {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match &self.wait {
                    Some(wait) => wait.$poll(Side::Write, cx, |source| try_write(source, &self.file, buf)),
                    None => poll_now(cx, || (&*self.file).write(buf)),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready((&*self.file).flush())
            }

            /// Flushes; dropping the file closes it.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_flush(cx)
            }
        }

        impl AsyncSeek for $handle {
            fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
                poll_now(cx, || (&*self.file).seek(to))
            }
        }
    };
}

traits!(&File, poll_shared);
traits!(File, poll_owned);
