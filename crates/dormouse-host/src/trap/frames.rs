//! Frames. The backtrace of a trap as one reads it: the program's own functions, and a line for each stretch of others' between them.
//!
//! ```text
//!     … 13 frames of libc and std
//!    13: app::parse
//!          at src/main.rs:7:15
//!    14: app::main
//!          at src/main.rs:3:5
//!     … 6 frames of std and libc
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;

use wasmtime::{FrameInfo, WasmBacktrace};

use super::symbols::{self, Symbol};
use crate::error::escaped;

/// How many frames wasmtime keeps: a panic takes a dozen before the program's own, and an iterator half a dozen.
pub(crate) const MOST: usize = 100;
/// How often the same frame is shown in a row.
const SHOWN_IN_A_ROW: usize = 2;

/// A call, be it one of WebAssembly or one that was inlined in it.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    /// Of which frame it is.
    frame: usize,
    name: String,
    /// `src/main.rs:7:15`, or where in the binary.
    place: Option<String>,
    offset: Option<usize>,
    of: Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Program,
    Libc,
    Std,
    Dormouse,
}

/// What a backtrace tells.
pub(super) struct Frames(Vec<Call>);

impl Frames {
    /// `program` is what was compiled.
    pub(super) fn of(backtrace: &WasmBacktrace, program: Option<&[u8]>) -> Frames {
        Frames(backtrace.frames().iter().enumerate().flat_map(|(n, frame)| calls(n, frame, program)).collect())
    }

    /// Whether Rust's panic is under way in it.
    pub(super) fn panics(&self) -> bool {
        self.0.iter().any(|call| {
            ["rust_begin_unwind", "rust_panic", "__rust_start_panic"].iter().any(|end| call.name.ends_with(end))
                || call.name.starts_with("core::panicking::")
        })
    }

    /// Whether C's `abort` is what it has ended in.
    pub(super) fn aborts(&self) -> bool {
        self.0.first().is_some_and(|call| call.name == "abort")
    }

    /// Whether a function is in it again and again.
    pub(super) fn recurses(&self) -> bool {
        const OFTEN: usize = 5;
        self.0.iter().take(SHOWN_IN_A_ROW).any(|call| {
            self.0.iter().filter(|other| other.name == call.name && other.frame != call.frame).count() >= OFTEN
        })
    }

    /// The lines to show, each with a line feed before it.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        // Where no name is known, or none is the program's, all are shown.
        let folds = self.0.iter().any(|call| call.of == Owner::Program);
        let mut rest = &self.0[..];
        while let Some(first) = rest.first() {
            let folded = rest.iter().take_while(|call| folds && call.of != Owner::Program).count();
            if folded > 1 {
                write_folded(&mut text, &rest[..folded]);
                rest = &rest[folded..];
                continue;
            }
            let same = rest.iter().take_while(|call| (&call.name, call.offset) == (&first.name, first.offset)).count();
            rest.iter().take(same.min(SHOWN_IN_A_ROW)).for_each(|call| write_call(&mut text, call));
            if same > SHOWN_IN_A_ROW {
                let _ = write!(text, "\n     … the same {} times more", same - SHOWN_IN_A_ROW);
            }
            rest = &rest[same..];
        }
        if self.0.last().is_some_and(|call| call.frame + 1 >= MOST) {
            let _ = write!(text, "\n     … and more, beyond {MOST} frames");
        }
        text
    }
}

fn write_folded(text: &mut String, calls: &[Call]) {
    let owners: BTreeSet<Owner> = calls.iter().map(|call| call.of).collect();
    let owners: Vec<&str> = owners
        .into_iter()
        .map(|owner| match owner {
            Owner::Program => "the program",
            Owner::Libc => "libc",
            Owner::Std => "std",
            Owner::Dormouse => "dormouse",
        })
        .collect();
    let _ = write!(text, "\n     … {} frames of {}", calls.len(), owners.join(" and "));
}

/// The names in it are the program's.
fn write_call(text: &mut String, call: &Call) {
    let _ = write!(text, "\n{:>5}: ", call.frame);
    match &call.place {
        Some(place) => {
            let _ = write!(text, "{}\n         at {}", escaped(&call.name), escaped(place));
        }
        None => {
            if let Some(offset) = call.offset {
                let _ = write!(text, "{offset:#8x} - ");
            }
            text.push_str(&escaped(&call.name));
        }
    }
}

fn calls(n: usize, frame: &FrameInfo, program: Option<&[u8]>) -> Vec<Call> {
    let offset = frame.module_offset();
    let own = || match frame.func_name() {
        Some(name) => demangled(name),
        None => format!("<wasm function {}>", frame.func_index()),
    };
    let call = |name: String, place: Option<String>| {
        let of = owner(&name, place.as_deref());
        Call { frame: n, name, place, offset, of }
    };
    let symbols = symbols::of(frame, program);
    if symbols.is_empty() {
        return vec![call(own(), None)];
    }
    let name = |symbol: &Symbol| symbol.function.as_deref().map_or_else(own, demangled);
    symbols.iter().map(|symbol| call(name(symbol), place(symbol))).collect()
}

fn place(symbol: &Symbol) -> Option<String> {
    let mut place = symbol.file.clone()?;
    for number in [symbol.line, symbol.line.and(symbol.column)].into_iter().flatten() {
        let _ = write!(place, ":{number}");
    }
    Some(place)
}

