//! WASI 0.1: what a program sees of sockets, and of everything else beside them.

mod files;
mod guest;
mod poll;
mod programs;
mod sockets;
#[path = "../support/mod.rs"]
mod support;
