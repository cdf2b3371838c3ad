//! Which functions of the host a component gives to which of its core modules: read from how the component is put together,
//! not guessed from names.
//!
//! The component is instantiated on paper. Each index space is a list of what counting asks about: a function of the host by
//! its name, a resource of the host by the name of its drop, an instance by what it exports, a component by its bytes and
//! the index spaces around it. What a component has of its own is no call of the host, nor is a function of a sibling.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use wasmparser::{
    BinaryReaderError, CanonicalFunction, Chunk, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentType, ComponentTypeRef, ExternalKind, Instance, InstanceTypeDeclaration, Parser,
    Payload, TypeBounds,
};

use super::{Functions, built_in};

/// What the core modules of a component are given: by where a module begins, counted from the start of the outermost
/// component.
pub(super) type Given<'a> = BTreeMap<usize, Functions<'a>>;

/// Reads it from the component in `bytes`.
pub(super) fn of(bytes: &[u8]) -> Result<Given<'_>, String> {
    let mut given = Given::new();
    Scope::new(None).instantiate(Part { bytes, base: 0 }, None, &mut given)?;
    given.retain(|_, functions| !functions.is_empty());
    Ok(given)
}

/// A component that is part of another, or the outermost one.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) bytes: &'a [u8],
    /// Where it begins, counted from the start of the outermost component.
    pub(super) base: usize,
}

impl<'a> Part<'a> {
    /// The bytes in a range that is counted from the start of the outermost component.
    pub(super) fn part(self, range: Range<usize>) -> Part<'a> {
        let bytes = self.bytes.get(range.start - self.base..range.end - self.base).unwrap_or_default();
        Part { bytes, base: range.start }
    }

    /// Its sections; modules and components in it are not opened.
    pub(super) fn sections(
        self,
    ) -> impl Iterator<Item = Result<(Payload<'a>, u8, Range<usize>), BinaryReaderError>> + use<'a> {
        let (mut parser, mut at) = (Parser::new(self.base as u64), 0);
        std::iter::from_fn(move || {
            loop {
                let payload = match parser.parse(self.bytes.get(at..)?, true) {
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
                        at = range.end - self.base;
                    }
                    return Some(Ok((payload, id, range)));
                }
            }
        })
    }
}

/// What an index stands for.
#[derive(Clone)]
enum Item<'a> {
    /// Something of the component's own, or that counting does not ask about.
    Own,
    /// A function of the host.
    Function(Arc<str>),
    /// A resource of the host, by the name of its drop.
    Resource(Arc<str>),
    Instance(Rc<Exports<'a>>),
    /// What an instance of a type exports.
    InstanceType(Rc<[(&'a str, Declared<'a>)]>),
    /// A component, and the index spaces around it.
    Component(Part<'a>, Rc<Scope<'a>>),
    /// A core module, by where it begins.
    Module(usize),
}

type Exports<'a> = BTreeMap<&'a str, Item<'a>>;

/// An export of an instance, as its type declares it.
#[derive(Clone)]
enum Declared<'a> {
    Function,
    /// A resource that the instance defines, by the name of its first export.
    Resource(&'a str),
    Known(Item<'a>),
}

/// The index spaces of a component.
#[derive(Clone, Default)]
struct Scope<'a> {
    outer: Option<Rc<Scope<'a>>>,
    functions: Vec<Item<'a>>,
    types: Vec<Item<'a>>,
    instances: Vec<Item<'a>>,
    components: Vec<Item<'a>>,
    modules: Vec<Item<'a>>,
    /// By name, if it is a function of the host.
    core_functions: Vec<Option<Arc<str>>>,
    /// What an instance exports of the host's functions as they are. A module that exports one again exports its wrapper.
    core_instances: Vec<BTreeMap<&'a str, Arc<str>>>,
}

