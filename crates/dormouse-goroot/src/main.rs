//! The command `dormouse-goroot`, which is `dormouse goroot` on its own.

use std::io::{stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
    dormouse_goroot::cli::run("dormouse-goroot", args, &mut stdout().lock(), &mut stderr().lock()).into()
}
