//! `apps/tls`, with openssl's client and server, curl and h2load.

mod authority;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use authority::{Authority, key};
use cookbook_tests::{Backend, PATIENCE, Running, client_with, output, server};
use rcgen::KeyPair;

const MIB16: usize = 16 << 20;

/// `tls-server` with all that an authority has signed; a handshake may take as long as `seconds`.
fn serve(authority: &Authority, backend: Backend, seconds: &str) -> Running {
    let flags = ["--count-calls", "--dir", authority.dir()];
    Running::start(server(&flags, "tls", "tls-server", backend, &[&authority.served_dir(), seconds]), true)
}

/// `tls-client`, which trusts an authority.
fn client(authority: &Authority, backend: Backend, addr: SocketAddr, name: &str) -> Command {
    let mut command = client_with(&["--dir", authority.dir()], "tls", "tls-client", backend);
    command.arg(addr.to_string()).arg(authority.file()).arg(name);
    command
}

/// Runs a command with an input, which then ends.
fn with_input(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is there");
    let mut stdin = child.stdin.take().expect("piped");
    thread::scope(|scope| {
        // It may end without having read all.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("it ends")
    })
}

/// What a client says that fails.
fn refusal(command: &mut Command) -> String {
    let output = with_input(command, b"");
    assert!(!output.status.success(), "{command:?} has succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `openssl s_client`, which verifies.
fn s_client(authority: &Authority, addr: SocketAddr, name: &str, args: &[&str]) -> Running {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &addr.to_string(), "-servername", name, "-verify_hostname", name]);
    command.args(["-CAfile", &authority.file(), "-verify_return_error"]).args(args);
    Running::start(command, false)
}

/// Bytes of which no part is like another.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 88172645463325252u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

#[test]
fn openssl_agrees_on_every_suite_and_group_and_its_lines_come_back() {
    let authority = Authority::new("suites").signs("mouse.test");
    let asked = [
        (&["-tls1_3"][..], "TLSv1.3, Cipher is TLS_CHACHA20_POLY1305_SHA256"),
        (&["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-groups", "P-256"], "TLS_AES_128_GCM_SHA256"),
        (&["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", "-groups", "P-384"], "TLS_AES_256_GCM_SHA384"),
        (&["-tls1_2"], "TLSv1.2, Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "-groups", "P-384:P-256"], "AES128-GCM-SHA256"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", "-groups", "P-256"], "AES256-GCM-SHA384"),
    ];
    for backend in Backend::ALL {
        let server = serve(&authority, backend, "60");
        for (args, agreed) in asked {
            let mut client = s_client(&authority, server.addr, "mouse.test", args);
            assert!(client.until("Cipher is").contains(agreed), "{backend:?}: {args:?}");
            client.until("Verify return code: 0 (ok)");
            for line in ["hazel", "acorn"] {
                client.say(&format!("{line}\n"));
                client.until(line);
            }
            client.say("Q\n");
            assert!(client.end().0.success(), "{backend:?}: {args:?}");
        }
    }
}

#[test]
fn a_session_is_resumed() {
    let authority = Authority::new("resumed").signs("mouse.test");
    let session = format!("{}/session.pem", authority.dir());
    for backend in Backend::ALL {
        let server = serve(&authority, backend, "60");
        for version in ["-tls1_2", "-tls1_3"] {
            for (file, begins) in [("-sess_out", "New, TLSv1"), ("-sess_in", "Reused, TLSv1")] {
                let mut client = s_client(&authority, server.addr, "mouse.test", &[version, file, &session]);
                client.until(begins);
                client.say("hazel\n");
                client.until("hazel");
                client.say("Q\n");
                assert!(client.end().0.success(), "{backend:?} {version}");
            }
        }
    }
}

