//! What a socket is asked about itself, and its options.

use super::World;
use crate::choice::{Input, done, kind, say, show};

impl World {
    pub(super) fn getters(&mut self, at: usize) {
        let doubt = self.doubt(at);
        let socket = &self.sockets[at].socket;
        // How far it has got while it connects is a matter of time.
        let pending = self.sockets[at].connecting.map(|_| "connecting");
        say(self.name(at), "local-address", kind(socket.local_address()), doubt.or(pending));
        say(self.name(at), "remote-address", kind(socket.remote_address()), doubt.or(pending));
        let not_yet = (self.sockets[at].listens && !self.sockets[at].is_listening).then_some("not listening yet");
        say(self.name(at), "is-listening", socket.is_listening(), not_yet);
        say(self.name(at), "address-family", format!("{:?}", socket.address_family()), None);
    }

    pub(super) fn options(&mut self, at: usize, input: &mut Input) {
        let doubt = self.doubt(at).or(self.sockets[at].connecting.map(|_| "connecting"));
        let name = self.name(at);
        let socket = &self.sockets[at].socket;
        let second = 1_000_000_000;
        let time = input.one_of(&[0, 1, second, second + 1, 10 * second, u64::MAX]);
        match input.below(8) {
            0 => {
                let size = input.one_of(&[0, 8, 128, u64::MAX]);
                say(
                    name,
                    &format!("set-listen-backlog-size {size}"),
                    done(socket.set_listen_backlog_size(size)),
                    doubt,
                );
            }
            1 => {
                let on = input.once_in(2);
                say(&name, &format!("set-keep-alive-enabled {on}"), done(socket.set_keep_alive_enabled(on)), doubt);
                say(&name, "keep-alive-enabled", show(socket.keep_alive_enabled()), doubt);
            }
            2 => {
                say(
                    &name,
                    &format!("set-keep-alive-idle-time {time}"),
                    done(socket.set_keep_alive_idle_time(time)),
                    doubt,
                );
                say(&name, "keep-alive-idle-time", show(socket.keep_alive_idle_time()), doubt);
            }
            3 => {
                say(
                    &name,
                    &format!("set-keep-alive-interval {time}"),
                    done(socket.set_keep_alive_interval(time)),
                    doubt,
                );
                say(&name, "keep-alive-interval", show(socket.keep_alive_interval()), doubt);
            }
            4 => {
                let count = input.one_of(&[0, 1, 9, 127, 128, u32::MAX]);
                say(&name, &format!("set-keep-alive-count {count}"), done(socket.set_keep_alive_count(count)), doubt);
                say(&name, "keep-alive-count", show(socket.keep_alive_count()), doubt);
            }
            5 => {
                let hops = input.one_of(&[0, 1, 64, 255]);
                // A datagram of loopback crosses no router: 1 is enough.
                say(&name, &format!("set-hop-limit {hops}"), done(socket.set_hop_limit(hops)), doubt);
                say(&name, "hop-limit", show(socket.hop_limit()), doubt);
            }
            // Large enough that nothing waits for room.
            6 => {
                let size = input.one_of(&[0, 1 << 16, 1 << 20, u64::MAX]);
                say(
                    &name,
                    &format!("set-receive-buffer-size {size}"),
                    done(socket.set_receive_buffer_size(size)),
                    doubt,
                );
                // The system's own tuning changes it on a connection.
                let tuned = self.sockets[at].link.map(|_| "tuned");
                say(&name, "receive-buffer-size", show(socket.receive_buffer_size()), doubt.or(tuned));
            }
            _ => {
                let size = input.one_of(&[0, 1 << 16, 1 << 20, u64::MAX]);
                say(&name, &format!("set-send-buffer-size {size}"), done(socket.set_send_buffer_size(size)), doubt);
                let tuned = self.sockets[at].link.map(|_| "tuned");
                say(&name, "send-buffer-size", show(socket.send_buffer_size()), doubt.or(tuned));
            }
        }
    }
}