impl<'a> Scope<'a> {
    fn new(outer: Option<Rc<Scope<'a>>>) -> Scope<'a> {
        Scope { outer, ..Scope::default() }
    }

    /// Instantiates a component with `args`, or with what the host has if there are none; returns what it exports.
    fn instantiate(
        mut self,
        component: Part<'a>,
        args: Option<&Exports<'a>>,
        given: &mut Given<'a>,
    ) -> Result<Exports<'a>, String> {
        let mut exports = Exports::new();
        for section in component.sections() {
            let (payload, _, range) = section.map_err(text)?;
            match payload {
                Payload::ModuleSection { .. } => self.modules.push(Item::Module(range.start)),
                Payload::ComponentSection { .. } => {
                    let around = Rc::new(self.clone());
                    self.components.push(Item::Component(component.part(range), around));
                }
                Payload::ComponentTypeSection(section) => {
                    for ty in section {
                        let ty = match ty.map_err(text)? {
                            ComponentType::Instance(declarations) => self.instance_type(&declarations),
                            _ => Item::Own,
                        };
                        self.types.push(ty);
                    }
                }
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        let import = import.map_err(text)?;
                        let name = import.name.name;
                        let item = match args {
                            Some(args) => args.get(name).cloned().unwrap_or(Item::Own),
                            None => self.imported(name, import.ty),
                        };
                        self.push(import.ty.kind(), item);
                    }
                }
                Payload::ComponentAliasSection(section) => {
                    for alias in section {
                        self.alias(alias.map_err(text)?);
                    }
                }
                Payload::ComponentCanonicalSection(section) => {
                    for function in section {
                        self.canonical(function.map_err(text)?);
                    }
                }
                Payload::InstanceSection(section) => {
                    for instance in section {
                        let exports = self.core_instance(instance.map_err(text)?, given)?;
                        self.core_instances.push(exports);
                    }
                }
                Payload::ComponentInstanceSection(section) => {
                    for instance in section {
                        let exports = self.instance(instance.map_err(text)?, given)?;
                        self.instances.push(Item::Instance(Rc::new(exports)));
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        let export = export.map_err(text)?;
                        let item = self.item(export.kind, export.index);
                        // What is exported has a second index from here on.
                        self.push(export.kind, item.clone());
                        exports.insert(export.name.name, item);
                    }
                }
                _ => {}
            }
        }
        Ok(exports)
    }

    fn space(&mut self, kind: ComponentExternalKind) -> Option<&mut Vec<Item<'a>>> {
        match kind {
            ComponentExternalKind::Module => Some(&mut self.modules),
            ComponentExternalKind::Func => Some(&mut self.functions),
            ComponentExternalKind::Type => Some(&mut self.types),
            ComponentExternalKind::Instance => Some(&mut self.instances),
            ComponentExternalKind::Component => Some(&mut self.components),
            ComponentExternalKind::Value => None,
        }
    }

    fn push(&mut self, kind: ComponentExternalKind, item: Item<'a>) {
        if let Some(space) = self.space(kind) {
            space.push(item);
        }
    }

    fn item(&mut self, kind: ComponentExternalKind, index: u32) -> Item<'a> {
        self.space(kind).map_or(Item::Own, |space| at(space, index))
    }

    /// What the host has by this name.
    fn imported(&self, name: &str, ty: ComponentTypeRef) -> Item<'a> {
        let interface = name.split('@').next().unwrap_or(name);
        match ty {
            ComponentTypeRef::Func(_) => Item::Function(interface.into()),
            ComponentTypeRef::Type(TypeBounds::SubResource) => Item::Resource(drop_of(None, interface)),
            ComponentTypeRef::Type(TypeBounds::Eq(index)) => at(&self.types, index),
            ComponentTypeRef::Instance(index) => {
                let Item::InstanceType(declared) = at(&self.types, index) else { return Item::Own };
                let exports = declared.iter().map(|(name, declared)| {
                    let item = match declared {
                        Declared::Function => Item::Function(format!("{interface}.{name}").into()),
                        Declared::Resource(name) => Item::Resource(drop_of(Some(interface), name)),
                        Declared::Known(item) => item.clone(),
                    };
                    (*name, item)
                });
                Item::Instance(Rc::new(exports.collect()))
            }
            _ => Item::Own,
        }
    }

    /// An interface that uses a resource of another one declares it as equal to that.
    fn instance_type(&self, declarations: &[InstanceTypeDeclaration<'a>]) -> Item<'a> {
        let (mut types, mut exports): (Vec<Declared<'a>>, Vec<_>) = (Vec::new(), Vec::new());
        let inner = |types: &[Declared<'a>], index: u32| {
            types.get(index as usize).cloned().unwrap_or(Declared::Known(Item::Own))
        };
        for declaration in declarations {
            match declaration {
                InstanceTypeDeclaration::Type(_) => types.push(Declared::Known(Item::Own)),
                InstanceTypeDeclaration::Alias(ComponentAlias::Outer {
                    kind: ComponentOuterAliasKind::Type,
                    count,
                    index,
                }) => types.push(match count.checked_sub(1) {
                    None => inner(&types, *index),
                    Some(count) => {
                        Declared::Known(self.outer(count).map_or(Item::Own, |scope| at(&scope.types, *index)))
                    }
                }),
                InstanceTypeDeclaration::Alias(ComponentAlias::InstanceExport {
                    kind: ComponentExternalKind::Type,
                    ..
                }) => types.push(Declared::Known(Item::Own)),
                InstanceTypeDeclaration::Alias(_) | InstanceTypeDeclaration::CoreType(_) => {}
                InstanceTypeDeclaration::Export { name, ty } => match ty {
                    ComponentTypeRef::Func(_) => exports.push((name.name, Declared::Function)),
                    ComponentTypeRef::Type(bounds) => {
                        let declared = match bounds {
                            TypeBounds::Eq(index) => inner(&types, *index),
                            TypeBounds::SubResource => Declared::Resource(name.name),
                        };
                        types.push(declared.clone());
                        exports.push((name.name, declared));
                    }
                    _ => {}
                },
            }
        }
        Item::InstanceType(exports.into())
    }

    /// The index spaces so many components further out.
    fn outer(&self, count: u32) -> Option<&Scope<'a>> {
        (0..count).try_fold(self, |scope, _| scope.outer.as_deref())
    }

    fn alias(&mut self, alias: ComponentAlias<'a>) {
        match alias {
            ComponentAlias::InstanceExport { kind, instance_index, name } => {
                let item = match at(&self.instances, instance_index) {
                    Item::Instance(exports) => exports.get(name).cloned().unwrap_or(Item::Own),
                    _ => Item::Own,
                };
                self.push(kind, item);
            }
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name } => {
                let exports = self.core_instances.get(instance_index as usize);
                self.core_functions.push(exports.and_then(|exports| exports.get(name).cloned()));
            }
            ComponentAlias::CoreInstanceExport { .. } => {}
            ComponentAlias::Outer { kind, count, index } => {
                let kind = match kind {
                    ComponentOuterAliasKind::CoreModule => ComponentExternalKind::Module,
                    ComponentOuterAliasKind::Type => ComponentExternalKind::Type,
                    ComponentOuterAliasKind::Component => ComponentExternalKind::Component,
                    ComponentOuterAliasKind::CoreType => return,
                };
                let item = self.outer(count).map_or(Item::Own, |scope| match kind {
                    ComponentExternalKind::Module => at(&scope.modules, index),
                    ComponentExternalKind::Type => at(&scope.types, index),
                    _ => at(&scope.components, index),
                });
                self.push(kind, item);
            }
        }
    }

    /// Each but a lifted function is a core function.
    fn canonical(&mut self, function: CanonicalFunction) {
        let name = match function {
            CanonicalFunction::Lift { .. } => return self.functions.push(Item::Own),
            CanonicalFunction::Lower { func_index, .. } => match at(&self.functions, func_index) {
                Item::Function(name) => Some(name),
                _ => None,
            },
            CanonicalFunction::ResourceDrop { resource } => match at(&self.types, resource) {
                Item::Resource(name) => Some(name),
                _ => None,
            },
            function => built_in::name(&function).map(Arc::from),
        };
        self.core_functions.push(name);
    }

    fn core_instance(
        &self,
        instance: Instance<'a>,
        given: &mut Given<'a>,
    ) -> Result<BTreeMap<&'a str, Arc<str>>, String> {
        match instance {
            Instance::Instantiate { module_index, args } => {
                let Item::Module(module) = at(&self.modules, module_index) else { return Ok(BTreeMap::new()) };
                let mut functions = Functions::new();
                for arg in &args {
                    for (name, function) in self.core_instances.get(arg.index as usize).into_iter().flatten() {
                        functions.insert((arg.name, *name), Arc::clone(function));
                    }
                }
                // A module is rewritten once, for all of its instances.
                match given.insert(module, functions.clone()) {
                    Some(others) if others != functions => {
                        Err("it instantiates a core module twice, with different functions of the host".to_owned())
                    }
                    _ => Ok(BTreeMap::new()),
                }
            }
            Instance::FromExports(exports) => {
                let functions = exports.iter().filter(|export| export.kind == ExternalKind::Func);
                Ok(functions
                    .filter_map(|export| {
                        let function = self.core_functions.get(export.index as usize)?;
                        Some((export.name, Arc::clone(function.as_ref()?)))
                    })
                    .collect())
            }
        }
    }

    fn instance(&mut self, instance: ComponentInstance<'a>, given: &mut Given<'a>) -> Result<Exports<'a>, String> {
        match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let Item::Component(component, around) = at(&self.components, component_index) else {
                    return Ok(Exports::new());
                };
                let args = args.iter().map(|arg| (arg.name, self.item(arg.kind, arg.index))).collect();
                Scope::new(Some(around)).instantiate(component, Some(&args), given)
            }
            ComponentInstance::FromExports(exports) => {
                Ok(exports.iter().map(|export| (export.name.name, self.item(export.kind, export.index))).collect())
            }
        }
    }
}

