//! A TCP socket that accepts connections.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::socket::{BIND, LISTEN};
use super::transient::{comes_again, is_transient};
use super::{TcpSocket, TcpStream, ToSocketAddrs};
use crate::base::told;
use crate::reactor::{Handle, Share};
use crate::sys::{Side, Source};
use crate::time::Instant;

/// Accepts TCP connections.
///
/// ```
/// use dormouse::net::{TcpListener, TcpStream};
/// # dormouse::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = dormouse::spawn(TcpStream::connect(listener.local_addr()?));
/// let (stream, peer) = listener.accept().await?;
/// assert_eq!(client.await??.local_addr()?, peer);
/// # drop(stream);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct TcpListener {
    pub(super) handle: Share,
}

impl TcpListener {
    /// Listens on an address; port 0 lets the host choose one, which [`local_addr`](TcpListener::local_addr) tells.
    /// Of several addresses the first that can be bound is taken. `[::]` is IPv6 alone on WASI; natively the system decides
    /// whether it is IPv4 as well.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` if the host's policy refuses the address, `InvalidInput` for
    /// what is no address, those of [`lookup_host`](super::lookup_host) for a name; `Unsupported` on wasip1.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        Ok(TcpSocket::open(addr.resolve().await?, &[BIND, LISTEN]).await?.into_listener())
    }

    /// Takes a listener that the host opened before the program began, if one is not taken yet, and else does
    /// [`bind`](Self::bind). So one program serves on every host:
    ///
    /// * On wasip1, which has no call to bind, it is a pre-opened descriptor. `dormouse run --listen ADDR` opens it, and which
    ///   address that is, is the host's affair: `addr` is not looked at.
    /// * Natively it is the one that systemd opened, if the program was started by socket activation.
    /// * On wasip2 it is `bind`.
    ///
    /// Several calls take several listeners, in the order in which the host opened them: `LISTEN_FDS` is how many there
    /// are, from descriptor 3 on. [`from_env`](Self::from_env) takes one by its name.
    ///
    /// ```
    /// use dormouse::net::TcpListener;
    /// # dormouse::block_on(async {
    /// let listener = TcpListener::bind_or_preopened("127.0.0.1:0").await?;
    /// println!("listening on {listener}"); // 127.0.0.1:43211, or FD 3
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`bind`](Self::bind); on wasip1 `Unsupported` if there is none.
    pub async fn bind_or_preopened(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        if let Some(listener) = Source::preopened(None)? {
            return Ok(TcpListener::on(Handle::new(listener)?));
        }
        // As `bind`, whose future would be another one inside of this.
        Ok(TcpSocket::open(addr.resolve().await?, &[BIND, LISTEN]).await?.into_listener())
    }

    /// The listener that the host opened before the program began and that it calls `name`: `dormouse run --listen
    /// ADDR=NAME`, or systemd's `FileDescriptorName=NAME`. `LISTEN_FDNAMES` has the names.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name.
    pub fn from_env(name: &str) -> io::Result<TcpListener> {
        match Source::preopened(Some(name))? {
            Some(listener) => Ok(TcpListener::on(Handle::new(listener)?)),
            None => Err(crate::io::error(
                io::ErrorKind::NotFound,
                format!(
                    "the host has opened no listener {name:?}; `dormouse run --listen ADDR={name}` opens one on wasip1"
                ),
            )),
        }
    }

    /// Gives the listener that the host opened as this descriptor. wasip1 only.
    ///
    /// A second call for the same descriptor shares it. It is closed once, when the last of them has been dropped or closed,
    /// in whatever order. It is Dormouse's from now on: std must not close it too.
    ///
    /// # Errors
    /// `NotFound` if the host has opened no such descriptor, `InvalidInput` if it is no stream socket, or a connection that this program has
    /// accepted, whose number may be the next one's when it is closed; `Unsupported` on all other targets. The
    /// [`accept`](Self::accept) of one that does not listen says so.
    pub fn from_fd(fd: u32) -> io::Result<TcpListener> {
        Ok(TcpListener::on(Handle::new(Source::from_fd(fd)?)?))
    }

    pub(super) fn on(handle: Handle) -> TcpListener {
        TcpListener { handle: Share::new(handle) }
    }

    /// Waits for a connection, and returns it with its peer's address. Safe to cancel: no connection is lost.
    ///
    /// On wasip1 the host does not tell the peer's address, and it is `0.0.0.0:0`, as std's is there;
    /// [`peer_addr`](TcpStream::peer_addr) says so with an error.
    ///
    /// # Errors
    /// `TimedOut` after the deadline, one that [`is_closed`](super::is_closed) recognises after [`close`](Self::close), and
    /// what the host says. After one that [`is_transient`](super::is_transient) recognises, go on accepting, or have
    /// [`accept_with_backoff`](Self::accept_with_backoff) do so. `ConnectionAborted` belongs to one connection. After
    /// `QuotaExceeded` or `OutOfMemory` the next one would fail as well: so the listener pauses, and the next accept waits until another
    /// socket of this program is closed, or for a time, which is 5 ms and is doubled at each failure up to a second.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = self.handle.retry(Side::Read, |listener| listener.try_accept()).await;
        self.conclude(accepted)
    }

    /// [`accept`](Self::accept) that goes on after an error that passes: what a server's loop calls. It fails only if the listener
    /// cannot be used any more, or after its deadline. Safe to cancel: no connection is lost.
    ///
    /// When the host has no more descriptors, new connections wait in the backlog, and the open ones go on. It tries again as soon as
    /// this program has closed a socket, and after 5 ms, 10 ms and so on, up to each second, since another program may have closed one.
    ///
    /// ```
    /// use dormouse::{io, net::TcpListener};
    ///
    /// async fn serve(listener: TcpListener) -> io::Result<()> {
    ///     loop {
    ///         let (conn, _) = listener.accept_with_backoff().await?;
    ///         dormouse::spawn(async move { io::copy(&conn, &conn).await });
    ///     }
    /// }
    /// # dormouse::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # listener.close()?;
    /// # assert!(dormouse::net::is_closed(&serve(listener).await.unwrap_err()));
    /// # io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`accept`](Self::accept), but for those that [`is_transient`](super::is_transient) recognises.
    pub async fn accept_with_backoff(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            // Not `accept`, whose future would be another one inside of this. The listener pauses by itself.
            let accepted = self.handle.retry(Side::Read, |listener| listener.try_accept()).await;
            match self.conclude(accepted) {
                Err(error) if is_transient(&error) => {}
                accepted => return accepted,
            }
        }
    }

    /// What an accept gives. If it would only fail again, the listener pauses.
    pub(super) fn conclude(&self, accepted: io::Result<(Source, SocketAddr)>) -> io::Result<(TcpStream, SocketAddr)> {
        conclude(&self.handle, accepted)
    }

    /// Returns the connections as a stream. An error of [`accept`](Self::accept) is an item as well, and the listener pauses as there;
    /// the error of a closed listener is the last item. Safe to drop.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { handle: self.handle.another(), ended: false, _listener: PhantomData }
    }

    /// Sets the deadline of [`accept`](Self::accept), also of one that is parked now: after it, an accept fails with `TimedOut`,
    /// even if there is a connection, which stays for later. A deadline in the past has passed; `None` is none, as at first.
    ///
    /// Makes no call of the host.
    ///
    /// # Errors
    /// If the listener is closed.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Read], deadline)
    }

    /// Makes another handle to the same listener, as [`std::net::TcpListener::try_clone`]. It is closed when the last of them is
    /// dropped, or when any of them is closed.
    ///
    /// # Errors
    /// If the listener is closed.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener { handle: self.handle.try_clone()? })
    }

    /// Stops listening, at once, for all clones: every [`accept`](Self::accept) in progress fails with an error that
    /// [`is_closed`](super::is_closed) recognises, and so does all that is called later. Dropping the last clone does the
    /// same.
    ///
    /// # Errors
    /// The same, if it is closed already.
    pub fn close(&self) -> io::Result<()> {
        self.handle.close()
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// `Unsupported` on wasip1, which has no call for it; else what the host says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.with(|listener| listener.local_addr())
    }
}

