//! Sockets. `wasi:sockets/tcp` and `tcp-create-socket`, over [`Tcp`].

use std::io;
use std::time::Duration;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{self as wasi, HostTcpSocket, ShutdownType, TcpSocket};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, IoError, SocketError, SocketResult};

use super::table::Part;
use super::tcp::Tcp;
use super::{View, refused};
use crate::net::limits::Counted;
use crate::net::socket::Socket;
use crate::net::tcp::{self, Family};

impl View<'_> {
    fn tcp(&mut self, this: &Resource<TcpSocket>) -> SocketResult<&mut Tcp> {
        Ok(self.own.get_mut(this.rep())?)
    }

    fn socket(&self, this: &Resource<TcpSocket>) -> SocketResult<&Socket> {
        Ok(self.own.get(this.rep())?.socket()?)
    }

    /// Gives the program the two streams of a connection.
    fn streams(&mut self, rep: u32) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let input = self.own.give(rep, Part::Input)?;
        let output = self.own.give(rep, Part::Output)?;
        Ok((Resource::new_own(input), Resource::new_own(output)))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.own.net.open_tcp().map_err(|no| refused(&self.own.net, no))?;
        let family = match family {
            IpAddressFamily::Ipv4 => Family::V4,
            IpAddressFamily::Ipv6 => Family::V6,
        };
        let own = &mut *self.own;
        let counted = Counted::new(&own.net.sockets);
        let tcp = Tcp::create(family, counted, &own.hub, &own.net)?;
        Ok(Resource::new_own(own.insert(tcp)?))
    }
}

impl wasi::Host for View<'_> {}

/// wasmtime's bindings want it of who has TCP. The interface itself is wasmtime-wasi's, which does the same.
impl network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<io::Error>().map(ErrorCode::from))
    }
}

impl network::HostNetwork for View<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl HostTcpSocket for View<'_> {
    async fn start_bind(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        addr: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let net = self.own.net.clone();
        Ok(self.tcp(&this)?.start_bind(addr.into(), &net)?)
    }

    fn finish_bind(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.tcp(&this)?.finish_bind()?)
    }

    fn start_connect(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        addr: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let net = self.own.net.clone();
        Ok(self.tcp(&this)?.start_connect(addr.into(), &net)?)
    }

    fn finish_connect(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        self.tcp(&this)?.finish_connect()?;
        self.streams(this.rep())
    }

    async fn start_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        let net = self.own.net.clone();
        Ok(self.tcp(&this)?.start_listen(&net)?)
    }

    fn finish_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.tcp(&this)?.finish_listen()?)
    }

    fn accept(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let own = &mut *self.own;
        let listener = own.get(this.rep())?;
        if !listener.is_listening() {
            return Err(ErrorCode::InvalidState.into());
        }
        // Before the system is asked, so that no connection is taken and lost.
        if !own.net.sockets.take() {
            if !listener.has_connection() {
                return Err(ErrorCode::WouldBlock.into());
            }
            own.net.say_full();
            return Err(ErrorCode::NewSocketLimit.into());
        }
        let counted = Counted::new(&own.net.sockets);
        let accepted = listener.accept(counted, &own.hub, &own.net)?;
        let accepted = own.insert(accepted)?;
        let (input, output) = self.streams(accepted)?;
        Ok((Resource::new_own(accepted), input, output))
    }

    fn local_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.tcp(&this)?.local_addr()?.into())
    }

    fn remote_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.tcp(&this)?.peer_addr()?.into())
    }

    fn is_listening(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(self.own.get(this.rep())?.is_listening())
    }

    fn address_family(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(match self.own.get(this.rep())?.family() {
            Family::V4 => IpAddressFamily::Ipv4,
            Family::V6 => IpAddressFamily::Ipv6,
        })
    }

    fn set_listen_backlog_size(&mut self, this: Resource<TcpSocket>, size: u64) -> SocketResult<()> {
        Ok(self.tcp(&this)?.set_backlog(size)?)
    }

    fn keep_alive_enabled(&mut self, this: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(tcp::keep_alive(self.socket(&this)?)?)
    }

    fn set_keep_alive_enabled(&mut self, this: Resource<TcpSocket>, on: bool) -> SocketResult<()> {
        Ok(tcp::set_keep_alive(self.socket(&this)?, on)?)
    }

    fn keep_alive_idle_time(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(nanoseconds(tcp::keep_alive_idle(self.socket(&this)?)?))
    }

    fn set_keep_alive_idle_time(&mut self, this: Resource<TcpSocket>, time: u64) -> SocketResult<()> {
        Ok(tcp::set_keep_alive_idle(self.socket(&this)?, Duration::from_nanos(time))?)
    }

    fn keep_alive_interval(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(nanoseconds(tcp::keep_alive_interval(self.socket(&this)?)?))
    }

    fn set_keep_alive_interval(&mut self, this: Resource<TcpSocket>, time: u64) -> SocketResult<()> {
        Ok(tcp::set_keep_alive_interval(self.socket(&this)?, Duration::from_nanos(time))?)
    }

    fn keep_alive_count(&mut self, this: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(tcp::keep_alive_count(self.socket(&this)?)?)
    }

    fn set_keep_alive_count(&mut self, this: Resource<TcpSocket>, count: u32) -> SocketResult<()> {
        Ok(tcp::set_keep_alive_count(self.socket(&this)?, count)?)
    }

    fn hop_limit(&mut self, this: Resource<TcpSocket>) -> SocketResult<u8> {
        let family = self.tcp(&this)?.family();
        Ok(tcp::hop_limit(self.socket(&this)?, family)?)
    }

    fn set_hop_limit(&mut self, this: Resource<TcpSocket>, hops: u8) -> SocketResult<()> {
        let family = self.tcp(&this)?.family();
        Ok(tcp::set_hop_limit(self.socket(&this)?, family, hops)?)
    }

    fn receive_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(tcp::receive_buffer(self.socket(&this)?)?)
    }

    fn set_receive_buffer_size(&mut self, this: Resource<TcpSocket>, size: u64) -> SocketResult<()> {
        Ok(tcp::set_receive_buffer(self.socket(&this)?, size)?)
    }

    fn send_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(tcp::send_buffer(self.socket(&this)?)?)
    }

    fn set_send_buffer_size(&mut self, this: Resource<TcpSocket>, size: u64) -> SocketResult<()> {
        Ok(tcp::set_send_buffer(self.socket(&this)?, size)?)
    }

    fn subscribe(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(Resource::new_own(self.own.subscribe(this.rep())?))
    }

    fn shutdown(&mut self, this: Resource<TcpSocket>, how: ShutdownType) -> SocketResult<()> {
        Ok(self.tcp(&this)?.shutdown(how.into())?)
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<()> {
        Ok(self.own.drop_part(this.rep())?)
    }
}
