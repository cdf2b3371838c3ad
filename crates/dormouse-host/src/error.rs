//! Errors. Each is one sentence that says what was tried and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a program could not be loaded, or did not end by itself.
///
/// `Display` is the sentence to show. It has no prefix and no full stop at the end.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not WebAssembly.
    NotWasm {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A program that is WebAssembly, but does not validate, or has what is not offered.
    Invalid {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
        /// What the compiler said.
        why: String,
    },
    /// A core module without `_start` that exports `_initialize`.
    Reactor {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
    },
    /// A component that answers requests of HTTP, and has no main.
    Proxy {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
    },
    /// The function of [`Run::invoke`](crate::Run::invoke) was not called, or its results cannot be shown.
    Invoke {
        /// Name of the program.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A core module that exports no function `_start`.
    NoStart {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
        /// Whether it imports `wasi_snapshot_preview1`.
        wasip1: bool,
    },
    /// A component without `wasi:cli/run@0.3` or `wasi:cli/run@0.2`.
    NoRunExport {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
    },
    /// A component that imports something no host function stands behind.
    UnknownImport {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
        /// The import, as in `wasi:http/outgoing-handler@0.2.4`.
        import: String,
        /// What the linker said about it.
        why: String,
    },
    /// A program that is compiled already, where one to compile was expected.
    Compiled {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
    },
    /// A compiled program that another version of the runner has compiled, or for other settings or another processor.
    CompiledForAnother {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
        /// What differs.
        why: String,
    },
    /// The calls of a program are to be counted, of which only the compiled code is there.
    Uncountable {
        /// Name of the program.
        name: String,
    },
    /// A program is to use up fuel, of which only code is there that uses none.
    WithoutFuel {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
    },
    /// The cache cannot be used, or keeps nothing.
    Cache {
        /// Which directory or file, and what the system said.
        why: String,
    },
    /// A directory that cannot be handed to the program.
    Dir {
        /// The directory on this side.
        host: PathBuf,
        /// What the system said.
        why: String,
    },
    /// An address that could not be listened on for the program.
    Listen {
        /// The address asked for.
        addr: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A name to listen on that has no address.
    Name {
        /// The name and port asked for.
        name: String,
        /// What the system's resolver said.
        source: std::io::Error,
    },
    /// Sockets were opened for a component, which opens its own.
    NotForComponents {
        /// Name of the program, or the path of the file that it was loaded from.
        name: String,
    },
    /// Sockets were opened for a module that imports `wasi_unstable`, which has none here.
    WithoutSockets {
        /// Name of the program.
        name: String,
    },
    /// The engine, the runtime or the instance could not be set up.
    Setup {
        /// What was being set up.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The program trapped. The text has the reason, the WebAssembly backtrace and a hint, on several lines.
    Trap(String),
    /// [`Stop::stop`](crate::Stop::stop) ended the run.
    Stopped,
    /// The run took longer than [`Run::timeout`](crate::Run::timeout).
    TimedOut {
        /// The time that it had.
        after: std::time::Duration,
    },
}

impl Error {
    /// The same error of a program that was loaded from a file: its path tells more than its name.
    pub(crate) fn of_file(mut self, path: &Path) -> Error {
        if let Error::NotWasm { name, .. }
        | Error::Invalid { name, .. }
        | Error::Reactor { name }
        | Error::Proxy { name }
        | Error::NoStart { name, .. }
        | Error::NoRunExport { name }
        | Error::Compiled { name }
        | Error::WithoutFuel { name }
        | Error::CompiledForAnother { name, .. }
        | Error::UnknownImport { name, .. } = &mut self
        {
            *name = path.display().to_string();
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its lines are escaped one by one.
            Error::Trap(text) => f.write_str(text),
            other => f.write_str(&escaped(&Sentence(other).to_string())),
        }
    }
}

/// What to do about what is not served.
mod hints {
    /// A program that makes requests of HTTP by the host's means.
    pub(super) fn http(name: &str, import: &str) -> String {
        format!(
            "{name} imports {import}: HTTP by the host's means, which `dormouse run` does not serve; \
             run it with `wasmtime run -S http {name}`, or build it with a client that uses sockets"
        )
    }

    /// A program that answers requests of HTTP and has no main.
    pub(super) fn proxy(name: &str) -> String {
        format!(
            "{name} has no main: it answers HTTP requests that its host takes, which `dormouse run` does not; \
             serve it with `wasmtime serve {name}`"
        )
    }

    /// What a program was built for, by what it imports.
    pub(super) fn import(import: &str) -> &'static str {
        match import.split('.').next() {
            Some("wbg" | "__wbindgen_placeholder__" | "__wbindgen_externref_xform__") => {
                "; wasm-bindgen has built it for a browser: build it for wasm32-wasip2"
            }
            Some("gojs" | "go") => "; it was built for JavaScript: set GOOS=wasip1",
            Some("env") => "; it was built for a host of its own or for a browser, or a library was not linked",
            _ => "",
        }
    }

    /// A proposal that is not offered, by the compiler's words.
    pub(super) fn invalid(why: &str) -> &'static str {
        match why {
            why if why.contains("legacy") && why.contains("exceptions") => {
                "; these are the exceptions of an older proposal: build it with -mllvm -wasm-use-legacy-eh=false, or translate it \
                 with `wasm-opt --translate-to-exnref`"
            }
            why if why.contains("threads") || why.contains("shared memor") || why.contains("shared memory") => {
                "; a program has one thread here: build it for a target without -threads, and run several instances with --instances"
            }
            why if why.contains("unexpected end") => "; a part of the file is missing",
            why if why.contains("stack switching") => "; build it without stack switching",
            _ => "",
        }
    }
}

/// The sentence with the names as they are.
struct Sentence<'a>(&'a Error);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Read { path, source } => {
                write!(
                    f,
                    "cannot read {}: {}; give the path of a .wasm file",
                    path.display(),
                    plain(&source.to_string())
                )
            }
            Error::NotWasm { name, why } => {
                write!(f, "{name} is not a WebAssembly program: {why}; build it for wasm32-wasip2 or wasm32-wasip1")
            }
            Error::Invalid { name, why } => {
                let hint = hints::invalid(why);
                write!(f, "{name} is WebAssembly that cannot be run here: {why}{hint}")
            }
            Error::Reactor { name } => write!(
                f,
                "{name} is a reactor: it has no main, but functions that others call; \
                 call one with --invoke NAME, or build it as a program with a main function"
            ),
            Error::Proxy { name } => f.write_str(&hints::proxy(name)),
            Error::Invoke { name, why } => write!(f, "cannot do what --invoke says with {name}: {why}"),
            Error::NoStart { name, wasip1: true } => write!(
                f,
                "{name} is a wasip1 module without a _start export; \
                 build it as a program with a main function, or call one of its functions with --invoke NAME"
            ),
            Error::NoStart { name, wasip1: false } => write!(
                f,
                "{name} is a core WebAssembly module that does not use WASI and has no _start; \
                 call one of its functions with --invoke NAME, or build a program for wasm32-wasip2 or wasm32-wasip1"
            ),
            Error::NoRunExport { name } => write!(
                f,
                "{name} is a component without a wasi:cli/run@0.2 or @0.3 export; \
                 build it as a program with a main function, or call one of its functions with --invoke NAME"
            ),
            Error::UnknownImport { name, import, .. } if import.starts_with("wasi:http/") => {
                f.write_str(&hints::http(name, import))
            }
            Error::UnknownImport { name, import, why } => {
                write!(
                    f,
                    "{name} imports {import}, which this version of the runner does not offer ({why}){}",
                    hints::import(import)
                )
            }
            Error::Compiled { name } => write!(
                f,
                "{name} is compiled already, and runs without a check, outside of any sandbox if it is not what it says; \
                 if `dormouse compile` made it and only you can write to it, run it with --allow-precompiled"
            ),
            Error::CompiledForAnother { name, why } => write!(
                f,
                "{name} was compiled for another runner, or for another machine ({}); \
                 make it again with `dormouse compile APP.wasm -o {name}`",
                plain(why)
            ),
            Error::Uncountable { name } => {
                write!(
                    f,
                    "{name} is compiled already, and a program is counted by compiling it; run the .wasm that it was made of"
                )
            }
            Error::WithoutFuel { name } => write!(
                f,
                "{name} is compiled as a program that uses up no fuel; for --fuel run the .wasm that it was made of"
            ),
            Error::Cache { why } => {
                write!(
                    f,
                    "no compiled program is kept ({why}), so each start compiles; --no-cache says that this is meant"
                )
            }
            Error::Dir { host, why } => {
                write!(
                    f,
                    "cannot open the directory {}: {}; give one that exists as HOST::GUEST",
                    host.display(),
                    plain(why)
                )
            }
            Error::Listen { addr, source } => {
                let hint = match source.kind() {
                    std::io::ErrorKind::AddrNotAvailable => {
                        "choose an address that this machine has, or 0.0.0.0 or [::] for all"
                    }
                    _ => "choose another, or port 0",
                };
                write!(f, "cannot listen on {addr}: {}; {hint}", plain(&source.to_string()))
            }
            Error::Name { name, source } => write!(
                f,
                "cannot listen on {name}: {}; give an address, or a name that this machine has one for",
                plain(&source.to_string())
            ),
            Error::NotForComponents { name } => {
                write!(f, "{name} is a component, which opens its listeners itself; allow it the address instead")
            }
            Error::WithoutSockets { name } => write!(
                f,
                "{name} imports wasi_unstable, which has no sockets here; build it for wasm32-wasip1, or leave --listen out"
            ),
            Error::Setup { what, why } => write!(f, "cannot set up {what}: {}", plain(why)),
            Error::Trap(text) => f.write_str(text),
            Error::Stopped => f.write_str("the program was stopped"),
            Error::TimedOut { after } => write!(f, "the program was ended after {after:?}, as --timeout says"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Read { source, .. } | Error::Listen { source, .. } | Error::Name { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The text with what a terminal would take for a command, or shows as nothing, written as `\u{1b}`. Names in a module, and what
/// the linker says of them, are anything that its author wanted.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Marks that turn the direction of the text around them, have no width, or separate lines.
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => shown.extend(c.escape_unicode()),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// The words of a system error, without Rust's `(os error 2)`.
fn plain(text: &str) -> String {
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut rest = text[..end].chars();
    let first = rest.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_cannot_command_a_terminal() {
        let import = "a\u{1b}]0;owned\u{7}\u{202e}b\u{9b}31m\nc";
        let error =
            Error::UnknownImport { name: "x\u{1b}[2J".into(), import: import.into(), why: "\u{85}\u{2066}".into() };
        let shown = error.to_string();
        assert!(!shown.contains(|c: char| c.is_control() || ('\u{2028}'..='\u{206f}').contains(&c)), "{shown:?}");
        assert!(shown.starts_with(r"x\u{1b}[2J imports a\u{1b}]0;owned\u{7}\u{202e}b\u{9b}31m\nc, "), "{shown}");
        assert_eq!(escaped("pläne 🐭 \u{5d0}"), "pläne 🐭 \u{5d0}");
    }
}
