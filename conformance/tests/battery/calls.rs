//! Host calls, counted by the runner: the budget that we publish.

use dormouse_host::Counts;

use crate::drivers::{Backend, Subject, p2, p3};
use crate::{echo, pattern};

/// Host calls for `rounds` round trips of 64 bytes on one quiet connection.
fn calls_for(on: Backend, case: &str, rounds: u64) -> Counts {
    calls_beside(0, on, case, rounds)
}

/// The same, beside connections on which nothing happens.
fn calls_beside(idle: usize, on: Backend, case: &str, rounds: u64) -> Counts {
    let subject = on.start(case);
    let addr = subject.addr();
    let _idle: Vec<_> = (0..idle).map(|_| Subject::connect(addr)).collect();
    let mut stream = Subject::connect(addr);
    let bytes = pattern(64);
    for _ in 0..10 {
        echo(&mut stream, &bytes);
    }
    let before = subject.counts();
    for _ in 0..rounds {
        echo(&mut stream, &bytes);
    }
    subject.counts().since(&before)
}

/// The snapshots may be taken before or after the last empty read and the poll that follow an echo.
const EDGE: u64 = 2;

/// Read, write, poll.
const ON_P1: u64 = 3;

/// Read, ask how much may be written, write, poll. On other hosts one more, a read in vain.
const ON_P2: u64 = 4;

/// Read, write, wait: a read goes on by itself. Of the waits every 64th is followed by a look for more.
const ON_P3: u64 = 3;

/// What may be beside those of each echo.
fn edge(on: Backend) -> u64 {
    if on == Backend::P3 { EDGE + 500 / 64 + 1 } else { EDGE }
}

const ON: [(Backend, u64); 3] = [(Backend::P1, ON_P1), (Backend::P2, ON_P2), (Backend::P3, ON_P3)];

#[test]
fn a_quiet_echo_makes_at_most_3_host_calls_on_p1() {
    let calls = calls_for(Backend::P1, "echo", 500);
    assert!(calls.total() <= ON_P1 * 500 + EDGE, "{calls}");
    assert!(calls.polls() <= 500 + 1, "{calls}");
}

#[test]
fn a_quiet_echo_makes_at_most_4_host_calls_on_p2() {
    let calls = calls_for(Backend::P2, "echo", 500);
    assert!(calls.total() <= ON_P2 * 500 + EDGE, "{calls}");
    assert!(calls.polls() <= 500 + 1, "{calls}");
}

#[test]
fn a_quiet_echo_makes_at_most_3_calls_of_functions_and_built_ins_on_p3() {
    let calls = calls_for(Backend::P3, "echo", 500);
    assert!(calls.total() <= ON_P3 * 500 + edge(Backend::P3), "{calls}");
    assert!(calls.polls() <= 500 + 1, "{calls}");
    assert!(calls.get("stream.read") >= 499 && calls.get("stream.write") >= 499, "{calls}");
}

#[test]
fn a_pending_timer_adds_no_host_call_to_an_echo() {
    for (on, each) in ON {
        let calls = calls_for(on, "echo_with_a_timer", 500);
        assert!(calls.total() <= each * 500 + edge(on), "{on:?}: {calls}");
    }
}

#[test]
fn who_is_parked_and_polled_for_another_reason_makes_no_host_call() {
    for (on, each) in ON {
        let calls = calls_for(on, "echo_beside_a_parked_read", 500);
        assert!(calls.total() <= each * 500 + edge(on), "{on:?}: {calls}");
    }
}

#[test]
fn idle_connections_add_no_host_call_to_an_echo() {
    for (on, each) in ON {
        let calls = calls_beside(100, on, "echo", 500);
        assert!(calls.total() <= each * 500 + edge(on), "{on:?}: {calls}");
    }
}

#[test]
fn a_deadline_that_moves_with_every_message_adds_no_host_call_to_an_echo() {
    for (on, each) in ON {
        let calls = calls_for(on, "echo_with_a_deadline", 500);
        assert!(calls.total() <= each * 500 + edge(on), "{on:?}: {calls}");
    }
}

#[test]
fn an_idle_timeout_adds_the_reading_of_the_clock_to_an_echo_and_nothing_else() {
    for (on, each, clock) in [
        (Backend::P1, ON_P1, "wasi_snapshot_preview1.clock_time_get"),
        (Backend::P2, ON_P2, "wasi:clocks/monotonic-clock.now"),
        (Backend::P3, ON_P3, "wasi:clocks/monotonic-clock.now"),
    ] {
        let calls = calls_for(on, "echo_with_an_idle_timeout", 500);
        assert!(calls.get(clock) >= 499, "{on:?}: {calls}");
        assert!(calls.total() <= (each + 1) * 500 + edge(on), "{on:?}: {calls}");
    }
}

#[test]
fn ten_thousand_sleepers_share_the_hosts_clock_on_p2() {
    let mut subject = Backend::P2.start("ten_thousand_sleepers");
    subject.ends_well();
    let counts = subject.counts();
    let subscribed = counts.get("wasi:clocks/monotonic-clock.subscribe-instant");
    assert!(subscribed < 1000, "one subscription serves all that are due by then: {counts}");
    // A poll is of the clock alone.
    assert!(counts.poll_entries() <= counts.polls() + 2, "{counts}");
}

#[test]
fn ten_thousand_sleepers_share_the_hosts_clock_on_p3() {
    let mut subject = Backend::P3.start("ten_thousand_sleepers");
    subject.ends_well();
    let counts = subject.counts();
    let timers = counts.get("wasi:clocks/monotonic-clock.wait-until");
    assert!(timers > 0 && timers < 1000, "one timer serves all that are due by then: {counts}");
}

#[test]
fn addresses_that_the_policy_refuses_are_permission_denied() {
    for mut subject in
        [p2::start("refused_by_policy", p2::Net::Denied), p3::start("refused_by_policy", p2::Net::Denied)]
    {
        let (code, lines, stderr) = subject.end();
        assert_eq!((code, &lines[..]), (0, &["bind: PermissionDenied".into(), "connect: PermissionDenied".into()][..]));
        // No address is allowed, so no socket is opened; which address it would have been is not known then.
        assert!(stderr.contains("--allow-listen ADDR or --allow-connect ADDR"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_name_permits_its_lookup_and_what_that_gave() {
    for mut subject in [p2::start("permitted_by_name", p2::Net::Named), p3::start("permitted_by_name", p2::Net::Named)]
    {
        let (code, lines, stderr) = subject.end();
        assert_eq!(code, 0, "{stderr}");
        let permitted = [
            "another name: PermissionDenied",
            "connect: allowed",
            "its address: allowed",
            "another address: PermissionDenied",
            "datagrams: allowed",
            "datagrams elsewhere: PermissionDenied",
        ];
        assert_eq!(lines[1..], permitted, "{stderr}");
        let port = stderr.lines().find_map(|line| line.split("--allow-connect 192.0.2.1:").nth(1));
        assert!(port.is_some() && stderr.contains("--allow-connect other.invalid:PORT"), "{stderr}");
        assert!(stderr.contains("--allow-udp 192.0.2.1:9 "), "{stderr}");
        assert_eq!(stderr.lines().count(), 3, "{stderr}");
    }
}
