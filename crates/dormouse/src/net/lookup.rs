//! Names: looked up by the host, while other tasks run.

use std::io;
use std::net::SocketAddr;

use super::ToSocketAddrs;
use crate::reactor::Handle;
use crate::sys::{Side, Source};

/// Looks up the addresses of a host, in the order in which the system would try them; as [`tokio`'s function of that
/// name](https://docs.rs/tokio/latest/tokio/net/fn.lookup_host.html). Dropping the future gives the lookup up, so
/// [`timeout`](crate::time::timeout) around it bounds it.
///
/// ```
/// # dormouse::block_on(async {
/// for addr in dormouse::net::lookup_host("localhost:80").await? {
///     println!("{addr}");
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// `NotFound` if there is no such name, `PermissionDenied` if the host refuses lookups (`dormouse run --allow-dns` allows
/// them, and `--allow-connect NAME:PORT` those of one name), `InvalidInput` for what is neither name nor address, `Unsupported` on wasip1, and what else the host says. The zone of an
/// IPv6 address may be the name of an interface natively (`fe80::1%eth0`), and is a number on WASI: a name is `InvalidInput` there.
/// A name with letters outside of ASCII is encoded by a WASI host, and natively handed to the system as it is.
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    Ok(host.resolve().await?.into_iter())
}

pub(super) async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let looked_up = look_up(host, port).await;
    looked_up.map_err(|error| crate::io::error(error.kind(), format!("look up {host}: {error}")))
}

async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let handle = Handle::new(Source::lookup(host)?)?;
    let mut addrs = Vec::new();
    while let Some(mut addr) = handle.retry(Side::Read, Source::try_next_address).await? {
        addr.set_port(port);
        addrs.push(addr);
    }
    match addrs.is_empty() {
        false => Ok(addrs),
        true => Err(crate::io::error(io::ErrorKind::NotFound, "it has no address")),
    }
}
