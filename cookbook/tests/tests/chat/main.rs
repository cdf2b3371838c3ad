//! `apps/chat`, with tungstenite's client, curl and Chromium.

mod browser;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use browser::Browser;
use cookbook_tests::{Backend, PATIENCE, Running, output, serve, serve_counted, server};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Error, Message, WebSocket};

/// A member.
struct Member(WebSocket<TcpStream>);

impl Member {
    /// Joins, and has been welcomed.
    fn new(addr: SocketAddr, name: &str) -> Member {
        let (member, welcome) = Member::welcomed(addr, name);
        assert!(welcome.starts_with(&format!("welcome {name}")), "{welcome}");
        member
    }

    fn welcomed(addr: SocketAddr, name: &str) -> (Member, String) {
        let stream = TcpStream::connect(addr).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let (socket, _) = tungstenite::client(format!("ws://{addr}/chat?name={name}"), stream).expect("it upgrades");
        let mut member = Member(socket);
        let welcome = member.hear();
        (member, welcome)
    }

    fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).expect("it reads");
    }

    /// The next line.
    fn hear(&mut self) -> String {
        loop {
            match self.0.read().expect("it is there") {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("it is no line: {other:?}"),
            }
        }
    }

    fn until(&mut self, line: &str) {
        while self.hear() != line {}
    }

    /// Reads until the server closes; with what code.
    fn closed(&mut self) -> CloseCode {
        loop {
            if let Message::Close(frame) = self.0.read().expect("it closes before it hangs up") {
                return frame.expect("it says why").code;
            }
        }
    }
}

#[test]
fn members_hear_each_other_and_of_each_other() {
    for backend in Backend::ALL {
        let server = serve("chat", "chat-server", backend, &[]);
        let mut mouse = Member::new(server.addr, "mouse");
        let (mut vole, welcome) = Member::welcomed(server.addr, "vole");
        assert_eq!(welcome, "welcome vole mouse", "{backend:?}");
        assert_eq!(mouse.hear(), "joined vole", "{backend:?}");
        mouse.say("hello, vole");
        vole.say("grüß dich 🐭");
        for member in [&mut mouse, &mut vole] {
            let mut heard = [member.hear(), member.hear()];
            heard.sort();
            assert_eq!(heard, ["said mouse hello, vole", "said vole grüß dich 🐭"], "{backend:?}");
        }
        // A name that is taken.
        let (mut second, welcome) = Member::welcomed(server.addr, "mouse");
        assert_eq!(welcome, "welcome mouse2 mouse vole", "{backend:?}");
        mouse.until("joined mouse2");
        // One says good bye, one hangs up.
        second.0.close(Some(CloseFrame { code: CloseCode::Normal, reason: "bed time".into() })).expect("it reads");
        assert_eq!(second.closed(), CloseCode::Normal, "{backend:?}");
        assert!(matches!(second.0.read(), Err(Error::ConnectionClosed)), "{backend:?}: the server ends the connection");
        mouse.until("left mouse2");
        drop(vole);
        mouse.until("left vole");
    }
}

#[test]
fn a_burst_of_one_is_heard_whole_by_the_others() {
    const BURST: usize = 2000;
    for backend in Backend::ALL {
        let server = serve("chat", "chat-server", backend, &[]);
        let (mut mouse, mut vole) = (Member::new(server.addr, "mouse"), Member::new(server.addr, "vole"));
        for n in 0..BURST {
            mouse.0.write(Message::text(n.to_string())).expect("it fits");
        }
        mouse.0.flush().expect("it reads");
        for n in 0..BURST {
            assert_eq!(vole.hear(), format!("said mouse {n}"), "{backend:?}");
        }
        mouse.until(&format!("said mouse {}", BURST - 1));
    }
}

/// A frame as a client sends it, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).ok().filter(|len| *len < 126).expect("a short frame");
    [&[first, 0x80 | len, 0, 0, 0, 0], payload].concat()
}

