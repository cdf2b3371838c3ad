//! A process whose `main` is in C has not said what is to be done about SIGPIPE, and by default it ends the process. A peer that hangs up
//! must not.
#![cfg(unix)]

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Shutdown};
use std::process::Command;
use std::{env, thread};

use dormouse::net::{TcpListener, TcpStream};
use dormouse_capi::DM_WRITE;
use dormouse_capi::addr::dm_addr;
use dormouse_capi::poll::{dm_begin, dm_end};
use dormouse_capi::socket::{dm_close, dm_local_addr, dm_opened};
use dormouse_capi::tcp::{dm_shutdown, dm_tcp_dial, dm_tcp_listen, dm_write};

/// In a process of its own: SIGPIPE is the same for all threads of one.
#[test]
fn a_peer_that_hangs_up_ends_no_process_that_leaves_sigpipe_alone() {
    const CHILD: &str = "DORMOUSE_LEAVES_SIGPIPE_ALONE";
    if env::var_os(CHILD).is_none() {
        let name = thread::current().name().unwrap().to_owned();
        let mut child = Command::new(env::current_exe().unwrap());
        let ended = child.env(CHILD, "").args(["--exact", "--nocapture", &name]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("each write told it"), "{}: {ended:?}", ended.status);
        return;
    }
    // SAFETY: it installs no handler. Rust's own `main` has had the signal ignored.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_ne!(before, libc::SIG_ERR, "{}", io::Error::last_os_error());
    dormouse::block_on(from_rust()).unwrap();
    from_c();
    println!("each write told it");
}

async fn from_rust() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    // What a peer that has hung up comes to, at once and each time.
    stream.shutdown(Shutdown::Write)?;
    let bufs = [IoSlice::new(b"a"), IoSlice::new(b"b")];
    for written in [stream.write(b"a").await, stream.write_vectored(&bufs).await, stream.write_vectored(&[]).await] {
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
    Ok(())
}

fn from_c() {
    let mut addr = dm_addr { family: 4, port: 0, ip: [0; 16], scope: 0, flow: 0 };
    addr.ip[..4].copy_from_slice(&Ipv4Addr::LOCALHOST.octets());
    let (mut listener, mut stream) = (0, 0);
    assert_eq!(dm_begin(), 0);
    // SAFETY: each pointer is to an address, a handle or a byte.
    unsafe {
        assert_eq!(dm_tcp_listen(&addr, &mut listener), 0);
        assert_eq!(dm_local_addr(listener, &mut addr), 0);
        assert_eq!(dm_tcp_dial(&addr, &mut stream), 0);
        while dm_opened(stream) == -libc::EAGAIN {
            dormouse_capi::poll::dm_poll([].as_mut_ptr(), 0, dormouse_capi::DM_NOW);
        }
        assert_eq!(dm_shutdown(stream, DM_WRITE), 0);
        assert_eq!(dm_write(stream, b"a".as_ptr(), 1), -i64::from(libc::EPIPE));
    }
    assert_eq!((dm_close(stream), dm_close(listener), dm_end()), (0, 0, 0));
}
