//! Each byte is a step of a program that spawns, aborts, awaits and forgets tasks. However it goes, a task gives its own
//! result unless it was aborted, and nothing of it is left at the end.
#![no_main]

use std::rc::Rc;

use dormouse::task::yield_now;
use dormouse::{JoinHandle, spawn};

struct Task {
    handle: JoinHandle<u8>,
    gives: u8,
    aborted: bool,
}

libfuzzer_sys::fuzz_target!(|program: &[u8]| {
    let held = Rc::new(());
    dormouse::try_block_on(run(program, &held)).expect("every task can go on");
    assert_eq!(Rc::strong_count(&held), 1, "what tasks hold is dropped at the end");
});

async fn run(program: &[u8], held: &Rc<()>) {
    let mut tasks: Vec<Task> = Vec::new();
    for step in program {
        let (operation, n) = (step % 4, step / 4);
        let nth = usize::from(n) % tasks.len().max(1);
        match (operation, tasks.get_mut(nth)) {
            (0, _) => {
                let held = Rc::clone(held);
                let handle = spawn(async move {
                    for _ in 0..n {
                        yield_now().await;
                    }
                    drop(held);
                    n
                });
                tasks.push(Task { handle, gives: n, aborted: false });
            }
            (1, Some(task)) => {
                task.handle.abort();
                task.aborted = true;
            }
            (2, Some(_)) => tasks.swap_remove(nth).handle.detach(),
            (3, Some(_)) => {
                let Task { handle, gives, aborted } = tasks.swap_remove(nth);
                let was_finished = handle.is_finished();
                match handle.await {
                    Ok(given) => assert!(given == gives && (was_finished || !aborted)),
                    Err(error) => assert!(error.is_cancelled() && aborted),
                }
            }
            (_, _) => yield_now().await,
        }
    }
}