#[test]
fn who_breaks_the_rules_is_told_which() {
    for backend in Backend::ALL {
        let server = serve("chat", "chat-server", backend, &[]);
        let mut witness = Member::new(server.addr, "witness");
        let refused = |what: &str, how: &dyn Fn(&mut Member), code| {
            let mut member = Member::new(server.addr, what);
            how(&mut member);
            assert_eq!(member.closed(), code, "{backend:?}: {what}");
        };
        let send = |bytes: Vec<u8>| move |member: &mut Member| member.0.get_mut().write_all(&bytes).expect("it reads");
        refused("long", &|member| member.say("z".repeat(16 * 1024 + 1)), CloseCode::Size);
        refused("longer", &|member| member.say("z".repeat(1 << 20)), CloseCode::Size);
        refused("binary", &|member| member.0.send(Message::binary(vec![1])).expect("it reads"), CloseCode::Unsupported);
        refused("latin1", &send(frame(0x81, &[0xe4])), CloseCode::Invalid);
        refused("opcode", &send(frame(0x83, b"?")), CloseCode::Protocol);
        refused("reserved", &send(frame(0xf1, b"?")), CloseCode::Protocol);
        refused("continued", &send(frame(0x80, b"?")), CloseCode::Protocol);
        refused("unmasked", &send(vec![0x81, 1, b'?']), CloseCode::Protocol);

        // What is within them.
        let mut member = Member::new(server.addr, "lawful");
        let longest = "z".repeat(16 * 1024);
        member.say(longest.clone());
        member.until(&format!("said lawful {longest}"));
        let parts = [frame(0x01, b"hazel"), frame(0x89, b"now?"), frame(0x80, b"nut")].concat();
        member.0.get_mut().write_all(&parts).expect("it reads");
        assert_eq!(member.0.read().expect("it answers"), Message::Pong(Bytes::from("now?")), "{backend:?}");
        assert_eq!(member.hear(), "said lawful hazelnut", "{backend:?}");
        witness.until("said lawful hazelnut");

        let status = |url: &str, args: &[&str]| {
            let url = format!("http://{}{url}", server.addr);
            output(Command::new("curl").args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"]).args(args).arg(url))
        };
        assert_eq!(status("/", &[]), "200", "{backend:?}");
        assert_eq!(status("/nut", &[]), "404", "{backend:?}");
        assert_eq!(status("/chat?name=mouse", &[]), "400", "{backend:?}: no upgrade");
        let upgrade = ["-H", "upgrade: websocket", "-H", "connection: upgrade", "-H", "sec-websocket-version: 13"];
        let upgrade = [&upgrade[..], &["-H", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="]].concat();
        assert_eq!(status("/chat", &upgrade), "400", "{backend:?}: no name");
        assert_eq!(status("/chat?name=a%20b", &upgrade), "400", "{backend:?}: no such name");
    }
}

#[test]
fn who_answers_no_ping_is_dropped_and_who_does_stays() {
    for backend in Backend::ALL {
        let server = serve("chat", "chat-server", backend, &["1"]);
        let mut alive = Member::new(server.addr, "alive");
        let mut silent = Member::new(server.addr, "silent");
        // It reads, and so answers.
        alive.until("left silent");
        let mut pings = 0;
        while pings < 3 {
            pings += usize::from(alive.0.read().expect("it is there").is_ping());
        }
        alive.say("still here");
        alive.until("said alive still here");
        assert_eq!(silent.closed(), CloseCode::Policy, "{backend:?}");
    }
}

#[test]
fn who_does_not_read_is_dropped_and_takes_no_memory() {
    for backend in Backend::ALL {
        let command = server(&["--max-memory", "16MiB"], "chat", "chat-server", backend, &[]);
        let server = Running::start(command, true);
        let mut mouse = Member::new(server.addr, "mouse");
        let slow: Vec<_> = (0..3).map(|n| Member::new(server.addr, &format!("slow{n}"))).collect();
        (0..3).for_each(|n| mouse.until(&format!("joined slow{n}")));
        // It reads all that it says, and so it is not dropped.
        let long = "z".repeat(16 * 1024);
        let (mut left, mut said) = (0, 0);
        while left < slow.len() {
            mouse.say(long.clone());
            said += 1;
            loop {
                match mouse.hear() {
                    line if line.starts_with("left slow") => left += 1,
                    line => break assert!(line.starts_with("said mouse z"), "{backend:?}: {line}"),
                }
            }
        }
        mouse.say("spring");
        mouse.until("said mouse spring");
        assert!(said > 64, "{backend:?}: a queue has room for that");
    }
}

#[test]
fn everybody_is_told_that_the_server_ends() {
    for backend in Backend::ALL {
        let server = serve("chat", "chat-server", backend, &[]);
        let mut members: Vec<_> = (0..5).map(|n| Member::new(server.addr, &format!("m{n}"))).collect();
        // An idle HTTP connection holds nothing up.
        let _idle = TcpStream::connect(server.addr).expect("it listens");
        server.interrupt();
        for member in &mut members {
            assert_eq!(member.closed(), CloseCode::Away, "{backend:?}");
            // What we answer is sent by this.
            let _ = member.0.read();
        }
        let (status, said) = server.end();
        assert!(status.success(), "{backend:?}: {status} {said}");
    }
}

#[test]
fn nothing_leaks() {
    for backend in Backend::ALL {
        let mut server = serve_counted("chat", "chat-server", backend, &[]);
        let mut stays = Member::new(server.addr, "stays");
        // What is opened once and for all is there when the first has come and gone.
        drop(Member::new(server.addr, "first"));
        stays.until("left first");
        let held = server.held(backend);
        for round in 0..3 {
            let mut members: Vec<_> = (0..40).map(|n| Member::new(server.addr, &format!("m{round}-{n}"))).collect();
            members[0].say("acorn");
            members.iter_mut().for_each(|member| member.until(&format!("said m{round}-0 acorn")));
            // Half of them close, half of them hang up.
            members.iter_mut().step_by(2).for_each(|member| member.0.close(None).expect("it reads"));
        }
        stays.until("said m2-0 acorn");
        server.until_held(backend, held);
    }
}

#[test]
fn two_pages_in_chromium() {
    let mut browser = Browser::new();
    let enter = |text: &str| {
        format!("document.querySelector('input').value = {text:?}; document.querySelector('form').requestSubmit()")
    };
    for backend in Backend::ALL {
        let server = serve("chat", "chat-server", backend, &[]);
        let url = format!("http://{}/", server.addr);
        let (mouse, vole) = (browser.open(&url), browser.open(&url));
        browser.run(&mouse, &enter("mouse"));
        browser.until(&mouse, "You are mouse.");
        browser.run(&vole, &enter("vole"));
        browser.until(&vole, "You are vole.");
        browser.until(&mouse, "vole has come.");
        browser.run(&mouse, &enter("Has anybody seen my <b>acorns</b>?"));
        browser.until(&vole, "Has anybody seen my <b>acorns</b>?");
        browser.run(&vole, &enter("They are behind the oak."));
        browser.until(&mouse, "They are behind the oak.");
        assert_eq!(browser.run(&mouse, "document.getElementById('people').innerText"), "mouse, vole", "{backend:?}");
        if backend == Backend::P3 {
            // To look at, and for the page's README.
            let picture = browser.picture(&mouse);
            let mut decode = Command::new("base64");
            decode.arg("-d").stdin(std::process::Stdio::piped());
            let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("chat.png");
            let file = std::fs::File::create(path).expect("it can be written");
            let mut decode = decode.stdout(file).spawn().expect("it is there");
            decode.stdin.take().expect("piped").write_all(picture.as_bytes()).expect("it reads");
            assert!(decode.wait().is_ok_and(|status| status.success()));
        }
        browser.close(vole);
        browser.until(&mouse, "vole has left.");
        server.interrupt();
        browser.until(&mouse, "You are no longer connected (1001: the server ends).");
        assert!(server.end().0.success(), "{backend:?}");
        browser.close(mouse);
    }
}
