//! Against real Go: `cargo xtask setup` installs it on Debian (elsewhere: https://go.dev/dl, 1.21 or later), and fetches a
//! current one. The variables GO and GO_CURRENT name others in place of these two.

mod files;
mod heads;
#[cfg(unix)]
mod links;
mod program;
mod table;
mod tool;
