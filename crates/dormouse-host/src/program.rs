//! Program. Loads a component or a wasip1 module, and says in a sentence what a file is that is none.

use std::fmt;
use std::path::Path;

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime::{Config, Engine, ExternType, InstancePre, Module, UnknownImportError, WasmBacktraceDetails};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::error::Error;
use crate::{p1, p2};

/// A compiled command, checked and linked: it can be run any number of times, from any thread. It is a component of WASI
/// 0.2, or a module of WASI 0.1.
#[derive(Clone)]
pub struct Program {
    name: String,
    engine: Engine,
    code: Code,
}

/// What there is to run.
#[derive(Clone)]
pub(crate) enum Code {
    /// A component, and it linked to functions that do not count.
    Component(Component, CommandPre<p2::State>),
    Module(InstancePre<p1::State>),
}

impl Program {
    /// Compiles the component or module in the file `path`. The file name becomes the program's name, its argument 0.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no command of WASI 0.2 or 0.1 that can be linked: see [`Error`].
    pub fn load(path: &Path) -> Result<Program, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Program::from_bytes(&name.to_string_lossy(), &bytes)
    }

    /// Compiles the component or module in `bytes`.
    ///
    /// # Errors
    ///
    /// As [`Program::load`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Program, Error> {
        let name = name.to_owned();
        let engine = engine()?;
        match Kind::of(bytes) {
            Kind::Component => {}
            Kind::Module => {
                let code = Code::Module(module(&engine, &name, bytes)?);
                return Ok(Program { name, engine, code });
            }
            Kind::Other(why) => return Err(Error::NotWasm { name, why: why.to_owned() }),
        }
        let component = Component::from_binary(&engine, bytes).map_err(|error| {
            let why = one_line(&error);
            match why.contains("component model async") {
                true => Error::NeedsWasi03 { name: name.clone() },
                false => Error::NotWasm { name: name.clone(), why },
            }
        })?;
        check_world(&engine, &name, &component)?;
        let plain = p2::link(&component, false).map_err(|error| unlinkable(&name, &error))?;
        Ok(Program { name, engine, code: Code::Component(component, plain) })
    }

    /// The program's name: its argument 0.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a wasip1 module: one that opens no socket itself, but gets them by [`Run::listener`](crate::Run::listener).
    pub fn is_wasip1(&self) -> bool {
        matches!(self.code, Code::Module(_))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn code(&self) -> &Code {
        &self.code
    }

    /// A component, linked to functions that count.
    pub(crate) fn counting(&self, component: &Component) -> Result<CommandPre<p2::State>, Error> {
        p2::link(component, true).map_err(|error| unlinkable(&self.name, &error))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
}

fn engine() -> Result<Engine, Error> {
    let mut config = Config::new();
    // Bookkeeping for WASI 0.3 that costs each call a quarter of a microsecond, used or not.
    config.concurrency_support(false);
    // File and line in the backtrace of a trap, where the program has them.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    Engine::new(&config).map_err(|error| Error::Setup { what: "the engine", why: one_line(&error) })
}

enum Kind {
    Component,
    Module,
    Other(&'static str),
}

impl Kind {
    /// A binary starts with `\0asm`, a version and a layer: 0 is a module, 1 a component.
    fn of(bytes: &[u8]) -> Kind {
        match bytes {
            [] => Kind::Other("it is empty"),
            [0, b'a', b's', b'm', _, _, 1, 0, ..] => Kind::Component,
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Kind::Module,
            [0, b'a', b's', b'm', ..] => Kind::Other("it has an unknown version of the format"),
            _ => Kind::Other("it does not start like WebAssembly"),
        }
    }
}

/// Compiles and links a module.
fn module(engine: &Engine, name: &str, bytes: &[u8]) -> Result<InstancePre<p1::State>, Error> {
    let name = name.to_owned();
    let module = match Module::from_binary(engine, bytes) {
        Ok(module) => module,
        Err(error) => return Err(Error::NotWasm { name, why: one_line(&error) }),
    };
    let imports_wasi = module.imports().any(|import| import.module() == "wasi_snapshot_preview1");
    match module.get_export("_start") {
        Some(ExternType::Func(_)) => {}
        _ => return Err(Error::NoStart { name, wasip1: imports_wasi }),
    }
    p1::link(&module).map_err(|error| match error.downcast_ref::<UnknownImportError>() {
        Some(import) => Error::UnknownImport {
            name,
            import: format!("{}.{}", import.module(), import.name()),
            why: one_line(&error),
        },
        None => Error::NotWasm { name, why: one_line(&error) },
    })
}

/// Looks at the imports and exports before the linker does, to name what is wrong with them.
fn check_world(engine: &Engine, name: &str, component: &Component) -> Result<(), Error> {
    let world = component.component_type();
    let wasi03 = |item: &str| item.starts_with("wasi:") && item.contains("@0.3.");
    if world.imports(engine).any(|(item, _)| wasi03(item)) || world.exports(engine).any(|(item, _)| wasi03(item)) {
        return Err(Error::NeedsWasi03 { name: name.to_owned() });
    }
    let runs = world.exports(engine).any(|(export, item)| {
        export.starts_with("wasi:cli/run@0.2.") && matches!(item.ty, ComponentItem::ComponentInstance(_))
    });
    match runs {
        true => Ok(()),
        false => Err(Error::NoRunExport { name: name.to_owned() }),
    }
}

/// The linker names the import in backticks: "component imports instance `a:b/c`, but a matching ...". What is wrong
/// with it are the causes.
fn unlinkable(name: &str, error: &wasmtime::Error) -> Error {
    let name = name.to_owned();
    let (first, causes) = (error.to_string(), causes(error.chain().skip(1)));
    match first.split('`').nth(1) {
        Some(import) if first.starts_with("component imports") => {
            Error::UnknownImport { name, import: import.to_owned(), why: causes }
        }
        _ => Error::NotWasm { name, why: one_line(error) },
    }
}

/// An error with its causes, on one line.
fn one_line(error: &wasmtime::Error) -> String {
    causes(error.chain())
}

fn causes<'a>(chain: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>) -> String {
    let causes: Vec<String> = chain.map(|cause| cause.to_string().replace('\n', " ")).collect();
    causes.join(": ")
}
