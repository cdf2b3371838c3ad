//! Host calls, counted by the runner: the budget that we publish.

use dormouse_host::Counts;

use crate::drivers::{Backend, Subject, p2};
use crate::{echo, pattern};

/// Host calls for `rounds` round trips of 64 bytes on one quiet connection.
fn calls_for(case: &str, rounds: u64) -> Counts {
    let subject = Backend::P2.start(case);
    let mut stream = Subject::connect(subject.addr());
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

#[test]
fn a_quiet_echo_makes_at_most_5_host_calls_on_p2() {
    let calls = calls_for("echo", 500);
    assert!(calls.total() <= 5 * 500 + EDGE, "{calls}");
    assert!(calls.polls() <= 500 + 1, "{calls}");
}

#[test]
fn a_pending_timer_adds_no_host_call_to_an_echo_on_p2() {
    let calls = calls_for("echo_with_a_timer", 500);
    assert!(calls.total() <= 5 * 500 + EDGE, "{calls}");
}

#[test]
fn who_is_parked_and_polled_for_another_reason_makes_no_host_call_on_p2() {
    let calls = calls_for("echo_beside_a_parked_read", 500);
    assert!(calls.total() <= 5 * 500 + EDGE, "{calls}");
}

#[test]
fn a_deadline_that_moves_with_every_message_adds_no_host_call_to_an_echo_on_p2() {
    let calls = calls_for("echo_with_a_deadline", 500);
    assert!(calls.total() <= 5 * 500 + EDGE, "{calls}");
}

#[test]
fn an_idle_timeout_adds_the_reading_of_the_clock_to_an_echo_and_nothing_else_on_p2() {
    let calls = calls_for("echo_with_an_idle_timeout", 500);
    assert!(calls.get("wasi:clocks/monotonic-clock.now") >= 499, "{calls}");
    assert!(calls.total() <= 6 * 500 + EDGE, "{calls}");
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
fn addresses_that_the_policy_refuses_are_permission_denied_on_p2() {
    let mut subject = p2::start("refused_by_policy", p2::Net::Denied);
    let (code, lines, stderr) = subject.end();
    assert_eq!((code, &lines[..]), (0, &["bind: PermissionDenied".into(), "connect: PermissionDenied".into()][..]));
    assert!(stderr.contains("--allow-listen 127.0.0.1:0"), "{stderr}");
    assert!(stderr.contains("--allow-connect 127.0.0.1:9"), "{stderr}");
}
