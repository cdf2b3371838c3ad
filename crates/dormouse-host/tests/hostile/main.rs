//! Programs that want their host's memory, its descriptors, its ports or its log, under `--max-memory 16MiB`: each ends by itself, in
//! the way that is named, and the process that has run it, compiler included, never had more than 64 MiB resident.
//!
//! The table by hand: `cargo test -p dormouse-host --test hostile -- --nocapture`.

#[path = "../support/mod.rs"]
mod support;

mod guests;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use guests::Guest;

/// What a guest gets.
const MEMORY: &str = "16MiB";
/// What its host may have resident, in KiB.
const MOST: i64 = 64 << 10;

#[test]
fn the_host_of_a_hostile_guest_stays_small() {
    let mut failed = Vec::new();
    println!("{:<34} {:>6} {:>10}", "guest", "exit", "peak");
    for guest in guests::all() {
        let ended = run(&guest);
        println!("{:<34} {:>6} {:>6.1} MiB", guest.name, ended.code, ended.peak as f64 / 1024.0);
        if ended.peak > MOST || !guest.ends.contains(&ended.code) {
            let Ended { code, peak, said } = ended;
            let (first, name) = (said.lines().next().unwrap_or_default(), guest.name);
            failed.push(format!("{name}: exit code {code} of {:?}, {peak} KiB of {MOST}: {first}", guest.ends));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

struct Ended {
    code: i32,
    /// Resident at most, in KiB.
    peak: i64,
    /// Its standard error.
    said: String,
}

fn run(guest: &Guest) -> Ended {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{}", guest.name.replace(' ', "-")));
    fs::create_dir_all(&dir).unwrap();
    let app = dir.join("app.wasm");
    fs::write(&app, &guest.bytes).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
    // What it takes to compile the program is measured, too.
    command.args(["run", "--no-cache", "--max-memory", MEMORY, "--dir"]).arg(format!("{}::/", dir.display())).arg(app);
    command.stdin(File::open("/dev/zero").unwrap()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env_remove("RUST_BACKTRACE");
    let mut child = command.spawn().unwrap();
    let mut said = Vec::new();
    // To the end, which is the process's, without keeping what it floods us with.
    let mut pipe = child.stderr.take().unwrap();
    let mut chunk = vec![0; 1 << 16];
    let mut flood = 0;
    while let n @ 1.. = pipe.read(&mut chunk).unwrap() {
        flood += n;
        if said.len() < 1 << 16 {
            said.extend_from_slice(&chunk[..n]);
        }
    }
    assert!(flood < 1 << 20, "{}: {flood} bytes of standard error", guest.name);
    let (code, peak) = wait(child);
    Ended { code, peak, said: String::from_utf8_lossy(&said).into_owned() }
}

/// The exit code, or 128 and the signal; and the most that was resident, in KiB, which std has no call for.
fn wait(child: Child) -> (i32, i64) {
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are to what the call writes; the child is ours, has not been waited for, and never is again.
    let pid = unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, usage.as_mut_ptr()) };
    assert_eq!(pid, child.id() as libc::pid_t, "{}", std::io::Error::last_os_error());
    // SAFETY: zeros are an rusage, and the call has filled it.
    let usage = unsafe { usage.assume_init() };
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    // On Linux in KiB, elsewhere in bytes.
    (code, if cfg!(target_os = "linux") { usage.ru_maxrss } else { usage.ru_maxrss >> 10 })
}
