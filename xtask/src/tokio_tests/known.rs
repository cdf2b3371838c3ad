//! What is not a pass, and why.

use super::On;

/// What kind of result it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// WASI has nothing to do it with.
    Cannot,
    /// It could be, and is not.
    Fails,
}

/// Tests of a file that do not pass, for one reason.
pub struct Known {
    pub file: &'static str,
    /// A name that ends in `*` stands for all that begin so.
    pub tests: &'static [&'static str],
    /// The one backend; `None` for both.
    pub on: Option<On>,
    pub class: Class,
    pub reason: &'static str,
}

impl Known {
    pub fn is_on(&self, on: On) -> bool {
        self.on.is_none_or(|own| own == on)
    }
}

const fn cannot(file: &'static str, reason: &'static str, tests: &'static [&'static str]) -> Known {
    Known { file, tests, on: None, class: Class::Cannot, reason }
}

const fn fails(file: &'static str, reason: &'static str, tests: &'static [&'static str]) -> Known {
    Known { file, tests, on: None, class: Class::Fails, reason }
}

/// Files that are for other systems, or for what tokio calls unstable: here they are empty.
pub const ELSEWHERE: &[&str] = &[
    "_require_full",
    "dump",
    "fs_uring*",
    "io_poll_aio",
    "net_named_pipe",
    "rt_unstable*",
    "task_builder",
    "task_trace*",
    "time_wasm",
    "tracing*",
    "fs_symlink_dir_windows",
    "fs_symlink_file_windows",
    "fs_open_options_windows",
    "io_emscripten",
    "rt_emscripten*",
    "rt_multi_thread_emscripten",
    "sync_emscripten*",
    "task_emscripten",
    "process_raw_handle",
    "process_change_of_runtime",
];

/// Files that are about what WASI does not have, which are not built for it.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("uds_*", "Unix sockets"),
    ("unix_shutdown", "Unix sockets"),
    ("net_unix_pipe", "named pipes"),
    ("process_*", "processes"),
    ("signal_*", "signals of Unix, which the tests send to themselves"),
    ("io_async_fd", "descriptors of Unix, which WASI cannot wait for"),
];

pub const NOT_A_PASS: &[Known] = &[];

/// Whether a listed name stands for a test.
pub fn matches(listed: &str, name: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => listed == name,
    }
}

pub fn find(file: &str, test: &str, on: On) -> Option<&'static Known> {
    let mut all = NOT_A_PASS.iter().filter(|known| known.file == file && known.is_on(on));
    all.find(|known| known.tests.iter().any(|listed| matches(listed, test)))
}
