//! `apps/http`, spoken to in frames of HTTP/2, right ones and wrong ones, as h2spec does.
//!
//! hyper and h2 do what RFC 9113 demands. Our part is that it comes through our sockets, whole and before they are closed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use cookbook_tests::{Backend, PATIENCE, serve};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `GET /`, and `GET /ticks/99999`, which stays open, as HPACK has them.
const GET: &[u8] = b"\x82\x86\x84\x41\x01h";
const TICKS: &[u8] = b"\x82\x86\x44\x0c/ticks/99999\x41\x01h";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request that is still open on both sides.
fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, TICKS)
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The number that it begins with, from the offset.
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("it is long enough"))
    }
}

struct Peer(TcpStream);

impl Peer {
    /// A connection of which both sides have said their first words.
    fn connect(addr: SocketAddr) -> Peer {
        let stream = TcpStream::connect(addr).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let mut peer = Peer(stream);
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        peer.send(&frame(SETTINGS, 0, 0, &[]));
        peer.until(|frame| frame.kind == SETTINGS && frame.flags == 0);
        peer.send(&frame(SETTINGS, ACK, 0, &[]));
        peer.until(|frame| frame.kind == SETTINGS && frame.flags == ACK);
        peer
    }

    /// It may have hung up on what came before.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The next frame, unless it has hung up.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn until(&mut self, is: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().expect("it has not hung up");
            if is(&frame) {
                return frame;
            }
        }
    }

    /// What it says of something that was wrong.
    fn verdict(&mut self) -> Verdict {
        while let Some(frame) = self.next() {
            match frame.kind {
                GOAWAY => {
                    // Nothing comes after the connection's end but that.
                    while self.next().is_some() {}
                    return Verdict::Connection(frame.number(4));
                }
                RST_STREAM => return Verdict::Stream(frame.stream, frame.number(0)),
                _ => {}
            }
        }
        Verdict::HungUp
    }

    /// That a request on this stream is answered.
    fn gets(&mut self, stream: u32) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, GET));
        let head = self.until(|frame| frame.kind == HEADERS && frame.stream == stream);
        assert_eq!(head.payload[0], 0x88, "200, as HPACK has it");
        assert_eq!(self.until(|frame| frame.kind == DATA && frame.stream == stream).payload, b"hello\n");
    }
}

#[derive(Debug, PartialEq)]
enum Verdict {
    /// GOAWAY, with this code, and then the end.
    Connection(u32),
    /// One of the two with this code, where the section leaves it to the server.
    Either(u32),
    /// RST_STREAM of this stream, with this code. The connection goes on.
    Stream(u32, u32),
    HungUp,
}

impl Verdict {
    /// Whether it is the other, or one of the two that the other stands for.
    fn is(&self, expected: &Verdict) -> bool {
        match (expected, self) {
            (Either(code), Connection(told) | Stream(_, told)) => code == told,
            _ => self == expected,
        }
    }
}

use Verdict::{Connection, Either, Stream};

