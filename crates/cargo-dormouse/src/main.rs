//! `cargo dormouse tokio`: lays what takes tokio's place beside a program, and takes it away again.

mod edits;
mod files;
mod lay;
mod manifest;
mod socket2;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

type Result<T = ()> = std::result::Result<T, String>;

/// `cargo dormouse …`, as cargo calls it.
#[derive(Parser)]
#[command(bin_name = "cargo", version)]
enum Cargo {
    #[command(subcommand, about = "Programs for WASI on Dormouse", version)]
    Dormouse(Dormouse),
}

#[derive(Subcommand)]
enum Dormouse {
    /// Puts Dormouse in the place of tokio for a program, which stays as it is.
    ///
    /// Lays the replacement beside the program, and below it the tokio that the program's Cargo.lock names, from cargo's own copy.
    /// Then it says which lines to add to Cargo.toml. Natively the program has the tokio that it had.
    Tokio(Tokio),
}

#[derive(Args)]
struct Tokio {
    /// Takes it away again.
    #[arg(long)]
    undo: bool,
    /// The program's Cargo.toml, if it is not here or above.
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Where it is laid, seen from the root of the program's workspace.
    #[arg(long, value_name = "DIR", default_value = "dormouse-tokio")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let Cargo::Dormouse(Dormouse::Tokio(tokio)) = Cargo::parse();
    let done = match tokio.undo {
        true => lay::undo(tokio.manifest_path.as_deref(), &tokio.dir),
        false => lay::lay(tokio.manifest_path.as_deref(), &tokio.dir),
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("cargo dormouse: {problem}");
            ExitCode::FAILURE
        }
    }
}