#[test]
fn curl_asks_by_name_and_posts_much() {
    let authority =
        Authority::new("curl").signs("mouse.test").signs("127.0.0.1").signs_with("shrew.test", &rcgen::PKCS_ED25519);
    let (sent, received) = (format!("{}/sent", authority.dir()), format!("{}/received", authority.dir()));
    fs::write(&sent, noise(MIB16)).expect("it is there");
    for backend in Backend::ALL {
        let server = serve(&authority, backend, "60");
        let curl = |name: &str, args: &[&str]| {
            let mut command = Command::new("curl");
            command.args(["-sS", "--cacert", &authority.file()]).args(args);
            let port = server.addr.port();
            command.args(["--resolve", &format!("{name}:{port}:127.0.0.1"), &format!("https://{name}:{port}/")]);
            command
        };
        let said = |name, version| format!("you have asked for {name}, over {version}\n");
        assert_eq!(output(&mut curl("mouse.test", &[])), said("mouse.test", "TLSv1_3"), "{backend:?}");
        assert_eq!(output(&mut curl("shrew.test", &[])), said("shrew.test", "TLSv1_3"), "{backend:?}");
        assert_eq!(output(&mut curl("127.0.0.1", &[])), said("nobody in particular", "TLSv1_3"), "{backend:?}");
        assert_eq!(
            output(&mut curl("mouse.test", &["--tls-max", "1.2"])),
            said("mouse.test", "TLSv1_2"),
            "{backend:?}"
        );
        assert!(refusal(&mut curl("vole.test", &[])).contains("alert"), "{backend:?}");

        let data = format!("@{sent}");
        output(&mut curl("mouse.test", &["-H", "expect:", "--data-binary", &data, "-o", &received]));
        let same = fs::read(&received).expect("it is there") == noise(MIB16);
        assert!(same, "{backend:?}: it came back changed");
    }
}

#[test]
fn our_client_and_our_server() {
    let authority = Authority::new("ours").signs("mouse.test");
    let much = noise(MIB16);
    for backend in Backend::ALL {
        let server = serve(&authority, backend, "60");
        // To a client it is all the same what the server runs on.
        let sides = if backend == Backend::Native { &Backend::CONNECT[..] } else { &[Backend::Native] };
        for &side in sides {
            let said = with_input(&mut client(&authority, side, server.addr, "mouse.test"), b"hazel\nacorn\n");
            let err = String::from_utf8_lossy(&said.stderr);
            assert!(said.status.success(), "{side:?} with {backend:?}: {err}");
            assert_eq!(said.stdout, b"hazel\nacorn\n", "{side:?} with {backend:?}");
        }
        // The input has ended long before the last of it comes back.
        let side = if backend == Backend::P1 { Backend::Native } else { backend };
        let said = with_input(&mut client(&authority, side, server.addr, "mouse.test"), &much);
        assert!(said.status.success() && said.stdout == much, "{side:?} with {backend:?}: {} bytes", said.stdout.len());
    }
}

/// `openssl s_server` with a certificate, which turns lines round.
fn s_server(authority: &Authority, name: &str, args: &[&str]) -> Running {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", "-cert", &authority.served(name, "crt")]);
    command.args(["-key", &authority.served(name, "key"), "-rev"]).args(args);
    Running::start(command, true)
}

#[test]
fn our_client_verifies_what_openssl_shows() {
    let p256 = Authority::new("p256")
        .signs("p256.test")
        .signs_with("p384.test", &rcgen::PKCS_ECDSA_P384_SHA384)
        .signs_for("ed25519.test", &key("ED25519"))
        .signs_for("rsa.test", &key("RSA"));
    let by_rsa = Authority::with("by-rsa", &key("RSA")).signs("by-rsa.test");
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let by_p384 = Authority::with("by-p384", &p384).signs("by-p384.test");
    let shown = [
        (&p256, "p256.test"),
        (&p256, "p384.test"),
        (&p256, "ed25519.test"),
        (&p256, "rsa.test"),
        (&by_rsa, "by-rsa.test"),
        (&by_p384, "by-p384.test"),
    ];
    let mut turn = [Backend::P2, Backend::P3];
    for (authority, name) in shown {
        // Natively in all pairs; a guest takes a second to compile, and has both versions and all names.
        turn.rotate_left(1);
        for (version, guest) in ["-tls1_2", "-tls1_3"].into_iter().zip(turn) {
            let server = s_server(authority, name, &[version]);
            for backend in [Backend::Native, guest] {
                let said = with_input(&mut client(authority, backend, server.addr, name), b"hazel\n");
                let err = String::from_utf8_lossy(&said.stderr);
                assert!(said.status.success(), "{backend:?} {name} {version}: {err}");
                assert_eq!(said.stdout, b"lezah\n", "{backend:?} {name} {version}");
            }
        }
    }
}

