//! Built-ins. The canonical ones, `waitable-set.wait` and the like, are no functions of the linker, so nothing of the host
//! could count them: a program that is counted tells about each call by itself.
//!
//! Its core modules are rewritten before it is compiled. Where a module is given a built-in, its calls go to a wrapper that
//! first asks for so many pages of a memory of its own, and then calls. The host is asked whether that memory may grow,
//! counts, and says no; the number of pages says which built-in it is. What is given to whom is read from the component, not
//! guessed from names.

use std::collections::BTreeMap;
use std::ops::Range;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, Component, Function, FunctionSection, MemorySection, MemoryType, Module, RawSection, SectionId,
};
use wasmparser::{
    BinaryReaderError, CanonicalFunction, Chunk, CodeSectionReader, ComponentAlias, ComponentExternalKind,
    ComponentOuterAliasKind, ComponentTypeRef, CompositeInnerType, CustomSectionReader, ExternalKind,
    FunctionSectionReader, Instance, KnownCustom, MemorySectionReader, Parser, Payload, TypeRef,
};

/// How large the memory that is asked for may become, in pages: what tells it from others.
const MARK: u64 = 0xd0e5;
const PAGE: usize = 1 << 16;

/// The built-ins that a rewritten component tells about.
#[derive(Debug, Default)]
pub(crate) struct BuiltIns {
    /// The first is told by one page.
    names: Vec<&'static str>,
}

impl BuiltIns {
    /// The component in `bytes`, rewritten.
    pub(crate) fn rewrite(bytes: &[u8]) -> Result<(Vec<u8>, BuiltIns), String> {
        let mut all = BuiltIns::default();
        match all.component(bytes) {
            Ok(component) => Ok((component, all)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What a memory that wants to grow so tells of.
    pub(crate) fn told(&self, current: usize, desired: usize, maximum: Option<usize>) -> Option<&'static str> {
        let told = current == 0 && desired > 0 && maximum == Some(MARK as usize * PAGE);
        told.then(|| self.names.get(desired / PAGE - 1).copied()).flatten()
    }

    fn pages(&mut self, name: &'static str) -> u32 {
        let known = self.names.iter().position(|known| *known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        index as u32 + 1
    }

    fn component(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let given = Given::of(bytes)?;
        let (mut rewritten, mut modules) = (Component::new(), 0..);
        for section in sections(bytes) {
            let (payload, id, range) = section?;
            let data = &bytes[range];
            let data = match payload {
                Payload::ModuleSection { .. } => match given.to.get(&modules.next().unwrap_or(0)) {
                    Some(given) => &self.module(data, given)?,
                    None => data,
                },
                Payload::ComponentSection { .. } => &self.component(data)?,
                _ => data,
            };
            rewritten.section(&RawSection { id, data });
        }
        Ok(rewritten.finish())
    }

    fn module(&mut self, bytes: &[u8], given: &BTreeMap<(&str, &str), &'static str>) -> Result<Vec<u8>, Error> {
        let mut wrap = Wrap::default();
        let (mut types, mut imports) = (Vec::new(), 0);
        // Where the wrappers and the memory will be: behind what there is.
        let (mut functions, mut memories) = (0, 0);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        types.extend(group?.into_types());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        match import.ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                                if let Some(name) = given.get(&(import.module, import.name)) {
                                    let params = match types.get(ty as usize).map(|ty| &ty.composite_type.inner) {
                                        Some(CompositeInnerType::Func(ty)) => ty.params().len() as u32,
                                        _ => 0,
                                    };
                                    let pages = self.pages(name);
                                    wrap.wrappers.push(Wrapper { import: imports, ty, params, pages });
                                }
                                imports += 1;
                            }
                            TypeRef::Memory(_) => memories += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => functions = section.count(),
                Payload::MemorySection(section) => memories += section.count(),
                _ => {}
            }
        }
        (wrap.first, wrap.memory) = (imports + functions, memories);
        let mut module = Module::new();
        wrap.parse_core_module(&mut module, Parser::new(0), bytes)?;
        Ok(module.finish())
    }
}

/// The sections of a component, those that are in it not opened.
fn sections(bytes: &[u8]) -> impl Iterator<Item = Result<(Payload<'_>, u8, Range<usize>), BinaryReaderError>> {
    let (mut parser, mut at) = (Parser::new(0), 0);
    std::iter::from_fn(move || {
        loop {
            let payload = match parser.parse(bytes.get(at..)?, true) {
                Ok(Chunk::Parsed { payload: Payload::End(_), .. } | Chunk::NeedMoreData(_)) => return None,
                Ok(Chunk::Parsed { consumed, payload }) => {
                    at += consumed;
                    payload
                }
                Err(error) => {
                    at = usize::MAX;
                    return Some(Err(error));
                }
            };
            if let Some((id, range)) = payload.as_section() {
                if matches!(payload, Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) {
                    at = range.end;
                }
                return Some(Ok((payload, id, range)));
            }
        }
    })
}

