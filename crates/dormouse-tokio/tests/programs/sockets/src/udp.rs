//! Datagrams.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;

use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

use crate::tcp::ANY;

pub async fn datagrams_come_whole() -> io::Result<()> {
    let (one, two) = (UdpSocket::bind(ANY).await?, UdpSocket::bind(ANY).await?);
    let (addr, from) = (one.local_addr()?, two.local_addr()?);
    assert_eq!(one.try_recv_from(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    two.writable().await?;
    assert_eq!(two.try_send_to(b"first", addr)?, 5);
    assert!(one.ready(Interest::READABLE).await?.is_readable());
    let mut buf = [0; 16];
    assert_eq!(one.peek_from(&mut buf).await?, (5, from));
    assert_eq!(one.peek_sender().await?, from);
    let mut datagram = Vec::with_capacity(16);
    assert_eq!(one.recv_buf_from(&mut datagram).await?, (5, from));
    assert_eq!(datagram, b"first");
    two.connect(addr).await?;
    assert_eq!(two.send(b"second").await?, 6);
    let mut room = [MaybeUninit::uninit(); 16];
    let mut room = ReadBuf::uninit(&mut room);
    assert_eq!(poll_fn(|cx| one.poll_recv_from(cx, &mut room)).await?, from);
    assert_eq!(room.filled(), b"second");
    one.send_to(b"third", from).await?;
    assert_eq!(two.recv(&mut buf).await?, 5);
    let error = one.join_multicast_v4([224, 0, 0, 1].into(), [127, 0, 0, 1].into()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    Ok(())
}

pub async fn udp_of_std_keeps_its_address_and_peer() -> io::Result<()> {
    let peer = UdpSocket::bind(ANY).await?;
    let of_std = std::net::UdpSocket::bind(ANY)?;
    of_std.connect(peer.local_addr()?)?;
    let addr = of_std.local_addr()?;
    let ours = UdpSocket::from_std(of_std)?;
    assert_eq!((ours.local_addr()?, ours.peer_addr()?), (addr, peer.local_addr()?));
    let ours = UdpSocket::from_std(ours.into_std()?)?;
    ours.send(b"hello").await?;
    assert_eq!(peer.recv_from(&mut [0; 8]).await?, (5, addr));
    Ok(())
}
