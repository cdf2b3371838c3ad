//! Program. A component or a wasip1 module, compiled and linked, or the sentence why it cannot be.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{self, Component, ComponentExportIndex};
use wasmtime::{Config, Engine, ExternType, InstancePre, Module, UnknownImportError, WasmBacktraceDetails};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::cache::Cache;
use crate::count::Calls;
use crate::error::Error;
use crate::facts;
use crate::source::{Footer, Source};
use crate::{p1, p2, p3};

/// A compiled command, checked and linked: it can be run any number of times, from any thread. It is a component of WASI
/// 0.2 or 0.3, or a module of WASI 0.1.
#[derive(Clone)]
pub struct Program {
    name: String,
    engine: Engine,
    code: Code,
    /// What an instance of it costs the host at most, in bytes.
    cost_of_instances: usize,
    /// Something of it is of WASI 0.3.
    wasi03: bool,
    /// What it was compiled of; a program that was taken from a compiled file does not have it.
    bytes: Option<Arc<Vec<u8>>>,
    /// The compiled code has the debug information beside it: see [`engine`].
    lines: bool,
    /// Made of the bytes when it is first counted.
    counted: Arc<Mutex<Option<Counted>>>,
}

/// The program as one that tells of its calls.
#[derive(Clone)]
pub(crate) struct Counted {
    pub(crate) code: Code,
    pub(crate) calls: Arc<Calls>,
    bytes: Arc<Vec<u8>>,
}

/// What there is to run.
#[derive(Clone)]
pub(crate) enum Code {
    Component(Linked),
    Module(InstancePre<p1::State>),
}

/// A component that is linked, and how it runs.
#[derive(Clone)]
pub(crate) enum Linked {
    Wasi02(CommandPre<p2::State>),
    /// And where its `run` is.
    Wasi03(component::InstancePre<p2::State>, ComponentExportIndex),
}

impl Program {
    /// Compiles the component or module in the file `path`. The file name becomes the program's name, its argument 0.
    /// [`Source`] does it in steps, with a cache if one is given.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no command of WASI 0.3, 0.2 or 0.1 that can be linked: see [`Error`].
    pub fn load(path: &Path) -> Result<Program, Error> {
        Source::read(path)?.compile()
    }