/// What is wrong, by the section of RFC 9113 that says so; what is sent; what has to come.
fn cases() -> Vec<(&'static str, Vec<u8>, Verdict)> {
    let headers = |stream: u32, block: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, stream, block);
    let then = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
    vec![
        ("4.2 a frame that is too large", then(open(1), frame(DATA, 0, 1, &[0; 16385])), Connection(FRAME_SIZE_ERROR)),
        ("4.3 a field block that is no HPACK", headers(1, b"\x80"), Connection(COMPRESSION_ERROR)),
        ("5.1 DATA on an idle stream", frame(DATA, 0, 1, b"x"), Connection(PROTOCOL_ERROR)),
        ("5.1 RST_STREAM of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), Connection(PROTOCOL_ERROR)),
        ("5.1 WINDOW_UPDATE of an idle stream", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), Connection(PROTOCOL_ERROR)),
        ("5.1 DATA after the stream's end", then(headers(1, TICKS), frame(DATA, 0, 1, b"x")), Stream(1, STREAM_CLOSED)),
        ("5.1.1 a stream of the server's", headers(2, GET), Connection(PROTOCOL_ERROR)),
        ("5.1.1 a stream before an earlier one", then(headers(5, GET), headers(3, GET)), Connection(PROTOCOL_ERROR)),
        ("5.1.2 too many streams", (0..=200).flat_map(|n| open(2 * n + 1)).collect(), Stream(401, REFUSED_STREAM)),
        ("6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), Connection(PROTOCOL_ERROR)),
        ("6.1 padding longer than the frame", then(open(1), frame(DATA, 8, 1, b"\x09x")), Connection(PROTOCOL_ERROR)),
        ("6.2 HEADERS on stream 0", headers(0, GET), Connection(PROTOCOL_ERROR)),
        ("6.2 HEADERS cut by another frame", then(frame(HEADERS, 0, 1, GET), open(3)), Connection(PROTOCOL_ERROR)),
        ("6.3 PRIORITY of four bytes", then(open(1), frame(PRIORITY, 0, 1, &[0; 4])), Stream(1, FRAME_SIZE_ERROR)),
        ("6.4 RST_STREAM of stream 0", frame(RST_STREAM, 0, 0, &[0; 4]), Connection(PROTOCOL_ERROR)),
        (
            "6.4 RST_STREAM of three bytes",
            then(open(1), frame(RST_STREAM, 0, 1, &[0; 3])),
            Connection(FRAME_SIZE_ERROR),
        ),
        ("6.5 SETTINGS of a stream", frame(SETTINGS, 0, 1, &[]), Connection(PROTOCOL_ERROR)),
        ("6.5 SETTINGS of five bytes", frame(SETTINGS, 0, 0, &[0; 5]), Connection(FRAME_SIZE_ERROR)),
        ("6.5 an ACK that says something", frame(SETTINGS, ACK, 0, &[0; 6]), Connection(FRAME_SIZE_ERROR)),
        ("6.5.2 ENABLE_PUSH of 2", frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]), Connection(PROTOCOL_ERROR)),
        ("6.5.2 a window of 2^31", frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Connection(FLOW_CONTROL_ERROR)),
        ("6.5.2 frames of no byte", frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 0]), Connection(PROTOCOL_ERROR)),
        (
            "6.6 PUSH_PROMISE of a client",
            then(open(1), frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02\x82")),
            Connection(PROTOCOL_ERROR),
        ),
        ("6.7 PING of a stream", frame(PING, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
        ("6.7 PING of seven bytes", frame(PING, 0, 0, &[0; 7]), Connection(FRAME_SIZE_ERROR)),
        ("6.8 GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
        ("6.9 WINDOW_UPDATE by 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Connection(PROTOCOL_ERROR)),
        (
            "6.9 WINDOW_UPDATE by 0 of a stream",
            then(open(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])),
            Stream(1, PROTOCOL_ERROR),
        ),
        (
            "6.9.1 a window that overflows",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
            Connection(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.1 a stream's window that overflows",
            then(open(1), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 255, 255, 255])),
            Stream(1, FLOW_CONTROL_ERROR),
        ),
        // The window of a stream, and of a connection, is a megabyte. What is sent back has no room here, so no more than the first
        // frame is read. h2 looks at the connection's window first, but it may have enlarged that by the frame that was read: it
        // asks whether to do so at each turn, and for a stream's only when something is read (0.4.20, `proto/streams/recv.rs`).
        (
            "6.9.1 more than the window",
            [
                frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]),
                frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x44\x05/echo\x41\x01h"),
                frame(DATA, 0, 1, &[0; 16384]).repeat(66),
            ]
            .concat(),
            Either(FLOW_CONTROL_ERROR),
        ),
        (
            "6.10 CONTINUATION of nothing",
            then(open(1), frame(CONTINUATION, END_HEADERS, 1, GET)),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "8.1.1 more than content-length",
            then(
                frame(HEADERS, END_HEADERS, 1, &[TICKS, b"\x0f\x0d\x011"].concat()),
                frame(DATA, END_STREAM, 1, b"xx"),
            ),
            Stream(1, PROTOCOL_ERROR),
        ),
        ("8.2.1 an upper case name", headers(1, &[GET, b"\x00\x01X\x01x"].concat()), Stream(1, PROTOCOL_ERROR)),
        (
            "8.2.2 a field of the connection's",
            headers(1, &[GET, b"\x00\x0aconnection\x05close"].concat()),
            Stream(1, PROTOCOL_ERROR),
        ),
        ("8.3.1 no path", headers(1, b"\x82\x86\x41\x01h"), Stream(1, PROTOCOL_ERROR)),
        ("8.3 the method twice", headers(1, &[b"\x82", GET].concat()), Stream(1, PROTOCOL_ERROR)),
        (
            "10.5 streams that are reset at once, many",
            (0..5000).flat_map(|n| then(open(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]))).collect(),
            Connection(ENHANCE_YOUR_CALM),
        ),
        (
            "10.5 a field block without an end",
            then(frame(HEADERS, 0, 1, GET), frame(CONTINUATION, 0, 1, &[]).repeat(1000)),
            Connection(ENHANCE_YOUR_CALM),
        ),
    ]
}

