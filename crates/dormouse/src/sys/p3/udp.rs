//! UDP over `wasi:sockets`. A datagram is a call that goes on by itself: a receive stays under way until one comes, and a
//! send until the host has room; both are looked at by the operations that follow.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use wasip3::sockets::types::{ErrorCode, IpSocketAddress, UdpSocket};

use super::abi::Waitable;
use super::call::Call;
use super::net::{error, family, from_wasi, to_wasi};
use super::{Other, Source, State, TOO_LARGE};
use crate::sys::Side;

/// No datagram is longer. The host would say so, but traps at a list of 2^28 bytes.
const MOST: usize = u16::MAX as usize;

type Datagram = (Vec<u8>, IpSocketAddress);

struct Udp {
    socket: Rc<UdpSocket>,
    sending: Option<Call<io::Result<()>>>,
    receiving: Option<Call<io::Result<Datagram>>>,
    /// Received, and not asked for yet.
    received: Option<Datagram>,
}

impl Other for Udp {
    fn under_way(&mut self, side: Side) -> Option<Waitable> {
        match side {
            Side::Read => self.receiving.as_ref()?.under_way(),
            Side::Write => self.sending.as_ref()?.under_way(),
        }
    }

    fn is_pending(&mut self) -> bool {
        self.settle().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Udp {
    /// Sees the datagram that is on its way off. Its error, if any, is that of the operation that follows.
    fn settle(&mut self) -> io::Result<()> {
        let Some(call) = &mut self.sending else { return Ok(()) };
        let Some(result) = call.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.sending = None;
        result
    }

    fn send(&mut self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.settle()?;
        if buf.len() > MOST {
            return Err(io::Error::from_raw_os_error(TOO_LARGE));
        }
        let (socket, data, to) = (Rc::clone(&self.socket), buf.to_vec(), to.map(to_wasi));
        match Call::new(async move { socket.send(data, to).await.map_err(error) }) {
            Ok(result) => result?,
            Err(call) => self.sending = Some(call),
        }
        Ok(buf.len())
    }

    fn receive(&mut self) -> io::Result<Datagram> {
        if let Some(datagram) = self.received.take() {
            return Ok(datagram);
        }
        if let Some(call) = &mut self.receiving {
            let Some(result) = call.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
            self.receiving = None;
            return result;
        }
        let socket = Rc::clone(&self.socket);
        match Call::new(async move { socket.receive().await.map_err(error) }) {
            Ok(result) => result,
            Err(call) => {
                self.receiving = Some(call);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }
}

impl Source {
    pub(crate) fn udp(v6: bool) -> io::Result<Self> {
        let socket = Rc::new(UdpSocket::create(family(v6)).map_err(error)?);
        let udp = Udp { socket, sending: None, receiving: None, received: None };
        Ok(Source::new(State::Other(Box::new(udp))))
    }

    pub(crate) fn start_bind_udp(&self, addr: SocketAddr) -> io::Result<()> {
        self.udp_socket()?.bind(to_wasi(addr)).map_err(error)
    }

    pub(crate) fn try_finish_bind_udp(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn into_udp(self) -> Source {
        self
    }

    /// Talks to this peer alone from now on, or, once bound, to all. The poller does not know the source now.
    pub(crate) fn connect_udp(&mut self, peer: Option<SocketAddr>) -> io::Result<()> {
        self.with_udp(|udp| {
            // What has come already is kept if it is of this peer. What is waited for would be of the other.
            if let Some(Ok(datagram)) = udp.receiving.as_mut().and_then(Call::try_finish) {
                udp.received = Some(datagram);
            }
            udp.receiving = None;
            udp.received.take_if(|(_, from)| peer.is_some_and(|peer| from_wasi(*from) != peer));
            match peer {
                Some(peer) => udp.socket.connect(to_wasi(peer)).map_err(error),
                None => Ok(()),
            }
        })
    }

    pub(crate) fn try_send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.with_udp(|udp| udp.send(buf, to))
    }

    /// How many of them have been sent.
    pub(crate) fn try_send_many(&self, datagrams: &[(&[u8], Option<SocketAddr>)]) -> io::Result<usize> {
        self.with_udp(|udp| {
            for (sent, &(data, to)) in datagrams.iter().enumerate() {
                match udp.send(data, to) {
                    Ok(_) => {}
                    Err(error) if sent == 0 => return Err(error),
                    Err(_) => return Ok(sent),
                }
            }
            Ok(datagrams.len())
        })
    }

    pub(crate) fn try_receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        self.with_udp(|udp| {
            let (data, from) = udp.receive()?;
            let n = data.len().min(buf.len());
            buf[..n].copy_from_slice(&data[..n]);
            if peek {
                udp.received = Some((data, from));
            }
            Ok((n, from_wasi(from)))
        })
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        self.udp_socket()?.get_local_address().map(from_wasi).map_err(error)
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        self.udp_socket()?.get_remote_address().map(from_wasi).map_err(|code| match code {
            ErrorCode::InvalidState => io::ErrorKind::NotConnected.into(),
            code => error(code),
        })
    }

    pub(super) fn udp_socket(&self) -> io::Result<Rc<UdpSocket>> {
        self.with_udp(|udp| Ok(Rc::clone(&udp.socket)))
    }

    fn with_udp<T>(&self, call: impl FnOnce(&mut Udp) -> io::Result<T>) -> io::Result<T> {
        let State::Other(other) = &mut *self.state.borrow_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        let other: &mut dyn Any = &mut **other;
        call(other.downcast_mut().ok_or(io::ErrorKind::NotConnected)?)
    }
}