#[test]
fn our_client_says_what_is_wrong() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let authority = Authority::new("trusted").signs("mouse.test").signs_until("old.test", &key, 2020);
    let other = Authority::new("other").signs("mouse.test");
    let (good, old) = (s_server(&authority, "mouse.test", &[]), s_server(&authority, "old.test", &[]));
    let plain = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let not_tls = plain.local_addr().expect("it is bound");
    thread::spawn(move || {
        for (n, conn) in plain.incoming().map_while(Result::ok).enumerate() {
            // In turns, it speaks another language, and it hangs up.
            if n % 2 == 0 {
                let _ = (&conn).write_all(b"220 mail.test ESMTP\r\n");
                let _ = conn.shutdown(Shutdown::Write);
                let _ = (&conn).read_to_end(&mut Vec::new());
            }
        }
    });
    for backend in Backend::CONNECT {
        let says = |command: &mut Command, what: &[&str]| {
            let said = refusal(command);
            assert!(what.iter().all(|what| said.contains(what)), "{backend:?}: {said}");
            assert!(said.starts_with("Error: ") && said.lines().count() == 1, "{backend:?}: {said}");
        };
        let untrusted = "the certificate is signed by nobody who is trusted";
        let at = format!("handshake with mouse.test at {}: ", good.addr);
        says(&mut client(&other, backend, good.addr, "mouse.test"), &[&at, untrusted]);
        says(
            &mut client(&authority, backend, good.addr, "vole.test"),
            &["not valid for name \"vole.test\"", "mouse.test"],
        );
        says(&mut client(&authority, backend, old.addr, "old.test"), &["certificate expired"]);
        says(&mut client(&authority, backend, not_tls, "mouse.test"), &["the other side does not speak TLS"]);
        says(&mut client(&authority, backend, not_tls, "mouse.test"), &["handshake with mouse.test at"]);
        says(&mut client(&authority, backend, good.addr, "no name"), &["\"no name\" is no name for a server"]);
        let mut without = client_with(&["--dir", authority.dir()], "tls", "tls-client", backend);
        without.args([&good.addr.to_string(), &format!("{}/none.pem", authority.dir())]);
        says(&mut without, &["none.pem: "]);
    }
}

#[test]
fn an_answer_that_is_cut_short_is_an_error() {
    let authority = Authority::new("cut").signs("mouse.test");
    for backend in Backend::CONNECT {
        let server = s_server(&authority, "mouse.test", &[]);
        let mut client = Running::start(client(&authority, backend, server.addr, "mouse.test"), false);
        client.say("hazel\n");
        client.until("lezah");
        // It is killed, and so does not say that this is the end.
        drop(server);
        let (status, said) = client.end();
        assert!(!status.success(), "{backend:?}: {said}");
        assert!(said.contains("without sending TLS close_notify"), "{backend:?}: {said}");
    }
}

/// Reads until the server hangs up, which it does, or this would not return.
fn hangs_up(mut stream: TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
}

#[test]
fn who_is_silent_or_talks_nonsense_harms_nobody_and_nothing_leaks() {
    let authority = Authority::new("nonsense").signs("localhost");
    for backend in Backend::ALL {
        let mut server = serve(&authority, backend, "3");
        let addr = server.addr;
        let url = format!("https://localhost:{}/", server.addr.port());
        let curl = || output(Command::new("curl").args(["-sS", "-4", "--cacert", &authority.file(), &url]));
        assert!(curl().starts_with("you have asked for localhost"), "{backend:?}");
        let connect = || TcpStream::connect(addr).expect("it listens");
        // The first complaint opens standard error, which stays.
        drop(connect());
        server.until("handshake: the other side has hung up");
        let held = server.held(backend);

        let silent: Vec<_> = (0..20).map(|_| connect()).collect();
        let nonsense: Vec<_> = (0..20).map(|_| connect()).collect();
        for mut stream in &nonsense {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
        }
        for _ in 0..20 {
            // The first bytes of a record with a hello, of which the rest never comes.
            connect().write_all(&[22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]).expect("it reads");
        }
        assert!(curl().starts_with("you have asked for localhost"), "{backend:?}");
        nonsense.into_iter().for_each(hangs_up);
        silent.into_iter().for_each(hangs_up);
        server.until("handshake: the other side does not speak TLS");

        for _ in 0..5 {
            let load = output(Command::new("h2load").args(["--h1", "-n", "60", "-c", "20", &url]));
            assert!(load.contains("60 succeeded, 0 failed, 0 errored"), "{backend:?}: {load}");
        }
        server.until_held(backend, held);
    }
}
