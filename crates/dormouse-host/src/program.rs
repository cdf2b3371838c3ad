//! Program. A component or a wasip1 module, compiled and linked, or the sentence why it cannot be.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{self, Component, ComponentExportIndex};
use wasmtime::{Config, Engine, ExternType, InstancePre, Module, UnknownImportError, WasmBacktraceDetails};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::cache::Cache;
use crate::count::Calls;
use crate::error::Error;
use crate::facts;
use crate::pace::Ticker;
use crate::source::{Footer, Source};
use crate::{p1, p2, p3, trap};

/// A compiled command, checked and linked: it can be run any number of times, from any thread. It is a component of WASI
/// 0.2 or 0.3, or a module of WASI 0.1.
#[derive(Clone)]
pub struct Program {
    name: String,
    engine: Engine,
    code: Code,
    /// What an instance of it costs the host at most, in bytes.
    cost_of_instances: usize,
    settings: Settings,
    /// What it was compiled of; a program that was taken from a compiled file does not have it.
    bytes: Option<Arc<Vec<u8>>>,
    /// Made of the bytes when it is first counted.
    counted: Arc<Mutex<Option<Counted>>>,
    /// Interrupts those of its runs that have a pace to keep.
    ticker: Arc<Mutex<Weak<Ticker>>>,
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
    /// Without a main, by either: its functions are called by name.
    Library(component::InstancePre<p2::State>),
}

impl Linked {
    /// What it is made of, whatever its main is.
    pub(crate) fn component(&self) -> &Component {
        self.instance_pre().component()
    }

    pub(crate) fn instance_pre(&self) -> &component::InstancePre<p2::State> {
        match self {
            Linked::Wasi02(command) => command.instance_pre(),
            Linked::Wasi03(instance, _) | Linked::Library(instance) => instance,
        }
    }
}

/// What the code of a program depends on, beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    /// Something of it is of WASI 0.3.
    pub(crate) wasi03: bool,
    /// It uses up fuel.
    pub(crate) fuel: bool,
    /// Bytes of its stack, if they are not wasmtime's default.
    pub(crate) max_stack: Option<usize>,
    /// It needs no main.
    pub(crate) reactor: bool,
    /// The compiled code has a copy of the debug information, by which wasmtime tells the lines of a backtrace. That is for a program that is
    /// without its own bytes later; with them, `trap/symbols.rs` tells the lines.
    pub(crate) lines: bool,
}

impl Settings {
    /// Bytes of its stack.
    pub(crate) fn stack(self) -> usize {
        self.max_stack.unwrap_or(DEFAULT_STACK)
    }
}

/// Stack that is left to host calls: wasmtime's 2 MiB for both, less its 512 KiB for the program.
const HOST_STACK: usize = (2 << 20) - DEFAULT_STACK;
/// What wasmtime gives a program.
const DEFAULT_STACK: usize = 512 << 10;

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
        settings: Settings,
        bytes: Option<Vec<u8>>,
    ) -> Program {
        Program {
            name,
            engine,
            code,
            cost_of_instances,
            settings: Settings { wasi03, lines, ..settings },
            bytes: bytes.map(Arc::new),
            counted: Arc::default(),
            ticker: Arc::default(),
        }
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
            Code::Component(linked) => linked.component().serialize(),
            Code::Module(command) => command.module().serialize(),
        };
        let setup = |error| Error::Setup { what: "the compiled program", why: one_line(&error) };
        let mut bytes = serialized.map_err(setup)?;
        let Settings { wasi03, lines, .. } = self.settings;
        Footer { cost_of_instances: self.cost_of_instances, wasi03, lines }.append(&mut bytes);
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
            Code::Component(linked) => facts::is_told(linked.component()),
            Code::Module(command) => command.module().get_export(facts::EXPORT).is_some(),
        }
    }

    /// Whether a call about a file may block the thread: see [`files_block`].
    pub(crate) fn files_block(&self) -> bool {
        match &self.code {
            Code::Component(linked) => files_block(linked.component()),
            Code::Module(_) => true,
        }
    }

    /// What it was compiled with.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Interrupts all runs of this program again and again, while somebody has it.
    pub(crate) fn ticker(&self) -> io::Result<Arc<Ticker>> {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ticks) = ticker.upgrade() {
            return Ok(ticks);
        }
        let ticks = Arc::new(Ticker::start(self.engine.clone())?);
        *ticker = Arc::downgrade(&ticks);
        Ok(ticks)
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
            Code::Component(_) => component(&self.engine, &self.name, &bytes, self.settings)?,
            Code::Module(_) => module(&self.engine, &self.name, &bytes, self.settings)?,
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
pub(crate) fn engine(settings: Settings, cache: Option<&Cache>) -> Result<Engine, Error> {
    let mut config = Config::new();
    // Bookkeeping for WASI 0.3 that costs each call a quarter of a microsecond, used or not.
    config.concurrency_support(settings.wasi03);
    // So that a program that computes can be stopped: a load and a compare in each loop and function.
    config.epoch_interruption(true);
    config.wasm_backtrace_details(match settings.lines {
        true => WasmBacktraceDetails::Enable,
        false => WasmBacktraceDetails::Disable,
    });
    config.wasm_backtrace_max_frames(NonZeroUsize::new(trap::MOST_FRAMES));
    config.consume_fuel(settings.fuel);
    if let Some(bytes) = settings.max_stack {
        config.max_wasm_stack(bytes).async_stack_size(bytes.saturating_add(HOST_STACK));
    }
    config.cache(cache.map(Cache::inner));
    Engine::new(&config).map_err(|error| Error::Setup { what: "the engine", why: one_line(&error) })
}

