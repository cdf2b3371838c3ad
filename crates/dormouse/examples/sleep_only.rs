//! One timer, and nothing else.

use std::time::Duration;

#[dormouse::main]
async fn main() {
    dormouse::time::sleep(Duration::from_millis(10)).await;
    println!("hello");
}
