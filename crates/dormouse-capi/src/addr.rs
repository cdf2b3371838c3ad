//! Addresses: numbers in a struct, and texts of them. A name is looked up, by `dm_lookup` or `dm_tcp_dial_name`.

use std::ffi::{c_char, c_int};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use crate::call;
use crate::error::{Error, NULL, Result};

/// An IP address with a port.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct dm_addr {
    /// 4 or 6.
    pub family: u16,
    /// The port, in the machine's byte order.
    pub port: u16,
    /// The address as it is written, the first byte first: four bytes of it if `family` is 4.
    pub ip: [u8; 16],
    /// Of IPv6: which interface.
    pub scope: u32,
    /// Of IPv6.
    pub flow: u32,
}

impl From<SocketAddr> for dm_addr {
    fn from(addr: SocketAddr) -> Self {
        let mut ip = [0; 16];
        match addr {
            SocketAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.ip().octets());
                dm_addr { family: 4, port: v4.port(), ip, scope: 0, flow: 0 }
            }
            SocketAddr::V6(v6) => {
                dm_addr { family: 6, port: v6.port(), ip: v6.ip().octets(), scope: v6.scope_id(), flow: v6.flowinfo() }
            }
        }
    }
}

/// What C has put into one.
///
/// # Safety
/// `addr` is null, or points to an address.
pub(crate) unsafe fn read(addr: *const dm_addr) -> Result<SocketAddr> {
    // SAFETY: as the caller promises; all bits are a value of each field.
    let addr = unsafe { addr.as_ref() }.ok_or(NULL)?;
    match (addr.family, addr.ip) {
        (4, [a, b, c, d, ..]) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), addr.port)),
        (6, ip) => Ok(SocketAddr::V6(SocketAddrV6::new(ip.into(), addr.port, addr.flow, addr.scope))),
        _ => Err(Error::Misuse(libc::EAFNOSUPPORT, "the family of an address is 4 or 6")),
    }
}

/// Reads `127.0.0.1:80` or `[::1]:80`; names are not looked up. Never blocks.
///
/// # Errors
/// `-EINVAL` for what is no such text, `-EFAULT` for null.
///
/// # Safety
/// `text` is null or ends with a 0; `addr` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_addr_parse(text: *const c_char, addr: *mut dm_addr) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let (text, addr) = unsafe { (call::text(text)?, call::out(addr)?) };
        let parsed: SocketAddr = text.parse().map_err(|_| {
            Error::Misuse(libc::EINVAL, "no address: write 127.0.0.1:80 or [::1]:80; dm_lookup is for names")
        })?;
        addr.put(parsed.into());
        Ok(())
    })
}

/// Writes an address as text, cut off if need be, with a 0 at its end; returns its whole length, as `snprintf` does. 60 bytes
/// are enough for each. Never blocks.
///
/// # Errors
/// `-EAFNOSUPPORT` if its family is neither 4 nor 6, `-EFAULT` for null.
///
/// # Safety
/// `addr` is null or points to an address, and `buf` to `len` bytes; it may be null if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_addr_format(addr: *const dm_addr, buf: *mut c_char, len: usize) -> i64 {
    call::length(|| {
        // SAFETY: as the caller promises.
        unsafe { call::put_text(&read(addr)?.to_string(), buf, len) }
    })
}
