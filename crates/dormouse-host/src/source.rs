//! Source. A program as its file has it, before it is compiled: it tells already what kind it is, so that what a program finds when it starts
//! can be opened before the long part begins.
//!
//! ```text
//!   .wasm   ── Source::compile ───────▶ Program ── Program::serialize ──▶ .cwasm
//!   .cwasm  ── Source::deserialize ───▶ Program
//! ```

use std::path::{Path, PathBuf};

use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled};

use crate::cache::Cache;
use crate::error::Error;
use crate::limits::cost_of_instances;
use crate::p3;
use crate::program::{self, Code, Program, Settings, one_line};

/// A program that is not compiled yet, or one that [`Program::serialize`] has made a file of.
#[derive(Debug)]
pub struct Source {
    name: String,
    /// The file that it was read from.
    path: Option<PathBuf>,
    bytes: Vec<u8>,
    kind: Kind,
    cache: Option<Cache>,
    settings: Settings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Component,
    Module,
    Compiled(Precompiled),
    Other(String),
}

impl Kind {
    /// A binary starts with `\0asm`, a version and a layer: 0 is a module, 1 a component. What is compiled is an object file.
    fn of(bytes: &[u8]) -> Kind {
        match bytes {
            [] => Kind::Other("it is empty".to_owned()),
            [0, b'a', b's', b'm', _, _, 1, 0, ..] => Kind::Component,
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Kind::Module,
            [0, b'a', b's', b'm', ..] => Kind::Other("it has an unknown version of the format".to_owned()),
            [0x7f, b'E', b'L', b'F', ..] => Engine::detect_precompiled(bytes).map_or_else(
                || Kind::Other("it is an object file, but no compiled program, or not all of it".to_owned()),
                Kind::Compiled,
            ),
            _ => Kind::Other("it does not start like WebAssembly".to_owned()),
        }
    }
}

impl Source {
    /// Reads the file `path`. The file name becomes the program's name, its argument 0.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if it cannot be read. What is in it is looked at by [`compile`](Source::compile).
    pub fn read(path: &Path) -> Result<Source, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(Source::of_file(path, bytes))
    }

    /// The program in `bytes`, which `path` has: its name is the program's, its argument 0, and errors show the path.
    pub fn of_file(path: &Path, bytes: impl Into<Vec<u8>>) -> Source {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Source { path: Some(path.to_owned()), ..Source::new(&name, bytes) }
    }

    /// The program in `bytes`: a binary, or the text of one, as a file `.wat` has it.
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Source {
        let (bytes, kind) = match text(bytes.into()) {
            Ok(bytes) => {
                let kind = Kind::of(&bytes);
                (bytes, kind)
            }
            Err(why) => (Vec::new(), Kind::Other(why)),
        };
        Source { name: name.to_owned(), path: None, kind, bytes, cache: None, settings: Settings::default() }
    }

    /// Has it use up fuel as it computes, one unit for about an instruction, so that [`Run::fuel`](crate::Run::fuel) ends it. It computes
    /// more slowly then.
    pub fn fuel(mut self) -> Source {
        self.settings.fuel = true;
        self
    }

    /// Bounds the stack of its calls, in bytes; the default is 512 KiB. A program that needs more traps. It is not the stack that a
    /// compiler lays into the program's memory.
    pub fn max_stack(mut self, bytes: usize) -> Source {
        self.settings.max_stack = Some(bytes);
        self
    }

    /// Takes what has no main, too: a library or reactor, of which [`Run::invoke`](crate::Run::invoke) calls a function.
    pub fn reactor(mut self) -> Source {
        self.settings.reactor = true;
        self
    }

    /// Looks for the compiled program in `cache`, and keeps it there. Without this nothing is looked for and nothing kept.
    pub fn cache(mut self, cache: Cache) -> Source {
        self.cache = Some(cache);
        self
    }

    /// Whether it is a wasip1 module: one that opens no socket itself, but gets them by [`Run::listener`](crate::Run::listener).
    pub fn is_wasip1(&self) -> bool {
        matches!(self.kind, Kind::Module | Kind::Compiled(Precompiled::Module))
    }

    /// Whether it is compiled already: see [`deserialize`](Source::deserialize).
    pub fn is_compiled(&self) -> bool {
        matches!(self.kind, Kind::Compiled(_))
    }

    /// Compiles it, on all processors, and links it.
    ///
    /// # Errors
    ///
    /// It is no command of WASI 0.3, 0.2 or 0.1 that can be linked, or it is compiled already: see [`Error`].
    pub fn compile(self) -> Result<Program, Error> {
        let shown = self.path.clone();
        self.compiled().map_err(|error| of_file(error, shown.as_deref()))
    }

    fn compiled(self) -> Result<Program, Error> {
        let name = self.name;
        let wasi03 = self.kind == Kind::Component && p3::is_used_by(&self.bytes);
        // Without a cache it may become a compiled file.
        let settings = Settings { wasi03, lines: self.cache.is_none(), ..self.settings };
        let engine = program::engine(settings, self.cache.as_ref())?;
        let code = match self.kind {
            Kind::Component => program::component(&engine, &name, &self.bytes, settings)?,
            Kind::Module => program::module(&engine, &name, &self.bytes, settings)?,
            Kind::Compiled(_) => return Err(Error::Compiled { name }),
            Kind::Other(why) => return Err(Error::NotWasm { name, why }),
        };
        let footer = Footer { cost_of_instances: cost_of_instances(&self.bytes), wasi03, lines: settings.lines };
        Ok(Program::new(name, engine, code, footer, settings, Some(self.bytes)))
    }

    /// Takes it as it is, compiled by [`Program::serialize`], and links it. wasmtime compares its own version, the processor's features and the
    /// settings of its compiler with those of the file.
    ///
    /// # Errors
    ///
    /// [`Error::CompiledForAnother`] if they differ, or if the file does not end as such a file does. Those of linking, as with
    /// [`compile`](Source::compile).
    ///
    /// # Safety
    ///
    /// The bytes are what [`Program::serialize`] returned. They hold machine code that is run without a check, so whoever can
    /// change them can do all that this process can.
    pub unsafe fn deserialize(self) -> Result<Program, Error> {
        let shown = self.path.clone();
        // SAFETY: it is this function's own contract.
        unsafe { self.deserialized() }.map_err(|error| of_file(error, shown.as_deref()))
    }

    /// # Safety
    ///
    /// As of [`deserialize`](Source::deserialize).
    unsafe fn deserialized(self) -> Result<Program, Error> {
        let name = self.name;
        let another = |why: &str| Error::CompiledForAnother { name: name.clone(), why: why.to_owned() };
        let Kind::Compiled(kind) = self.kind else {
            return Err(Error::NotWasm { name, why: "it is not a compiled program".to_owned() });
        };
        // `dormouse compile` makes none that does.
        if self.settings.fuel {
            return Err(Error::WithoutFuel { name });
        }
        let (code, footer) = Footer::split(&self.bytes).ok_or_else(|| another("it has another end"))?;
        let settings = Settings { wasi03: footer.wasi03, lines: footer.lines, ..self.settings };
        let engine = program::engine(settings, None)?;
        let code = match kind {
            Precompiled::Component => {
                // SAFETY: the caller says that the bytes are those of `serialize`, which are wasmtime's and a footer.
                let component = unsafe { Component::deserialize(&engine, code) };
                let component = component.map_err(|error| another(&one_line(&error)))?;
                Code::Component(program::link(&name, &component, settings)?)
            }
            Precompiled::Module => {
                // SAFETY: as above.
                let module = unsafe { Module::deserialize(&engine, code) };
                let module = module.map_err(|error| another(&one_line(&error)))?;
                Code::Module(program::link_module(&name, &module, settings)?)
            }
        };
        Ok(Program::new(name, engine, code, footer, settings, None))
    }
}

