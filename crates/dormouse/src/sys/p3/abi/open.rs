//! Where streams come from.

use std::mem::MaybeUninit;

use wasip3::sockets::types::{ErrorCode, TcpSocket};

use super::read::{Bytes, Connections, Mailbox, Readable, SocketEnd, SocketResult, StdioEnd};
use super::write::Outbox;

/// How much of what comes is read before the program asks for it.
const MAILBOX: usize = 512;

#[link(wasm_import_module = "wasi:sockets/types@0.3.2")]
unsafe extern "C" {
    #[link_name = "[method]tcp-socket.receive"]
    fn tcp_receive(socket: u32, result: *mut [u32; 2]);
    #[link_name = "[method]tcp-socket.send"]
    fn tcp_send(socket: u32, data: u32) -> u32;
}

/// Begins to listen.
pub(in crate::sys::p3) fn listen(socket: &TcpSocket) -> Result<Mailbox<Connections>, ErrorCode> {
    #[link(wasm_import_module = "wasi:sockets/types@0.3.2")]
    unsafe extern "C" {
        #[link_name = "[method]tcp-socket.listen"]
        fn tcp_listen(socket: u32, result: *mut SocketResult);
    }
    let mut result = MaybeUninit::<SocketResult>::uninit();
    // SAFETY: the host writes `result<stream<tcp-socket>, error-code>`, of which the error is laid out as in `SocketResult`
    // and the stream's handle is where the error's case would be.
    unsafe {
        tcp_listen(socket.handle(), result.as_mut_ptr());
        let result = result.assume_init();
        if result.is_err == 0 {
            Ok(Mailbox::new(result.case.assume_init(), 1))
        } else {
            Err(SocketEnd::open(result).unwrap_err())
        }
    }
}

/// A stream that is read, and how it will have ended.
pub(in crate::sys::p3) type Incoming<E> = (Mailbox<Bytes>, Mailbox<E>);
/// A stream that is written, and how it will have ended.
pub(in crate::sys::p3) type Outgoing<E> = (Outbox, Mailbox<E>);

/// What a connection receives. Once for each socket.
pub(in crate::sys::p3) fn receive(socket: &TcpSocket) -> Incoming<SocketEnd> {
    let mut ends = [0; 2];
    // SAFETY: the host writes two handles that are ours.
    unsafe {
        tcp_receive(socket.handle(), &raw mut ends);
        (Mailbox::new(ends[0], MAILBOX), Mailbox::new(ends[1], 1))
    }
}

/// What a connection sends. Once for each socket.
pub(in crate::sys::p3) fn send(socket: &TcpSocket) -> Outgoing<SocketEnd> {
    let (outbox, data) = Outbox::new();
    // SAFETY: the readable end is given away; what comes back is a handle that is ours.
    (outbox, unsafe { Mailbox::new(tcp_send(socket.handle(), data), 1) })
}

/// Has the host move all that one connection receives to another. Returns how each of the two ends.
pub(in crate::sys::p3) fn forward(from: &TcpSocket, to: &TcpSocket) -> (Mailbox<SocketEnd>, Mailbox<SocketEnd>) {
    let mut ends = [0; 2];
    // SAFETY: the host writes two handles that are ours. The first is given away at once.
    unsafe {
        tcp_receive(from.handle(), &raw mut ends);
        (Mailbox::new(ends[1], 1), Mailbox::new(tcp_send(to.handle(), ends[0]), 1))
    }
}

/// Standard input.
pub(in crate::sys::p3) fn stdin() -> Incoming<StdioEnd> {
    #[link(wasm_import_module = "wasi:cli/stdin@0.3.2")]
    unsafe extern "C" {
        #[link_name = "read-via-stream"]
        fn read_via_stream(result: *mut [u32; 2]);
    }
    let mut ends = [0; 2];
    // SAFETY: the host writes two handles that are ours.
    unsafe {
        read_via_stream(&raw mut ends);
        (Mailbox::new(ends[0], MAILBOX), Mailbox::new(ends[1], 1))
    }
}

/// Standard output.
pub(in crate::sys::p3) fn stdout() -> Outgoing<StdioEnd> {
    #[link(wasm_import_module = "wasi:cli/stdout@0.3.2")]
    unsafe extern "C" {
        #[link_name = "write-via-stream"]
        fn write_via_stream(data: u32) -> u32;
    }
    let (outbox, data) = Outbox::new();
    // SAFETY: as for `send`.
    (outbox, unsafe { Mailbox::new(write_via_stream(data), 1) })
}

/// Standard error.
pub(in crate::sys::p3) fn stderr() -> Outgoing<StdioEnd> {
    #[link(wasm_import_module = "wasi:cli/stderr@0.3.2")]
    unsafe extern "C" {
        #[link_name = "write-via-stream"]
        fn write_via_stream(data: u32) -> u32;
    }
    let (outbox, data) = Outbox::new();
    // SAFETY: as for `send`.
    (outbox, unsafe { Mailbox::new(write_via_stream(data), 1) })
}