/// Rust's names without their hash, and C++'s.
fn demangled(name: &str) -> String {
    if let Ok(name) = rustc_demangle::try_demangle(name) {
        return format!("{name:#}");
    }
    // The crate takes a name like `f` for a type of C++.
    let cpp = name.starts_with("_Z").then(|| cpp_demangle::Symbol::new(name).ok()?.demangle().ok());
    cpp.flatten().unwrap_or_else(|| name.to_owned())
}

/// Whose a function is: by where its source was when it was built, and by the crate in its name.
fn owner(name: &str, place: Option<&str>) -> Owner {
    match place {
        Some(place) if place.starts_with("/rustc/") => return Owner::Std,
        Some(place) if place.contains("wasi-libc") || place.starts_with("wasisdk://") => return Owner::Libc,
        _ => {}
    }
    match crate_of(name) {
        "std" | "core" | "alloc" | "__rustc" | "panic_abort" | "panic_unwind" | "compiler_builtins" | "hashbrown"
        | "dlmalloc" | "rust_begin_unwind" | "rust_panic" | "__rust_start_panic" | "__rust_alloc" => Owner::Std,
        "dormouse" | "dormouse_tokio" | "async_task" => Owner::Dormouse,
        "abort" | "_start" | "_initialize" | "__main_void" | "__assert_fail" => Owner::Libc,
        name if name.starts_with("__wasi") || name.starts_with("__wasm_call") => Owner::Libc,
        _ => Owner::Program,
    }
}

/// The first part of a name: that of the type in `<&mut app::Type as core::fmt::Display>::fmt`, and of the trait if the type is a parameter.
fn crate_of(name: &str) -> &str {
    let mut rest = name;
    loop {
        let shorter =
            ["<", "&", "mut ", "dyn ", "*const ", "*mut ", "(", "["].iter().find_map(|start| rest.strip_prefix(start));
        match shorter {
            Some(shorter) => rest = shorter,
            None => break,
        }
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$' || c == '.')).unwrap_or(rest.len());
    let (first, after) = rest.split_at(end);
    match first.len() == 1 && first.chars().all(char::is_uppercase) {
        true => after.split_once(" as ").map_or(first, |(_, of)| crate_of(of)),
        false => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_of_the_crate_that_its_type_is_of() {
        for (name, of) in [
            ("app::main", Owner::Program),
            ("main", Owner::Program),
            ("<app::Foo as core::fmt::Display>::fmt", Owner::Program),
            ("<&mut app::Foo as core::fmt::Display>::fmt", Owner::Program),
            ("<core::iter::adapters::map::Map<I,F> as core::iter::traits::iterator::Iterator>::fold", Owner::Std),
            (
                "<&dyn core::ops::function::Fn<(), Output = i32> as core::ops::function::FnOnce<()>>::call_once",
                Owner::Std,
            ),
            ("<T as alloc::string::ToString>::to_string", Owner::Std),
            ("<F as app::Handler>::call", Owner::Program),
            ("std::rt::lang_start::{{closure}}", Owner::Std),
            ("__rustc::rust_begin_unwind", Owner::Std),
            ("dormouse::runtime::block_on", Owner::Dormouse),
            ("abort", Owner::Libc),
            ("stdlib::main", Owner::Program),
            ("", Owner::Program),
        ] {
            assert_eq!(owner(name, None), of, "{name}");
        }
        assert_eq!(owner("f", Some("/rustc/1234/library/core/src/option.rs:1:2")), Owner::Std);
    }

    #[test]
    fn names_are_those_of_the_source() {
        assert_eq!(demangled("_ZN3app4main17h4cdfaefe56da6b23E"), "app::main");
        assert_eq!(demangled("_ZN3app3Foo3barEi"), "app::Foo::bar(int)");
        assert_eq!(demangled("f"), "f");
        assert_eq!(demangled("main.main"), "main.main");
    }

    fn call(frame: usize, name: &str) -> Call {
        Call { frame, name: name.to_owned(), place: None, offset: Some(16), of: owner(name, None) }
    }

    #[test]
    fn what_is_not_the_programs_is_one_line() {
        let names = [
            "abort",
            "__rustc::rust_panic",
            "core::panicking::panic_fmt",
            "app::main",
            "std::rt::lang_start",
            "_start",
        ];
        let frames = Frames(names.iter().enumerate().map(|(n, name)| call(n, name)).collect());
        assert!(frames.panics() && frames.aborts() && !frames.recurses());
        assert_eq!(
            frames.render(),
            "\n     … 3 frames of libc and std\n    3:     0x10 - app::main\n     … 2 frames of libc and std"
        );
        // Nothing of the program: then all of it.
        let frames = Frames(vec![call(0, "abort"), call(1, "_start")]);
        assert_eq!(frames.render(), "\n    0:     0x10 - abort\n    1:     0x10 - _start");
    }

    #[test]
    fn a_recursion_is_shown_twice_and_counted() {
        let frames = Frames((0..MOST).map(|n| call(n, "app::f")).collect());
        assert!(frames.recurses());
        assert_eq!(
            frames.render(),
            "\n    0:     0x10 - app::f\n    1:     0x10 - app::f\n     … the same 98 times more\n     … and more, beyond 100 frames"
        );
    }

    #[test]
    fn names_cannot_command_a_terminal() {
        assert!(!Frames(vec![call(0, "a\u{1b}[2J\nb")]).render()[1..].contains(['\u{1b}', '\n']));
    }
}
