//! Futures of the `wasip3` crate, and of any other bindings that wit-bindgen generates, beside those of Dormouse. For WASI
//! 0.3 alone: `cargo run --target wasm32-wasip2 --features p3-spawn --example wasip3_futures`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::wit_bindgen;

const MS: u64 = 1_000_000;

#[dormouse::main]
async fn main() {
    let done = Rc::new(RefCell::new(Vec::new()));
    let note = |what| {
        let done = Rc::clone(&done);
        move || done.borrow_mut().push(what)
    };
    let (third, second, first) = (note("wasip3 0.10"), note("wasip3 0.7"), note("spawned by wit-bindgen"));
    let third = dormouse::spawn(async move {
        wait_for(60 * MS).await;
        third();
    });
    // Another version of wit-bindgen.
    let second = dormouse::spawn(async move {
        wasip3_07::clocks::monotonic_clock::wait_for(40 * MS).await;
        second();
    });
    let first = wit_bindgen::spawn_local(async move {
        wait_for(20 * MS).await;
        first();
    });

    // What is dropped before it is done is cancelled.
    let too_long = dormouse::time::timeout(Duration::from_millis(5), wait_for(3_600_000 * MS)).await;
    println!("an hour in five milliseconds: {}", too_long.unwrap_err());

    first.await;
    second.await.unwrap();
    third.await.unwrap();
    println!("in order: {}", done.borrow().join(", "));
}
