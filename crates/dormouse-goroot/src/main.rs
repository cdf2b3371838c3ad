//! The command `dormouse-goroot`.

use std::io::{stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
    dormouse_goroot::cli::run(args, &mut stdout().lock(), &mut stderr().lock()).into()
}