/// The binary of a program that is text; everything else as it is.
fn text(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let begins = bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    // A list, or a comment before it.
    if !matches!(begins, Some(b'(' | b';')) {
        return Ok(bytes);
    }
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(bytes) };
    wat::parse_str(text).map_err(|error| {
        // Below the message are the place, `--> <anon>:1:2`, and the line itself.
        let shown = error.to_string();
        let place = shown.split_once("--> ").and_then(|(_, at)| at.lines().next()?.split(':').nth(1));
        let line = place.map(|line| format!(" in line {line}")).unwrap_or_default();
        format!("its text is wrong{line}: {}", shown.lines().next().unwrap_or_default())
    })
}

fn of_file(error: Error, path: Option<&Path>) -> Error {
    match path {
        Some(path) => error.of_file(path),
        None => error,
    }
}

/// What follows wasmtime's bytes in a compiled file: what else is known of the program, which is read off its sections before it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) cost_of_instances: usize,
    pub(crate) wasi03: bool,
    /// The engine keeps debug information with the code: see [`program::engine`].
    pub(crate) lines: bool,
}

impl Footer {
    /// The last bytes of the file. The digit is the version of the footer.
    const MARK: &[u8; 8] = b"dormous2";
    const LEN: usize = 8 + 1 + 1 + Self::MARK.len();

    pub(crate) fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend((self.cost_of_instances as u64).to_le_bytes());
        bytes.extend([u8::from(self.wasi03), u8::from(self.lines)]);
        bytes.extend(Self::MARK);
    }

    /// What is before the footer, and the footer; `None` if there is none.
    fn split(bytes: &[u8]) -> Option<(&[u8], Footer)> {
        let (code, footer) = bytes.split_at_checked(bytes.len().checked_sub(Self::LEN)?)?;
        let (cost, footer) = footer.split_first_chunk()?;
        let ([wasi03, lines], mark) = footer.split_first_chunk()?;
        let cost_of_instances = usize::try_from(u64::from_le_bytes(*cost)).ok()?;
        (mark == Self::MARK).then_some((code, Footer { cost_of_instances, wasi03: *wasi03 != 0, lines: *lines != 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_found_again_and_a_shorter_file_has_none() {
        let footer = Footer { cost_of_instances: 1 << 20, wasi03: true, lines: false };
        let mut bytes = b"code".to_vec();
        footer.append(&mut bytes);
        assert_eq!(Footer::split(&bytes), Some((&b"code"[..], footer)));
        for len in 0..bytes.len() {
            assert_eq!(Footer::split(&bytes[..len]), None, "{len}");
        }
    }
}
