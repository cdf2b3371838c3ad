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
    /// A name that ends in `*` stands for all that begin so, and one that begins with it for all that end so.
    pub tests: &'static [&'static str],
    /// The one backend; `None` for both.
    pub on: Option<On>,
    pub class: Class,
    pub reason: &'static str,
    /// They would run for ever, and are not run. They are named in full.
    pub is_endless: bool,
}

impl Known {
    pub fn is_on(&self, on: On) -> bool {
        self.on.is_none_or(|own| own == on)
    }
}

const fn cannot(file: &'static str, reason: &'static str, tests: &'static [&'static str]) -> Known {
    Known { file, tests, on: None, class: Class::Cannot, reason, is_endless: false }
}

const fn runs_for_ever(file: &'static str, reason: &'static str, tests: &'static [&'static str]) -> Known {
    Known { file, tests, on: None, class: Class::Cannot, reason, is_endless: true }
}

const fn fails(file: &'static str, reason: &'static str, tests: &'static [&'static str]) -> Known {
    Known { file, tests, on: None, class: Class::Fails, reason, is_endless: false }
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

const THREADS: &str = "starts a thread";
const WORKERS: &str = "blocks until another worker has run: a second thread";
const NO_RUNTIME: &str =
    "has to panic outside of a runtime, or in one without I/O: here sockets and standard output work there";
const ANYWHERE: &str = "has to panic where a current-thread runtime may not block: here that is every one, and all may";
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
    cannot(
        "rt_common",
        THREADS,
        &[
            "*::always_active_parker",
            "*::block_on_async",
            "*::complete_block_on_under_load",
            "*::complete_task_under_load",
            "*::runtime_in_thread_local",
            "*::shutdown_concurrent_spawn",
            "*::spawn_from_other_thread_idle",
            "*::spawn_from_other_thread_under_load",
            "*::spawn_many_from_block_on",
            "*::spawn_many_from_task",
            "*::wake_by_ref_from_thread_local",
            "*::wake_by_val_from_thread_local",
        ],
    ),
    cannot("rt_common", CAUGHT, &["*::panic_in_task"]),
    cannot(
        "rt_common",
        WORKERS,
        &[
            "threaded_scheduler_4_threads::coop_yield_defers_until_park",
            "threaded_scheduler_4_threads::yield_defers_until_park",
        ],
    ),
    runs_for_ever(
        "rt_common",
        "what it has started to block does so for hours: a second thread",
        &[
            "current_thread_scheduler::shutdown_timeout",
            "threaded_scheduler_1_thread::shutdown_timeout",
            "threaded_scheduler_4_threads::shutdown_timeout",
            "current_thread_scheduler::shutdown_timeout_0",
            "threaded_scheduler_1_thread::shutdown_timeout_0",
            "threaded_scheduler_4_threads::shutdown_timeout_0",
        ],
    ),
    runs_for_ever(
        "rt_common",
        "another executor blocks the thread, which alone could wake it",
        &[
            "current_thread_scheduler::sleep_from_blocking",
            "threaded_scheduler_1_thread::sleep_from_blocking",
            "threaded_scheduler_4_threads::sleep_from_blocking",
        ],
    ),
    Known {
        on: Some(On::P3),
        ..runs_for_ever(
            "rt_common",
            "another executor blocks the thread, which alone could wake it; on WASI 0.2 a connection to the program itself is there at once",
            &[
                "current_thread_scheduler::socket_from_blocking",
                "threaded_scheduler_1_thread::socket_from_blocking",
                "threaded_scheduler_4_threads::socket_from_blocking",
            ],
        )
    },
    cannot("rt_common_before_park", THREADS, &["wake_from_other_thread_block_on"]),
    cannot("rt_local", THREADS, &["test_spawn_from_guard_other_thread", "test_spawn_local_from_guard_other_thread"]),
    cannot("rt_local", CAUGHT, &["test_spawn_local_panic"]),
    cannot("rt_metrics", THREADS, &["global_queue_depth_current_thread", "global_queue_depth_multi_thread"]),
    fails("io_driver", NO_RUNTIME, &["panics_when_io_disabled"]),
    fails("net_bind_resource", NO_RUNTIME, &["no_runtime_panics_binding_net_tcp_listener"]),
    fails("net_panic", NO_RUNTIME, &["*_from_std_panic_caller"]),
    fails(
        "no_rt",
        NO_RUNTIME,
        &["io_panics_when_no_tokio_context", "panics_when_no_reactor", "stdout_panics_when_no_tokio_context"],
    ),
    cannot("rt_metrics", "counts workers: there is one", &["num_workers"]),
    fails("rt_metrics", "counts the parks of a worker", &["worker_park_count", "worker_park_unpark_count"]),
    cannot("rt_panic", CAUGHT, &["*"]),
    cannot(
        "rt_spawn_blocking",
        "two that block wait for the task that has started them: a second thread",
        &["issue_8056_regression_test"],
    ),
    fails("rt_threaded", ANYWHERE, &["test_block_in_place1", "test_block_in_place3"]),
    cannot("rt_threaded", WORKERS, &["blocking", "wake_deferred_tasks_before_block_in_place"]),
    cannot(
        "rt_threaded",
        "counts the workers' threads: none is started",
        &["drop_threadpool_drops_futures", "start_stop_callbacks_called"],
    ),
    runs_for_ever(
        "rt_threaded",
        WORKERS,
        &["hang_on_shutdown", "many_oneshot_futures", "multi_threadpool", "spawn_shutdown", "test_tuning"],
    ),
    cannot("rt_worker_index", THREADS, &["worker_index_current_thread_concurrent_block_on"]),
    cannot(
        "rt_worker_index",
        "asks whether it is on a worker: the one thread is",
        &[
            "worker_index_handle_block_on_current_thread",
            "worker_index_multi_thread",
            "worker_index_tokio_test_multi_thread",
        ],
    ),
    cannot("sync_mpsc", THREADS, &["blocking_recv", "blocking_send"]),
    cannot("sync_mpsc", CAUGHT, &["permit_send_panicking_rx_waker"]),
    cannot("sync_broadcast", CAUGHT, &["panic_in_clone"]),
    cannot("sync_panic", CAUGHT, &["*"]),
    cannot("sync_watch", CAUGHT, &["send_modify_panic"]),
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
    runs_for_ever("task_blocking", WORKERS, &["coop_disabled_in_block_in_place"]),
    cannot("task_blocking", THREADS, &["coop_disabled_in_block_in_place_in_block_on"]),
    cannot(
        "task_blocking",
        CAUGHT,
        &["panicking_blocking_task_wakes_paused_runtime", "useful_panic_message_when_dropping_rt_in_rt"],
    ),
    fails("task_blocking", ANYWHERE, &["no_block_in_current_thread_block_on", "no_block_in_current_thread_scheduler"]),
    cannot("task_id", CAUGHT, &["task_id_inside_block_on_panic_caller", "task_id_outside_task_panic_caller"]),
    cannot("task_join_set", CAUGHT, &["task_panics"]),
    cannot(
        "tcp_accept_ready",
        "reads from the descriptor with socket2: a socket of WASI's has none",
        &[
            "accepted_stream_reads_without_waiting_for_an_event",
            "async_io_wouldblock_falls_back_to_wait",
            "first_poll_read_and_write_are_ready",
            "full_first_read_keeps_draining",
            "later_reads_after_runtime_drop_report_shutdown",
            "peek_first_poll_ready",
        ],
    ),
    cannot("tcp_into_std", "reads from std's socket: WASI has no call that hands over a connection", &["tcp_into_std"]),
    cannot("tcp_peek", THREADS, &["peek"]),
    cannot("tcp_socket", "WASI has no SO_LINGER", &["basic_linger", "linger"]),
    cannot("tcp_socket", "WASI has no IP_TOS", &["tos_v4"]),
    cannot("tcp_into_split", THREADS, &["drop_write", "reunite"]),
    cannot(
        "task_local_set",
        THREADS,
        &["drop_cancels_remote_tasks", "local_tasks_wake_join_all", "localset_in_thread_local"],
    ),
    cannot(
        "task_local_set",
        "checks that a task or what blocks is on another thread",
        &["join_local_future_elsewhere", "local_threadpool_blocking_run"],
    ),
    fails("task_local_set", ANYWHERE, &["block_in_place_cases::*"]),
    cannot("task_panic", CAUGHT, &["*"]),
    cannot("tcp_stream", "WASI has no SO_LINGER", &["set_linger"]),
    runs_for_ever(
        "tcp_stream",
        "waits for READ_CLOSED: hosts tell of the end with a read",
        &["try_read_buf", "try_read_write"],
    ),
    cannot("tcp_shutdown", "WASI cannot reset a connection: it has no SO_LINGER", &["shutdown_after_tcp_reset"]),
    cannot("tcp_split", THREADS, &["split"]),
    cannot("time_panic", CAUGHT, &["*"]),
    cannot("udp", "WASI has neither broadcast nor multicast nor IP_TOS", &["broadcast", "multicast_loop_*", "tos_v4"]),
    cannot("udp", THREADS, &["try_send_spawn"]),
    runs_for_ever("time_rt", "blocks its thread until another thread has run a task", &["timer_with_threaded_runtime"]),
];

/// Whether a listed name stands for a test.
pub fn matches(listed: &str, name: &str) -> bool {
    match (listed.strip_suffix('*'), listed.strip_prefix('*')) {
        (Some(prefix), _) => name.starts_with(prefix),
        (None, Some(suffix)) => name.ends_with(suffix),
        (None, None) => listed == name,
    }
}

/// The tests of a file that are not run.
pub fn endless(file: &str, on: On) -> impl Iterator<Item = &'static str> {
    let all = NOT_A_PASS.iter().filter(move |known| known.is_endless && known.file == file && known.is_on(on));
    all.flat_map(|known| known.tests.iter().copied())
}

pub fn find(file: &str, test: &str, on: On) -> Option<&'static Known> {
    let mut all = NOT_A_PASS.iter().filter(|known| known.file == file && known.is_on(on));
    all.find(|known| known.tests.iter().any(|listed| matches(listed, test)))
}
