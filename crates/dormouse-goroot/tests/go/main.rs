//! Against real Go: `cargo xtask setup` installs it on Debian (elsewhere: https://go.dev/dl, 1.21 or later). Another one than
//! the `go` on the PATH is taken from the variable GO.

mod files;
mod heads;
mod program;
mod tool;
