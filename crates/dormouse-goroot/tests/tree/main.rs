//! Plans, what is made of them, and what is said about them, on small trees.

mod apply;
mod check;
mod cli;
mod golden;
#[cfg(unix)]
mod links;
#[cfg(unix)]
mod properties;
mod seed;
mod support;
mod targets;
mod tinygo;