/// What the modules of a component are given: by the module's index among those that are in the component, and by the two
/// names of an import.
#[derive(Default)]
struct Given<'a> {
    to: BTreeMap<usize, BTreeMap<(&'a str, &'a str), &'static str>>,
}

impl<'a> Given<'a> {
    fn of(bytes: &'a [u8]) -> Result<Given<'a>, BinaryReaderError> {
        let mut given = Given::default();
        // The component's index spaces. A module: where it is. A function: which built-in it is. An instance: what it exports.
        let (mut modules, mut here) = (Vec::new(), 0..);
        let mut functions: Vec<Option<&'static str>> = Vec::new();
        let mut instances: Vec<BTreeMap<&str, &'static str>> = Vec::new();
        for section in sections(bytes) {
            match section?.0 {
                Payload::ModuleSection { .. } => modules.push(here.next()),
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        if matches!(import?.ty, ComponentTypeRef::Module(_)) {
                            modules.push(None);
                        }
                    }
                }
                Payload::ComponentAliasSection(section) => {
                    for alias in section {
                        match alias? {
                            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
                            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, .. } => {
                                modules.push(None);
                            }
                            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name } => {
                                let exports = instances.get(instance_index as usize);
                                functions.push(exports.and_then(|exports| exports.get(name).copied()));
                            }
                            _ => {}
                        }
                    }
                }
                Payload::ComponentCanonicalSection(section) => {
                    for function in section {
                        match function? {
                            CanonicalFunction::Lift { .. } => {}
                            function => functions.push(name(&function)),
                        }
                    }
                }
                Payload::InstanceSection(section) => {
                    for instance in section {
                        let mut exported = BTreeMap::new();
                        match instance? {
                            Instance::Instantiate { module_index, args } => {
                                let Some(Some(module)) = modules.get(module_index as usize) else {
                                    instances.push(exported);
                                    continue;
                                };
                                let to = given.to.entry(*module).or_default();
                                for arg in &args {
                                    for (name, function) in instances.get(arg.index as usize).into_iter().flatten() {
                                        to.insert((arg.name, *name), *function);
                                    }
                                }
                            }
                            Instance::FromExports(exports) => {
                                for export in exports.iter().filter(|export| export.kind == ExternalKind::Func) {
                                    if let Some(Some(function)) = functions.get(export.index as usize) {
                                        exported.insert(export.name, *function);
                                    }
                                }
                            }
                        }
                        instances.push(exported);
                    }
                }
                _ => {}
            }
        }
        given.to.retain(|_, given| !given.is_empty());
        Ok(given)
    }
}

/// The name of a built-in that is a call of the host, as in the component model's specification.
fn name(function: &CanonicalFunction) -> Option<&'static str> {
    use CanonicalFunction as Is;
    Some(match function {
        // Not built in, or counted by the linker.
        Is::Lift { .. }
        | Is::Lower { .. }
        | Is::ResourceNew { .. }
        | Is::ResourceDrop { .. }
        | Is::ResourceRep { .. } => {
            return None;
        }
        // A word of the thread's, which compiled code reads and writes by itself.
        Is::ContextGet { .. } | Is::ContextSet { .. } => return None,
        Is::ThreadSpawnRef { .. } => "thread.spawn-ref",
        Is::ThreadSpawnIndirect { .. } => "thread.spawn-indirect",
        Is::ThreadAvailableParallelism => "thread.available-parallelism",
        Is::ThreadIndex => "thread.index",
        Is::ThreadNewIndirect { .. } => "thread.new-indirect",
        Is::ThreadResumeLater => "thread.resume-later",
        Is::ThreadSuspend { .. } => "thread.suspend",
        Is::ThreadSuspendThenResume { .. } => "thread.suspend-then-resume",
        Is::ThreadSuspendThenPromote { .. } => "thread.suspend-then-promote",
        Is::ThreadYield { .. } => "thread.yield",
        Is::ThreadYieldThenResume { .. } => "thread.yield-then-resume",
        Is::ThreadYieldThenPromote { .. } => "thread.yield-then-promote",
        Is::BackpressureInc => "backpressure.inc",
        Is::BackpressureDec => "backpressure.dec",
        Is::TaskReturn { .. } => "task.return",
        Is::TaskCancel => "task.cancel",
        Is::SubtaskDrop => "subtask.drop",
        Is::SubtaskCancel { .. } => "subtask.cancel",
        Is::StreamNew { .. } => "stream.new",
        Is::StreamRead { .. } => "stream.read",
        Is::StreamWrite { .. } => "stream.write",
        Is::StreamCancelRead { .. } => "stream.cancel-read",
        Is::StreamCancelWrite { .. } => "stream.cancel-write",
        Is::StreamDropReadable { .. } => "stream.drop-readable",
        Is::StreamDropWritable { .. } => "stream.drop-writable",
        Is::FutureNew { .. } => "future.new",
        Is::FutureRead { .. } => "future.read",
        Is::FutureWrite { .. } => "future.write",
        Is::FutureCancelRead { .. } => "future.cancel-read",
        Is::FutureCancelWrite { .. } => "future.cancel-write",
        Is::FutureDropReadable { .. } => "future.drop-readable",
        Is::FutureDropWritable { .. } => "future.drop-writable",
        Is::ErrorContextNew { .. } => "error-context.new",
        Is::ErrorContextDebugMessage { .. } => "error-context.debug-message",
        Is::ErrorContextDrop => "error-context.drop",
        Is::WaitableSetNew => "waitable-set.new",
        Is::WaitableSetWait { .. } => "waitable-set.wait",
        Is::WaitableSetPoll { .. } => "waitable-set.poll",
        Is::WaitableSetDrop => "waitable-set.drop",
        Is::WaitableJoin => "waitable.join",
    })
}

