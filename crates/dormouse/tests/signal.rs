//! Signals, natively on Unix. A process of its own: a handler is for all of it.
#![cfg(unix)]

use std::process::Command;
use std::time::Duration;

use dormouse::signal::{ctrl_c, stop_requested};
use dormouse::time::timeout;
use dormouse::{block_on, spawn};

dormouse::export_main!();

#[test]
fn ctrl_c_is_heard_by_all_who_wait_and_by_nobody_before_it_comes() {
    block_on(async {
        assert!(timeout(Duration::from_millis(10), ctrl_c()).await.is_err());
        let waiting: Vec<_> = (0..2).map(|_| spawn(ctrl_c())).collect();
        dormouse::task::yield_now().await;
        let kill = Command::new("kill").args(["-INT", &std::process::id().to_string()]).status();
        assert!(kill.expect("start kill").success());
        for one in waiting {
            timeout(Duration::from_secs(60), one).await.expect("it is heard").unwrap().unwrap();
        }
    });
}

/// In a process of its own, which the second signal ends.
#[test]
fn a_request_to_stop_stays_and_the_second_one_ends_the_process() {
    const CHILD: &str = "DORMOUSE_IS_ASKED_TO_STOP";
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = std::thread::current().name().unwrap().to_owned();
        let ended = child.env(CHILD, "").args(["--exact", "--nocapture", &name]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(said.contains("asked, and asked again"), "{ended:?}");
        assert_eq!(ended.status.code(), Some(128 + 15), "{ended:?}");
        return;
    }
    let kill = |signal: &str| {
        let kill = Command::new("kill").args([signal, &std::process::id().to_string()]).status();
        assert!(kill.expect("start kill").success());
    };
    block_on(async {
        let waiting: Vec<_> = (0..2).map(|_| spawn(stop_requested())).collect();
        dormouse::task::yield_now().await;
        kill("-TERM");
        for one in waiting {
            timeout(Duration::from_secs(60), one).await.expect("it is heard").unwrap().unwrap();
        }
        // Nothing waited when it came, and it is there.
        stop_requested().await.unwrap();
        println!("asked, and asked again");
        kill("-TERM");
        dormouse::time::sleep(Duration::from_secs(60)).await;
    });
}
