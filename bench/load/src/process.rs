//! What the system knows of a process.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use crate::Result;

/// The processor time of a process, user and system, all of its threads; of this one if none is named. It is what
/// /proc/PID/stat has as utime and stime, in nanoseconds and not in hundredths of a second.
pub fn cpu(pid: Option<u32>) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut clock = libc::CLOCK_PROCESS_CPUTIME_ID;
    // SAFETY: both write to where they are told, which is ours, and keep nothing.
    unsafe {
        if let Some(pid) = pid
            && libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) != 0
        {
            return Duration::ZERO;
        }
        libc::clock_gettime(clock, &raw mut time);
    }
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that a process has had, in bytes.
pub fn peak(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// The memory that a process has, in bytes.
pub fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).map_or(0, |kib: u64| kib * 1024)
}

/// The size of the linear memory of a guest in the process, in bytes; 0 if there is none. wasmtime reserves 4 GiB and more of
/// addresses for it, and the first of them can be written.
pub fn guest(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut last = (0, 0, false);
    let mut sum = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some((from, to)), Some(rights)) = (words.next().and_then(|range| range.split_once('-')), words.next())
        else {
            continue;
        };
        let number = |word| u64::from_str_radix(word, 16).unwrap_or(0);
        let (from, to) = (number(from), number(to));
        if rights == "---p" && to - from > 1 << 31 && last.2 && last.1 == from {
            sum += last.1 - last.0;
        }
        last = (from, to, rights == "rw-p");
    }
    sum
}

/// How many processors the machine has, whatever this thread may use.
pub fn processors() -> usize {
    // SAFETY: it is a number that is asked for.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

/// Where a process may run.
#[derive(Clone, Copy)]
pub enum Place {
    Anywhere,
    /// On the last processor, which is the load's.
    Last,
    /// On all processors but the server's, if there is another.
    Others,
}

/// Puts the calling thread, and what it starts from now on, there.
pub fn stay(place: Place) {
    let count = processors();
    let fits = |n: usize| match place {
        Place::Anywhere => true,
        Place::Last => n == count - 1,
        Place::Others => count == 1 || n < count - 1,
    };
    // SAFETY: a set is plain memory, of which all zero is the empty one; it is read and not kept.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for n in (0..count).filter(|&n| fits(n)) {
            libc::CPU_SET(n, &mut set);
        }
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

/// Has what the command starts killed when this thread ends, however it ends: no process is left behind.
pub fn ends_with_us(command: &mut Command) {
    // SAFETY: between fork and exec there is one system call, which takes no memory.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

pub fn interrupt(pid: u32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGINT) };
}

/// Whether `perf` is there and may look at processes.
pub fn has_perf() -> bool {
    let file = env::temp_dir().join(format!("bench-{}.perf", std::process::id()));
    let mut command = Command::new("perf");
    command.args(["record", "-q", "-o"]).arg(&file).args(["--", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    let is_there = command.status().is_ok_and(|status| status.success());
    let _ = fs::remove_file(file);
    is_there
}

/// `perf` looks at a process.
pub struct Profile {
    perf: Child,
    file: PathBuf,
}

/// The parts of a profile: the system; the host, or a native program; the allocator and what else is of libc; and the guest.
pub const PARTS: [&str; 4] = ["kernel", "program", "libc", "code"];
/// Which of them is the guest.
pub const GUEST: usize = 3;

impl Profile {
    pub fn start(pid: u32) -> Result<Profile> {
        let file = env::temp_dir().join(format!("bench-{pid}.perf"));
        let mut command = Command::new("perf");
        command.args(["record", "-q", "-p", &pid.to_string(), "-o"]).arg(&file);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let perf = command.spawn().map_err(|error| format!("cannot start perf: {error}"))?;
        Ok(Profile { perf, file })
    }

    /// Which share of the samples was in each of the [`PARTS`].
    pub fn end(mut self) -> Result<Vec<(&'static str, f64)>> {
        interrupt(self.perf.id());
        let _ = self.perf.wait();
        let mut command = Command::new("perf");
        command.args(["report", "--stdio", "--sort", "dso", "-g", "none", "-i"]).arg(&self.file);
        let output = command.stderr(Stdio::null()).output().map_err(|error| format!("perf report: {error}"))?;
        let _ = fs::remove_file(&self.file);
        let mut shares = PARTS.map(|part| (part, 0.0));
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some((percent, name)) = line.trim().split_once("%") else { continue };
            let (Ok(percent), name) = (percent.parse::<f64>(), name.trim()) else { continue };
            let part = match name {
                _ if name.starts_with("[kernel") || name.starts_with("[vdso]") => 0,
                _ if name.starts_with("libc") => 2,
                // What wasmtime has compiled is in no file.
                _ if name.starts_with("[JIT]") || name.starts_with("[unknown]") || name.starts_with("//anon") => 3,
                _ => 1,
            };
            shares[part].1 += percent / 100.0;
        }
        Ok(shares.to_vec())
    }
}