    /// Compiles the component or module in `bytes`.
    ///
    /// # Errors
    ///
    /// As [`Program::load`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Program, Error> {
        Source::new(name, bytes).compile()
    }

    pub(crate) fn new(
        name: String,
        engine: Engine,
        code: Code,
        Footer { cost_of_instances, wasi03, lines }: Footer,
        bytes: Option<Vec<u8>>,
    ) -> Program {
        let bytes = bytes.map(Arc::new);
        Program { name, engine, code, cost_of_instances, wasi03, bytes, lines, counted: Arc::default() }
    }

    /// The compiled program as bytes for a file, which [`Source::deserialize`] takes without compiling anything.
    ///
    /// They are for this version of the runner, and for processors that have what this one has. Calls of such a program cannot be
    /// counted: for that it is rewritten, and the bytes that it was compiled of are not in the file.
    ///
    /// # Errors
    ///
    /// [`Error::Setup`] with what wasmtime says.
    pub fn serialize(&self) -> Result<Vec<u8>, Error> {
        let serialized = match &self.code {
            Code::Component(Linked::Wasi02(command)) => command.instance_pre().component().serialize(),
            Code::Component(Linked::Wasi03(command, _)) => command.component().serialize(),
            Code::Module(command) => command.module().serialize(),
        };
        let setup = |error| Error::Setup { what: "the compiled program", why: one_line(&error) };
        let mut bytes = serialized.map_err(setup)?;
        Footer { cost_of_instances: self.cost_of_instances, wasi03: self.wasi03, lines: self.lines }.append(&mut bytes);
        Ok(bytes)
    }

    /// The program's name: its argument 0.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a wasip1 module: one that opens no socket itself, but gets them by [`Run::listener`](crate::Run::listener).
    pub fn is_wasip1(&self) -> bool {
        matches!(self.code, Code::Module(_))
    }

    /// Whether it is one that is told facts about its host.
    pub(crate) fn is_told_facts(&self) -> bool {
        match &self.code {
            Code::Component(Linked::Wasi02(command)) => facts::is_told(command.instance_pre().component()),
            Code::Component(Linked::Wasi03(command, _)) => facts::is_told(command.component()),
            Code::Module(command) => command.module().get_export(facts::EXPORT).is_some(),
        }
    }

    /// Whether a call about a file may block the thread: see [`files_block`].
    pub(crate) fn files_block(&self) -> bool {
        match &self.code {
            Code::Component(Linked::Wasi03(command, _)) => files_block(command.component()),
            Code::Component(Linked::Wasi02(_)) | Code::Module(_) => true,
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn cost_of_instances(&self) -> usize {
        self.cost_of_instances
    }

    pub(crate) fn code(&self) -> &Code {
        &self.code
    }

    /// What was compiled, for a run that is counted or not.
    pub(crate) fn bytes<'a>(&'a self, counted: Option<&'a Counted>) -> Option<&'a [u8]> {
        let bytes = counted.map(|counted| &counted.bytes).or(self.bytes.as_ref());
        bytes.map(|bytes| bytes.as_slice())
    }

    /// The program as one that tells of its calls, compiled the first time.
    pub(crate) fn counted(&self) -> Result<Counted, Error> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = &*counted {
            return Ok(counted.clone());
        }
        let Some(bytes) = &self.bytes else { return Err(Error::Uncountable { name: self.name.clone() }) };
        let rewritten = match self.code {
            Code::Component(_) => Calls::of_component(bytes),
            Code::Module(_) => Calls::of_module(bytes),
        };
        let (bytes, calls) = rewritten.map_err(|why| Error::Setup { what: "the counting of calls", why })?;
        let code = match self.code {
            Code::Component(_) => component(&self.engine, &self.name, &bytes, self.wasi03)?,
            Code::Module(_) => module(&self.engine, &self.name, &bytes)?,
        };
        Ok(counted.insert(Counted { code, calls: Arc::new(calls), bytes: Arc::new(bytes) }).clone())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The engine. Each setting of it is among those by which the cache finds an entry, and which wasmtime compares with a compiled file's.
///
/// With `lines`, the compiled code has a copy of the debug information, by which wasmtime tells the lines of a backtrace. That is for a
/// program that is without its own bytes later; with them, `symbols.rs` tells the lines.
pub(crate) fn engine(wasi03: bool, lines: bool, cache: Option<&Cache>) -> Result<Engine, Error> {
    let mut config = Config::new();
    // Bookkeeping for WASI 0.3 that costs each call a quarter of a microsecond, used or not.
    config.concurrency_support(wasi03);
    // So that a program that computes can be stopped: a load and a compare in each loop and function.
    config.epoch_interruption(true);
    config.wasm_backtrace_details(match lines {
        true => WasmBacktraceDetails::Enable,
        false => WasmBacktraceDetails::Disable,
    });
    config.cache(cache.map(Cache::inner));
    Engine::new(&config).map_err(|error| Error::Setup { what: "the engine", why: one_line(&error) })
}

/// Compiles and links a component.
pub(crate) fn component(engine: &Engine, name: &str, bytes: &[u8], wasi03: bool) -> Result<Code, Error> {
    match Component::from_binary(engine, bytes) {
        Ok(component) => link(name, &component, wasi03).map(Code::Component),
        Err(error) => Err(Error::NotWasm { name: name.to_owned(), why: one_line(&error) }),
    }
}

/// Compiles and links a module.
pub(crate) fn module(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Code, Error> {
    match Module::from_binary(engine, bytes) {
        Ok(module) => link_module(name, &module).map(Code::Module),
        Err(error) => Err(Error::NotWasm { name: name.to_owned(), why: one_line(&error) }),
    }
}

/// Links a module.
pub(crate) fn link_module(name: &str, module: &Module) -> Result<InstancePre<p1::State>, Error> {
    let name = name.to_owned();
    let imports_wasi = module.imports().any(|import| import.module() == "wasi_snapshot_preview1");
    match module.get_export("_start") {
        Some(ExternType::Func(_)) => {}
        _ => return Err(Error::NoStart { name, wasip1: imports_wasi }),
    }
    p1::link(module).map_err(|error| match error.downcast_ref::<UnknownImportError>() {
        Some(import) => Error::UnknownImport {
            name,
            import: format!("{}.{}", import.module(), import.name()),
            why: one_line(&error),
        },
        None => Error::NotWasm { name, why: one_line(&error) },
    })
}

/// Links a component. To run by 0.3 is preferred: what is built on wasm32-wasip2 exports that of 0.2 as well, by its std.
pub(crate) fn link(name: &str, component: &Component, wasi03: bool) -> Result<Linked, Error> {
    let (world, engine) = (component.component_type(), component.engine());
    let runs = |version: &str| {
        world.exports(engine).any(|(export, item)| {
            let run = export.strip_prefix("wasi:cli/run@").is_some_and(|of| of.starts_with(version));
            // A release candidate is another interface.
            run && !export.contains('-') && matches!(item.ty, ComponentItem::ComponentInstance(_))
        })
    };
    let (by_wasi03, by_wasi02) = (runs("0.3."), runs("0.2."));
    if !by_wasi03 && !by_wasi02 {
        return Err(Error::NoRunExport { name: name.to_owned() });
    }
    let linked = || {
        let mut linker = p2::linker(engine, files_block(component))?;
        if wasi03 {
            p3::add_to_linker(&mut linker)?;
        }
        let instance = linker.instantiate_pre(component)?;
        match by_wasi03 {
            true => p3::run(&instance).map(|run| Linked::Wasi03(instance, run)),
            false => CommandPre::new(instance).map(Linked::Wasi02),
        }
    };
    linked().map_err(|error| unlinkable(name, &error))
}

/// Whether the program waits for each call about a file anyway. It does not where it has those of WASI 0.3: a read of a FIFO must not keep
/// it from what it does beside. Rust's std and C have those of 0.2, in a program of WASI 0.3 too.
fn files_block(component: &Component) -> bool {
    let world = component.component_type();
    world.imports(component.engine()).all(|(name, _)| !name.starts_with("wasi:filesystem/types@0.3."))
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
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    causes(error.chain())
}

fn causes<'a>(chain: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>) -> String {
    let causes: Vec<String> = chain.map(|cause| cause.to_string().replace('\n', " ")).collect();
    causes.join(": ")
}
