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

/// Files that do not build on WASI yet, and what they name that is not there.
pub const DO_NOT_BUILD: &[(&str, &str)] = &[
    ("io_driver", "`from_std`"),
    ("io_driver_drop", "`from_std`"),
    ("net_bind_resource", "`TryFrom` of std's listener"),
    ("net_panic", "`from_std`"),
    ("no_rt", "`from_std`"),
    ("tcp_accept_ready", "`AsFd` of a stream"),
    ("tcp_into_std", "`into_std`"),
    ("tcp_peek", "`TryFrom` of std's stream"),
    ("tcp_socket", "`set_zero_linger`, `set_tos_v4`"),
    ("udp", "`set_multicast_loop_v4` and its like"),
];

const THREADS: &str = "starts a thread";
const CAUGHT: &str = "catches a panic, which ends the program";

pub const NOT_A_PASS: &[Known] = &[
    cannot("buffered", THREADS, &["echo_server"]),
    fails(
        "coop_budget",
        "counts turns: a datagram that a program sends to itself is there a turn later than natively",
        &["coop_budget_udp_send_recv"],
    ),
    cannot("fs", "std duplicates no file on WASI", &["try_clone_should_preserve_max_buf_size"]),
    cannot("fs_copy", "WASI's files have no permissions", &["copy_permissions"]),
    cannot("fs_file", "std duplicates no file on WASI", &["write_to_clone"]),
    cannot("fs_file_join_error", "asks for the number of its process", &["file_ops_survive_join_error"]),
    cannot("io_panic", CAUGHT, &["*"]),
    cannot("join_handle_panic", CAUGHT, &["*"]),
    cannot("rt_basic", THREADS, &["spawn_remote"]),
    cannot("rt_common_before_park", THREADS, &["wake_from_other_thread_block_on"]),
    cannot("rt_local", THREADS, &["test_spawn_from_guard_other_thread", "test_spawn_local_from_guard_other_thread"]),
    cannot("rt_local", CAUGHT, &["test_spawn_local_panic"]),
    cannot("rt_metrics", THREADS, &["global_queue_depth_current_thread", "global_queue_depth_multi_thread"]),
    cannot("rt_metrics", "counts workers: there is one", &["num_workers"]),
    fails("rt_metrics", "counts the parks of a worker", &["worker_park_count", "worker_park_unpark_count"]),
    cannot("rt_panic", CAUGHT, &["*"]),
    fails(
        "rt_shutdown_err",
        "runs longer than 40 s on a busy machine; whether it ends is not known",
        &["test_is_rt_shutdown_err"],
    ),
    cannot(
        "rt_spawn_blocking",
        "two that block wait for the task that has started them: a second thread",
        &["issue_8056_regression_test"],
    ),
    cannot("sync_mpsc", THREADS, &["blocking_recv", "blocking_send"]),
    cannot("sync_mpsc", CAUGHT, &["permit_send_panicking_rx_waker"]),
    cannot("sync_semaphore", THREADS, &["blocking_acquire_waits_for_permit"]),
    cannot("sync_set_once", THREADS, &["set_and_wait_multiple_threads", "set_and_wait_threads"]),
    cannot(
        "task_abort",
        CAUGHT,
        &[
            "test_abort_task_that_panics_on_drop_contained",
            "test_abort_task_that_panics_on_drop_returned",
            "test_join_error*",
        ],
    ),
    cannot("task_abort", THREADS, &["remote_abort_local_set_3929", "test_abort_without_panic_3662"]),
    cannot(
        "task_blocking",
        THREADS,
        &["coop_disabled_in_block_in_place", "coop_disabled_in_block_in_place_in_block_on"],
    ),
    cannot(
        "task_blocking",
        CAUGHT,
        &["panicking_blocking_task_wakes_paused_runtime", "useful_panic_message_when_dropping_rt_in_rt"],
    ),
    cannot("task_id", CAUGHT, &["task_id_inside_block_on_panic_caller", "task_id_outside_task_panic_caller"]),
    cannot("task_join_set", CAUGHT, &["task_panics"]),
    cannot("tcp_into_split", THREADS, &["drop_write", "reunite"]),
    cannot("tcp_into_split", "peeks, for which components have no call", &["split"]),
    cannot("task_local_set", THREADS, &["drop_cancels_remote_tasks", "localset_in_thread_local"]),
    cannot("task_local_set", "checks that what blocks is on another thread", &["local_threadpool_blocking_run"]),
    cannot("tcp_stream", "WASI has no SO_LINGER", &["set_linger"]),
    cannot("tcp_shutdown", "WASI cannot reset a connection: it has no SO_LINGER", &["shutdown_after_tcp_reset"]),
    cannot("tcp_split", THREADS, &["split"]),
    cannot("time_rt", "blocks its thread until another thread has run a task", &["timer_with_threaded_runtime"]),
];

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
