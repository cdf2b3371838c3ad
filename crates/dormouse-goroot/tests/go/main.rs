//! Against real Go: `cargo xtask setup` installs it on Debian (elsewhere: https://go.dev/dl, 1.21 or later), and fetches a
//! current one. Others than the `go` on the PATH and that one are taken from the variables GO and GO_CURRENT.

mod files;
mod heads;
#[cfg(unix)]
mod links;
mod program;
mod table;
mod tool;
