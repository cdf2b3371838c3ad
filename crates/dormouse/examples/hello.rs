//! What a program weighs that has no runtime. `cargo xtask size` compares the others with it.

fn main() {
    println!("hello");
}
