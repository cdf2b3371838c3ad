//! What is done with a connection's streams and with pollables.

use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use super::{Of, World};
use crate::choice::{Input, now, say, soon};

/// Bytes on their way to one end: they fit into any buffer, so that no write waits.
const UNREAD: usize = 16 << 10;
/// How often a stream may be ready for nothing in one read.
const SPURIOUS: usize = 100;

impl World {
    pub(super) fn read(&mut self, at: usize, input: &mut Input) {
        let (name, doubt) = (self.name(at), self.doubt(at));
        let socket = &self.sockets[at];
        let Some(stream) = &socket.input else { return };
        let most = input.one_of(&[0, 1, 100, 4096, 1 << 16]);
        let end = socket.link.map(|(link, side)| &mut self.links[link].0[side]);
        let (unread, finished) = end.as_ref().map_or((0, false), |end| (end.unread, end.finished));
        let skips = input.once_in(4);
        let call = format!("{} {most}", if skips { "skip" } else { "read" });
        let take = |most: usize| match skips {
            true => stream.skip(most as u64).map(|taken| taken as usize),
            false => stream.read(most as u64).map(|bytes| bytes.len()),
        };
        let expected = most.min(unread);
        let (mut got, mut empty) = (0, 0);
        let last = loop {
            // What has to come may come in several parts.
            let comes = got < expected || unread == 0 && finished;
            if doubt.is_none() && most > 0 && socket.reads && comes && !soon(&stream.subscribe()) {
                break "late".to_owned();
            }
            match take(most - got) {
                Ok(more) => {
                    got += more;
                    let enough = got >= expected && !(comes && got == 0 && most > 0) || doubt.is_some();
                    if enough || empty == SPURIOUS {
                        break "ok".to_owned();
                    }
                    // A stream that was ready for nothing is asked again.
                    empty += usize::from(more == 0);
                }
                Err(error) => break ended(error),
            }
        };
        say(name, &call, format!("{got} bytes, {last}"), doubt);
        if let Some(end) = end {
            end.unread -= got.min(end.unread);
        }
    }

    pub(super) fn write(&mut self, at: usize, input: &mut Input) {
        let (name, mut doubt) = (self.name(at), self.doubt(at));
        let socket = &self.sockets[at];
        let Some(stream) = &socket.output else { return };
        let len = input.one_of(&[0, 1, 100, 4096]);
        let zeroes = input.once_in(4);
        if let Some((link, side)) = socket.link {
            let ends = &mut self.links[link].0;
            if doubt.is_none() && ends[1 - side].unread + len > UNREAD {
                return;
            }
            // The other end answers with a reset, and when this one learns of it is a matter of time.
            if len > 0 && ends[1 - side].gone && socket.writes {
                ends[side].doubt.get_or_insert("write after close");
                ends[1 - side].doubt.get_or_insert("write after close");
                doubt = ends[side].doubt;
            }
        }
        let late = doubt.is_none() && socket.writes && !soon(&stream.subscribe());
        // One line, whatever it answers: where hosts may differ the next line is another call's.
        let mut written = false;
        let answer = match stream.check_write() {
            Err(error) => format!("no room, {}", ended(error)),
            Ok(0) => "no room".to_owned(),
            Ok(room) if room < len as u64 => "little room".to_owned(),
            Ok(_) => {
                let result = match zeroes {
                    true => stream.write_zeroes(len as u64),
                    false => stream.write(&vec![7; len]),
                };
                written = result.is_ok();
                result.map_or_else(ended, |()| "ok".to_owned())
            }
        };
        let call = format!("{} {len}", if zeroes { "write-zeroes" } else { "write" });
        say(name, &call, format!("{answer}{}", if late { ", late" } else { "" }), doubt);
        if let Some((link, side)) = socket.link.filter(|_| written) {
            self.links[link].0[1 - side].unread += len;
        }
    }

    pub(super) fn flush(&mut self, at: usize) {
        let (name, doubt) = (self.name(at), self.doubt(at));
        let Some(stream) = &self.sockets[at].output else { return };
        say(name, "flush", stream.flush().map_or_else(ended, |()| "ok".to_owned()), doubt);
    }

    pub(super) fn subscribe(&mut self, at: usize, input: &mut Input) {
        let socket = &mut self.sockets[at];
        let of = input.one_of(&[Of::Socket, Of::Input, Of::Output]);
        let pollable = match of {
            Of::Socket => Some(socket.socket.subscribe()),
            Of::Input => socket.input.as_ref().map(InputStream::subscribe),
            Of::Output => socket.output.as_ref().map(OutputStream::subscribe),
        };
        socket.pollables.extend(pollable.map(|pollable| (of, pollable)));
    }

    pub(super) fn ready(&mut self, at: usize, input: &mut Input) {
        let (name, doubt) = (self.name(at), self.doubt(at));
        let socket = &self.sockets[at];
        if socket.pollables.is_empty() {
            return;
        }
        let (of, pollable) = &socket.pollables[input.below(socket.pollables.len())];
        let link = socket.link.map(|(link, side)| &self.links[link].0[side]);
        let comes = match of {
            Of::Socket => socket.connecting.is_some() || !socket.waiting.is_empty(),
            Of::Input => link.is_some_and(|end| end.unread > 0 || end.finished),
            Of::Output => true,
        };
        let call = format!("ready {of:?}");
        if comes && doubt.is_none() {
            return say(name, &call, if soon(pollable) { "yes" } else { "late" }, None);
        }
        // After it has been ready a host may find that out again.
        let stale = (*of == Of::Input || socket.listens).then_some("stale");
        say(name, &call, now(pollable), doubt.or(stale));
    }

    pub(super) fn drop_child(&mut self, at: usize, input: &mut Input) {
        let name = self.name(at);
        let socket = &mut self.sockets[at];
        let of = input.one_of(&[Of::Socket, Of::Input, Of::Output]);
        socket.pollables.retain(|(other, _)| *other != of);
        match of {
            Of::Socket => return,
            Of::Input => socket.input = None,
            Of::Output => socket.output = None,
        }
        say(name, &format!("drop {of:?}"), "ok", None);
    }
}

fn ended(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(_) => "failed".to_owned(),
    }
}