/// A module on its way: functions and a memory are added at the end of theirs, so that no index changes but those of the
/// imports that are wrapped.
#[derive(Default)]
struct Wrap {
    wrappers: Vec<Wrapper>,
    /// The index of the first wrapper, and of the memory.
    first: u32,
    memory: u32,
    /// The sections that have their part.
    done: Vec<SectionId>,
}

struct Wrapper {
    import: u32,
    ty: u32,
    params: u32,
    pages: u32,
}

impl Wrap {
    fn add_functions(&mut self, functions: &mut FunctionSection) {
        self.done.push(SectionId::Function);
        for wrapper in &self.wrappers {
            functions.function(wrapper.ty);
        }
    }

    fn add_memory(&mut self, memories: &mut MemorySection) {
        self.done.push(SectionId::Memory);
        memories.memory(MemoryType {
            minimum: 0,
            maximum: Some(MARK),
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
    }

    fn add_code(&mut self, code: &mut CodeSection) {
        self.done.push(SectionId::Code);
        for wrapper in &self.wrappers {
            let mut function = Function::new([]);
            let mut body = function.instructions();
            body.i32_const(wrapper.pages as i32).memory_grow(self.memory).drop();
            for param in 0..wrapper.params {
                body.local_get(param);
            }
            body.call(wrapper.import).end();
            code.function(&function);
        }
    }
}

/// The order of sections, which is not that of their numbers.
fn rank(section: SectionId) -> u8 {
    match section {
        SectionId::Tag => 2 * SectionId::Memory as u8 + 1,
        SectionId::DataCount => 2 * SectionId::Element as u8 + 1,
        other => 2 * other as u8,
    }
}

impl Reencode for Wrap {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error> {
        let wrapped = self.wrappers.iter().position(|wrapper| wrapper.import == index);
        Ok(wrapped.map_or(index, |at| self.first + at as u32))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        self.add_functions(functions);
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_memory_section(self, memories, section)?;
        self.add_memory(memories);
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        self.add_code(code);
        Ok(())
    }

    /// Adds the sections that the module does not have.
    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Error> {
        let missing = |wrap: &Wrap, id| before.is_none_or(|next| rank(next) > rank(id)) && !wrap.done.contains(&id);
        if missing(self, SectionId::Function) {
            let mut functions = FunctionSection::new();
            self.add_functions(&mut functions);
            module.section(&functions);
        }
        if missing(self, SectionId::Memory) {
            let mut memories = MemorySection::new();
            self.add_memory(&mut memories);
            module.section(&memories);
        }
        if missing(self, SectionId::Code) {
            let mut code = CodeSection::new();
            self.add_code(&mut code);
            module.section(&code);
        }
        Ok(())
    }

    /// Names are kept. What else there is may point into code that has moved.
    fn parse_custom_section(&mut self, module: &mut Module, section: CustomSectionReader<'_>) -> Result<(), Error> {
        match section.as_known() {
            KnownCustom::Name(_) => utils::parse_custom_section(self, module, section),
            _ => Ok(()),
        }
    }
}
