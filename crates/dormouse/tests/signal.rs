//! Signals, natively on Unix. A process of its own: a handler is for all of it.
#![cfg(unix)]

use std::process::Command;
use std::time::Duration;

use dormouse::signal::ctrl_c;
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