/// Where it listens: the address, or the descriptor (`FD 3`) where no address is known.
impl fmt::Display for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.local_addr(), self.handle.with(|listener| Ok(listener.fd()))) {
            (Ok(addr), _) => addr.fmt(f),
            (_, Ok(Some(fd))) => write!(f, "FD {fd}"),
            _ => f.write_str("nothing: it is closed"),
        }
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("local_addr", &self.local_addr().ok()).finish()
    }
}

/// Takes all listeners that the host opened before the program began and that are not taken yet: see
/// [`TcpListener::bind_or_preopened`].
///
/// ```
/// # dormouse::block_on(async {
/// for listener in dormouse::net::preopened_listeners()? {
///     println!("listening on {listener}");
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// If one of them cannot be used.
pub fn preopened_listeners() -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    while let Some(listener) = Source::preopened(None)? {
        listeners.push(TcpListener::on(Handle::new(listener)?));
    }
    Ok(listeners)
}

/// The connections of a listener; made by [`TcpListener::incoming`].
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    pub(super) handle: Share,
    ended: bool,
    _listener: PhantomData<&'a TcpListener>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let accepted = self.handle.poll_owned(Side::Read, cx, |listener| listener.try_accept());
        self.ended = matches!(&accepted, Poll::Ready(Err(error)) if super::is_closed(error));
        accepted.map(|accepted| Some(conclude(&self.handle, accepted).map(|(stream, _)| stream)))
    }
}

fn conclude(listener: &Handle, accepted: io::Result<(Source, SocketAddr)>) -> io::Result<(TcpStream, SocketAddr)> {
    match accepted {
        Ok((stream, peer)) => {
            listener.end_pauses();
            Ok((TcpStream::on(listener.sibling(stream)), peer))
        }
        Err(error) => {
            let error = told(error);
            if comes_again(&error) {
                listener.pause();
            }
            Err(error)
        }
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Incoming")
    }
}