/// Where h2 ends the connection, and says `PROTOCOL_ERROR` instead of what is demanded (h2 0.4.20: `codec/framed_read.rs` for a frame
/// that does not load, whatever is wrong with it; `proto/streams/state.rs`, `recv_close`, for DATA after the end). It is so on any sockets.
const PROTOCOL_ERROR_TO_H2: [&str; 10] = [
    "4.3 a field block that is no HPACK",
    "5.1 DATA after the stream's end",
    "6.3 PRIORITY of four bytes",
    "6.4 RST_STREAM of three bytes",
    "6.5 SETTINGS of five bytes",
    "6.5 an ACK that says something",
    "6.5.2 a window of 2^31",
    "6.7 PING of seven bytes",
    "6.9 WINDOW_UPDATE by 0 of a stream",
    "8.2.1 an upper case name",
];

#[test]
fn what_is_wrong_is_told_with_its_code() {
    let mut wrong = Vec::new();
    for backend in Backend::ALL {
        let server = serve("http", "http-server", backend, &[]);
        for (what, bytes, expected) in cases() {
            let mut peer = Peer::connect(server.addr);
            peer.send(&bytes);
            let verdict = peer.verdict();
            let expected = if PROTOCOL_ERROR_TO_H2.contains(&what) { Connection(PROTOCOL_ERROR) } else { expected };
            if !verdict.is(&expected) {
                wrong.push(format!("{backend:?}: {what}: {verdict:?} and not {expected:?}"));
            } else if matches!(expected, Stream(..)) {
                // Of the one stream alone.
                peer.send(&frame(PING, 0, 0, b"are you?"));
                peer.until(|frame| frame.kind == PING && frame.flags == ACK && frame.payload == b"are you?");
            }
        }
        Peer::connect(server.addr).gets(1);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_right_is_answered() {
    for backend in Backend::ALL {
        let server = serve("http", "http-server", backend, &[]);
        let mut peer = Peer::connect(server.addr);
        peer.send(&frame(PING, 0, 0, b"dormouse"));
        let pong = peer.until(|frame| frame.kind == PING);
        assert_eq!((pong.flags, &pong.payload[..]), (ACK, &b"dormouse"[..]), "{backend:?}");
        // Settings are acknowledged, and unknown settings and frames are ignored.
        peer.send(&frame(SETTINGS, 0, 0, &[0x77, 0x77, 0, 0, 0, 1]));
        peer.until(|frame| frame.kind == SETTINGS && frame.flags == ACK);
        peer.send(&frame(0x77, 0xff, 0, b"who knows"));
        peer.gets(1);
        // A field block in pieces; a priority; a stream that is reset, with others around it.
        peer.send(&frame(HEADERS, END_STREAM, 3, &GET[..2]));
        peer.send(&frame(CONTINUATION, 0, 3, &GET[2..4]));
        peer.send(&frame(CONTINUATION, END_HEADERS, 3, &GET[4..]));
        peer.until(|frame| frame.kind == DATA && frame.stream == 3);
        peer.send(&frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 15]));
        peer.send(&open(5));
        peer.until(|frame| frame.kind == DATA && frame.stream == 5);
        peer.send(&frame(RST_STREAM, 0, 5, &[0, 0, 0, 8]));
        peer.gets(7);
    }
}

/// A window of ten bytes gets ten bytes, and then more as it is opened.
#[test]
fn no_more_is_sent_than_the_window_allows() {
    for backend in Backend::ALL {
        let server = serve("http", "http-server", backend, &[]);
        let mut peer = Peer::connect(server.addr);
        peer.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10]));
        peer.until(|frame| frame.kind == SETTINGS && frame.flags == ACK);
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\x44\x0a/large/100\x41\x01h"));
        let data = |frame: &Frame| frame.kind == DATA;
        assert_eq!(peer.until(data).payload.len(), 10, "{backend:?}");
        // All that it has sent has come when the answer to this is there.
        peer.send(&frame(PING, 0, 0, b"is all??"));
        let next = peer.until(|frame| frame.kind == PING || frame.kind == DATA);
        assert_eq!(next.kind, PING, "{backend:?}: it has sent {} bytes too many", next.payload.len());
        peer.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 20]));
        assert_eq!(peer.until(data).payload.len(), 20, "{backend:?}");
        peer.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]));
        assert_eq!(peer.until(data).payload.len(), 70, "{backend:?}");
        peer.until(|frame| frame.kind == DATA && frame.flags == END_STREAM);
    }
}

/// First words that are nearly those of HTTP/2 are HTTP/1.1 to a server of both, and wrong.
#[test]
fn first_words_that_are_wrong() {
    for backend in Backend::ALL {
        let server = serve("http", "http-server", backend, &[]);
        for words in
            ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r.", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n"]
        {
            let mut stream = TcpStream::connect(server.addr).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
            stream.write_all(words.as_bytes()).expect("it reads");
            let mut said = String::new();
            stream.read_to_string(&mut said).expect("an answer, and the end");
            assert!(said.starts_with("HTTP/1.1 400 "), "{backend:?}: {said:?} to {words:?}");
        }
        Peer::connect(server.addr).gets(1);
    }
}
