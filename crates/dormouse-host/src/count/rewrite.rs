//! A program that tells of its calls: its core modules get a memory that never grows, and a wrapper for each function of the
//! host.

use std::collections::HashMap;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, Component, Function, FunctionSection, MemorySection, MemoryType, Module, RawSection, SectionId,
};
use wasmparser::{
    CodeSectionReader, CompositeInnerType, CustomSectionReader, FunctionSectionReader, KnownCustom,
    MemorySectionReader, Parser, Payload, TypeRef,
};

use super::given::{self, Given, Part};
use super::{Calls, Functions, MARK, WASIP1};

impl Calls {
    /// The component in `bytes`, rewritten.
    pub(crate) fn of_component(bytes: &[u8]) -> Result<(Vec<u8>, Calls), String> {
        let (given, mut calls) = (given::of(bytes)?, Calls::default());
        let rewritten = calls.component(Part { bytes, base: 0 }, &given);
        rewritten.map(|bytes| (bytes, calls)).map_err(|error| error.to_string())
    }

    /// The wasip1 module in `bytes`, rewritten.
    pub(crate) fn of_module(bytes: &[u8]) -> Result<(Vec<u8>, Calls), String> {
        let mut calls = Calls::default();
        let rewritten = wasip1(bytes).and_then(|functions| calls.module(bytes, &functions));
        rewritten.map(|bytes| (bytes, calls)).map_err(|error| error.to_string())
    }

    fn component(&mut self, component: Part<'_>, given: &Given<'_>) -> Result<Vec<u8>, Error> {
        let mut rewritten = Component::new();
        for section in component.sections() {
            let (payload, id, range) = section?;
            let part = component.part(range);
            let data = match payload {
                Payload::ModuleSection { .. } => match given.get(&part.base) {
                    Some(functions) => &self.module(part.bytes, functions)?,
                    None => part.bytes,
                },
                Payload::ComponentSection { .. } => &self.component(part, given)?,
                _ => part.bytes,
            };
            rewritten.section(&RawSection { id, data });
        }
        Ok(rewritten.finish())
    }

    fn module(&mut self, bytes: &[u8], given: &Functions<'_>) -> Result<Vec<u8>, Error> {
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
                                    wrap.by_import.insert(imports, wrap.wrappers.len() as u32);
                                    wrap.wrappers.push(Wrapper {
                                        import: imports,
                                        ty,
                                        params,
                                        pages: self.pages(name),
                                    });
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

/// What a module imports from wasip1.
fn wasip1(bytes: &[u8]) -> Result<Functions<'_>, Error> {
    let mut functions = Functions::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ImportSection(section) = payload? {
            for import in section.into_imports() {
                let import = import?;
                if import.module == WASIP1 {
                    functions.insert((WASIP1, import.name), format!("{WASIP1}.{}", import.name).into());
                }
            }
        }
    }
    Ok(functions)
}

/// A module on its way: functions and a memory are added at the end of theirs, so that no index changes but those of the
/// imports that are wrapped.
#[derive(Default)]
struct Wrap {
    wrappers: Vec<Wrapper>,
    /// Which of them an import has.
    by_import: HashMap<u32, u32>,
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
        Ok(self.by_import.get(&index).map_or(index, |at| self.first + at))
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
