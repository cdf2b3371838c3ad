//! One future, of another library's, on the runtime: nothing is linked that it does not use.

use futures_lite::future::yield_now;

#[dormouse::main]
async fn main() {
    yield_now().await;
    println!("hello");
}