/// Compiles and links a component.
pub(crate) fn component(engine: &Engine, name: &str, bytes: &[u8], settings: Settings) -> Result<Code, Error> {
    match Component::from_binary(engine, bytes) {
        Ok(component) => link(name, &component, settings).map(Code::Component),
        Err(error) => Err(Error::Invalid { name: name.to_owned(), why: one_line(&error) }),
    }
}

/// Compiles and links a module.
pub(crate) fn module(engine: &Engine, name: &str, bytes: &[u8], settings: Settings) -> Result<Code, Error> {
    match Module::from_binary(engine, bytes) {
        Ok(module) => link_module(name, &module, settings).map(Code::Module),
        Err(error) => Err(Error::Invalid { name: name.to_owned(), why: one_line(&error) }),
    }
}

/// Links a module.
pub(crate) fn link_module(name: &str, module: &Module, settings: Settings) -> Result<InstancePre<p1::State>, Error> {
    let name = name.to_owned();
    if !settings.reactor && !matches!(module.get_export("_start"), Some(ExternType::Func(_))) {
        if matches!(module.get_export("_initialize"), Some(ExternType::Func(_))) {
            return Err(Error::Reactor { name });
        }
        let wasip1 = module.imports().any(|import| p1::is_wasi(import.module()));
        return Err(Error::NoStart { name, wasip1 });
    }
    p1::link(module).map_err(|error| match error.downcast_ref::<UnknownImportError>() {
        Some(import) => Error::UnknownImport {
            name,
            import: format!("{}.{}", import.module(), import.name()),
            why: one_line(&error),
        },
        None => Error::Invalid { name, why: one_line(&error) },
    })
}

/// Links a component. To run by 0.3 is preferred: what is built on wasm32-wasip2 exports that of 0.2 as well, by its std.
pub(crate) fn link(name: &str, component: &Component, settings: Settings) -> Result<Linked, Error> {
    let (world, engine) = (component.component_type(), component.engine());
    let runs = |version: &str| {
        world.exports(engine).any(|(export, item)| {
            let run = export.strip_prefix("wasi:cli/run@").is_some_and(|of| of.starts_with(version));
            // A release candidate is another interface.
            run && !export.contains('-') && matches!(item.ty, ComponentItem::ComponentInstance(_))
        })
    };
    let (by_wasi03, by_wasi02) = (runs("0.3."), runs("0.2."));
    if !by_wasi03 && !by_wasi02 && !settings.reactor {
        let proxy = world.exports(engine).any(|(export, _)| {
            export.starts_with("wasi:http/incoming-handler@") || export.starts_with("wasi:http/handler@")
        });
        return Err(match proxy {
            true => Error::Proxy { name: name.to_owned() },
            false => Error::NoRunExport { name: name.to_owned() },
        });
    }
    let linked = || {
        let mut linker = p2::linker(engine, files_block(component))?;
        if settings.wasi03 {
            p3::add_to_linker(&mut linker)?;
        }
        let instance = linker.instantiate_pre(component)?;
        match (by_wasi03, by_wasi02) {
            (true, _) => p3::run(&instance).map(|run| Linked::Wasi03(instance, run)),
            (false, true) => CommandPre::new(instance).map(Linked::Wasi02),
            (false, false) => Ok(Linked::Library(instance)),
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
        _ => Error::Invalid { name, why: one_line(error) },
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
