//! What the system knows of a process.

use std::fs;
use std::time::Duration;

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
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
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
    /// On all but that one, if there is another.
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

pub fn interrupt(pid: u32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGINT) };
}
