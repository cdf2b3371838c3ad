//! Many sleeps end in order, with one clock of the host for all of them: `sleep [HOW_MANY]`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dormouse::time::{Instant, sleep_until};

#[dormouse::main]
async fn main() {
    let count = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(10_000_u32);
    let start = Instant::now();
    let ended = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let ended = Rc::clone(&ended);
            // Mixed, so that they are not set in the order in which they end.
            let after = n.wrapping_mul(7919) % count;
            dormouse::spawn(async move {
                let deadline = start + Duration::from_micros(20 * u64::from(after));
                sleep_until(deadline).await;
                assert!(Instant::now() >= deadline, "never early");
                ended.borrow_mut().push(after);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a sleeping task is not cancelled");
    }
    let in_order = ended.borrow().windows(2).filter(|pair| pair[0] > pair[1]).count() == 0;
    println!("{count} sleeps ended, {}", if in_order { "in order" } else { "OUT OF ORDER" });
    assert!(in_order);
}