fn at<'a>(space: &[Item<'a>], index: u32) -> Item<'a> {
    space.get(index as usize).cloned().unwrap_or(Item::Own)
}

fn drop_of(interface: Option<&str>, resource: &str) -> Arc<str> {
    match interface {
        Some(interface) => format!("{interface}.[resource-drop]{resource}").into(),
        None => format!("[resource-drop]{resource}").into(),
    }
}

fn text(error: BinaryReaderError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;
    use wasmtime::component::Component;

    use crate::count::Calls;

    /// The calls that a component tells of, in order. It can be compiled before and after.
    fn told(text: &str) -> Result<Vec<String>, String> {
        let (bytes, engine) = (wat::parse_str(text).unwrap(), Engine::default());
        Component::new(&engine, &bytes).unwrap();
        let (rewritten, calls) = Calls::of_component(&bytes)?;
        Component::new(&engine, rewritten).unwrap();
        let mut names: Vec<String> = calls.names.iter().map(|name| name.to_string()).collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn a_function_of_the_host_is_told_by_its_outer_name_and_one_of_a_sibling_is_not() {
        let told = told(
            r#"(component
              (import "test:host/a@1.2.3" (instance $a (export "f" (func)) (export "g" (func))))
              (component $sibling
                (core module $m (func (export "f")))
                (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f")))
                (export "f" (func $f)))
              (instance $sibling (instantiate $sibling))
              (component $handed
                (import "from-outside" (instance $a (export "f" (func)) (export "g" (func))))
                (alias export $a "g" (func $g))
                (export "again" (func $g)))
              (instance $handed (instantiate $handed (with "from-outside" (instance $a))))
              (component $user
                (import "host" (instance $host (export "f" (func))))
                (import "sibling" (instance $sibling (export "f" (func))))
                (import "handed" (func $handed))
                (alias export $host "f" (func $f))
                (core func $f (canon lower (func $f)))
                (core func $s (canon lower (func $sibling "f")))
                (core func $h (canon lower (func $handed)))
                (core module $m
                  (import "" "f" (func $f)) (import "" "s" (func $s)) (import "" "h" (func $h))
                  (start $f) (export "s" (func $s)) (elem declare func $h))
                (core instance (instantiate $m (with "" (instance
                  (export "f" (func $f)) (export "s" (func $s)) (export "h" (func $h)))))))
              (instance (instantiate $user
                (with "host" (instance $a)) (with "sibling" (instance $sibling))
                (with "handed" (func $handed "again")))))"#,
        );
        assert_eq!(told.unwrap(), ["test:host/a.f", "test:host/a.g"]);
    }

    #[test]
    fn the_drop_of_a_resource_has_the_name_of_the_interface_that_defines_it() {
        let told = told(
            r#"(component
              (import "test:host/defines@0.2.0" (instance $defines (export "thing" (type (sub resource)))))
              (alias export $defines "thing" (type $thing))
              (import "test:host/uses@0.2.0" (instance $uses
                (alias outer 1 $thing (type $outer))
                (export "thing" (type $thing (eq $outer)))
                (export "other" (type $other (sub resource)))
                (export "renamed" (type (eq $other)))))
              (alias export $uses "thing" (type $used))
              (alias export $uses "renamed" (type $renamed))
              (type $own (resource (rep i32)))
              (core func $drop (canon resource.drop $used))
              (core func $drop-renamed (canon resource.drop $renamed))
              (core func $drop-own (canon resource.drop $own))
              (core module $m
                (import "" "a" (func (param i32))) (import "" "b" (func (param i32))) (import "" "c" (func (param i32))))
              (core instance (instantiate $m (with "" (instance
                (export "a" (func $drop)) (export "b" (func $drop-renamed)) (export "c" (func $drop-own)))))))"#,
        );
        assert_eq!(told.unwrap(), ["test:host/defines.[resource-drop]thing", "test:host/uses.[resource-drop]other"]);
    }

    /// A module of the outermost component is instantiated in two inner ones.
    fn twice(first: &str, second: &str) -> Result<Vec<String>, String> {
        told(&format!(
            r#"(component $outermost
              (import "test:host/a" (instance $a (export "f" (func)) (export "g" (func))))
              (core module $m (import "" "f" (func $f)) (start $f))
              (component $inner
                (import "f" (func $f))
                (alias outer $outermost $m (core module $m))
                (core func $f (canon lower (func $f)))
                (core instance (instantiate $m (with "" (instance (export "f" (func $f)))))))
              (instance (instantiate $inner (with "f" (func $a "{first}"))))
              (instance (instantiate $inner (with "f" (func $a "{second}")))))"#
        ))
    }

    #[test]
    fn a_module_is_rewritten_once_for_all_its_instances() {
        assert_eq!(twice("f", "f").unwrap(), ["test:host/a.f"]);
        assert!(twice("f", "g").unwrap_err().contains("instantiates a core module twice"));
    }
}
