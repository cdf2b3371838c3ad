//! Invoke. A function of a module or component that is called by its name, with arguments as text, in place of its main.
//!
//! Of a component it is one that is exported at the top, or `INTERFACE#NAME`. Arguments and results are numbers, truth values, letters and text:
//! what is a value of the command line. Others are refused by a sentence.

use std::fmt;

use wasmtime::component::{self, Type};
use wasmtime::{AsContextMut, Store, Val, ValType};

use crate::{p1, p2};

/// A function to call, and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
}

/// Why a function was not called, or its results are not shown. No trap: the program has done nothing wrong.
#[derive(Debug)]
pub(crate) struct NotInvoked(pub(crate) String);

impl fmt::Display for NotInvoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotInvoked {}

fn refused<T>(why: impl Into<String>) -> wasmtime::Result<T> {
    Err(NotInvoked(why.into()).into())
}

impl Invocation {
    /// Calls a function of a module, after its `_initialize` if it has one; gives the results, a line each.
    pub(crate) async fn of_module(
        &self,
        store: &mut Store<p1::State>,
        instance: &wasmtime::Instance,
    ) -> wasmtime::Result<Vec<String>> {
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize")
            && self.name != "_initialize"
        {
            initialize.call_async(&mut *store, ()).await?;
        }
        let Some(function) = instance.get_func(&mut *store, &self.name) else {
            let exports: Vec<_> = instance.exports(&mut *store).collect();
            let functions = exports.into_iter().filter_map(|export| {
                let name = export.name().to_owned();
                export.into_func().map(|_| name)
            });
            return refused(none_of(&self.name, functions.collect()));
        };
        let ty = function.ty(&*store);
        let params: Vec<ValType> = ty.params().collect();
        self.check_count(params.len())?;
        let args = params.iter().zip(&self.args).map(|(ty, text)| val(ty, text)).collect::<Result<Vec<_>, _>>();
        let args = args.or_else(refused)?;
        let mut results = vec![Val::I32(0); ty.results().len()];
        function.call_async(&mut *store, &args, &mut results).await?;
        results.iter().map(|val| shown(val).map_or_else(refused, Ok)).collect()
    }

    /// Calls a function of a component; gives the results, a line each.
    pub(crate) async fn of_component(
        &self,
        store: &mut Store<p2::State>,
        instance: &component::Instance,
    ) -> wasmtime::Result<Vec<String>> {
        let function = match self.name.rsplit_once('#') {
            None => instance.get_func(&mut *store, self.name.as_str()),
            Some((interface, name)) => {
                let interface = instance.get_export_index(&mut *store, None, interface);
                let function = interface.and_then(|of| instance.get_export_index(&mut *store, Some(&of), name));
                function.and_then(|index| instance.get_func(&mut *store, index))
            }
        };
        let Some(function) = function else {
            let world = instance.instance_pre(&*store).component().component_type();
            let engine = store.engine().clone();
            let functions = world.exports(&engine).flat_map(|(name, item)| match item.ty {
                component::types::ComponentItem::ComponentFunc(_) => vec![name.to_owned()],
                component::types::ComponentItem::ComponentInstance(of) => {
                    let functions = of.exports(&engine).filter_map(|(function, item)| {
                        matches!(item.ty, component::types::ComponentItem::ComponentFunc(_))
                            .then(|| format!("{name}#{function}"))
                    });
                    functions.collect()
                }
                _ => Vec::new(),
            });
            return refused(none_of(&self.name, functions.collect()));
        };
        let ty = function.ty(&*store);
        let params: Vec<Type> = ty.params().map(|(_, ty)| ty).collect();
        self.check_count(params.len())?;
        let args = params.iter().zip(&self.args).map(|(ty, text)| value(ty, text)).collect::<Result<Vec<_>, _>>();
        let args = args.or_else(refused)?;
        let mut results = vec![component::Val::Bool(false); ty.results().len()];
        function.call_async(store.as_context_mut(), &args, &mut results).await?;
        results.iter().map(|val| shown_value(val).map_or_else(refused, Ok)).collect()
    }

    fn check_count(&self, params: usize) -> wasmtime::Result<()> {
        match self.args.len() {
            given if given == params => Ok(()),
            given => refused(format!(
                "the function {} takes {params} arguments, and {given} are given after the program",
                self.name
            )),
        }
    }
}

fn none_of(name: &str, functions: Vec<String>) -> String {
    const MOST: usize = 20;
    let more = if functions.len() > MOST { ", …" } else { "" };
    match functions.is_empty() {
        true => format!("there is no function {name}, and no other that is exported"),
        false => format!(
            "there is no function {name}; exported are {}{more}",
            functions.into_iter().take(MOST).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn number<N: std::str::FromStr>(text: &str, what: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number of the type {what}"))
}

/// A whole number of any sign that has so many bits.
fn bits32(text: &str) -> Result<i32, String> {
    text.parse().or_else(|_| text.parse().map(u32::cast_signed)).or_else(|_| number(text, "i32"))
}

fn bits64(text: &str) -> Result<i64, String> {
    text.parse().or_else(|_| text.parse().map(u64::cast_signed)).or_else(|_| number(text, "i64"))
}

fn val(ty: &ValType, text: &str) -> Result<Val, String> {
    match ty {
        ValType::I32 => bits32(text).map(Val::I32),
        ValType::I64 => bits64(text).map(Val::I64),
        ValType::F32 => number(text, "f32").map(|n: f32| Val::F32(n.to_bits())),
        ValType::F64 => number(text, "f64").map(|n: f64| Val::F64(n.to_bits())),
        other => Err(format!("the function takes a {other}, which is no value of a command line")),
    }
}

fn shown(val: &Val) -> Result<String, String> {
    match val {
        Val::I32(n) => Ok(n.to_string()),
        Val::I64(n) => Ok(n.to_string()),
        Val::F32(bits) => Ok(f32::from_bits(*bits).to_string()),
        Val::F64(bits) => Ok(f64::from_bits(*bits).to_string()),
        Val::V128(bits) => Ok(bits.as_u128().to_string()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => Ok("null".to_owned()),
        _ => Err("the function has returned a reference, which cannot be shown".to_owned()),
    }
}

fn value(ty: &Type, text: &str) -> Result<component::Val, String> {
    use component::Val;
    match ty {
        Type::Bool => text.parse().map(Val::Bool).map_err(|_| format!("`{text}` is neither true nor false")),
        Type::S8 => number(text, "s8").map(Val::S8),
        Type::U8 => number(text, "u8").map(Val::U8),
        Type::S16 => number(text, "s16").map(Val::S16),
        Type::U16 => number(text, "u16").map(Val::U16),
        Type::S32 => number(text, "s32").map(Val::S32),
        Type::U32 => number(text, "u32").map(Val::U32),
        Type::S64 => number(text, "s64").map(Val::S64),
        Type::U64 => number(text, "u64").map(Val::U64),
        Type::Float32 => number(text, "f32").map(Val::Float32),
        Type::Float64 => number(text, "f64").map(Val::Float64),
        Type::Char => text.parse().map(Val::Char).map_err(|_| format!("`{text}` is not one letter")),
        Type::String => Ok(Val::String(text.into())),
        _ => Err("the function takes a record, a list or another value that no word of a command line is".to_owned()),
    }
}

fn shown_value(val: &component::Val) -> Result<String, String> {
    use component::Val;
    match val {
        Val::Bool(of) => Ok(of.to_string()),
        Val::S8(n) => Ok(n.to_string()),
        Val::U8(n) => Ok(n.to_string()),
        Val::S16(n) => Ok(n.to_string()),
        Val::U16(n) => Ok(n.to_string()),
        Val::S32(n) => Ok(n.to_string()),
        Val::U32(n) => Ok(n.to_string()),
        Val::S64(n) => Ok(n.to_string()),
        Val::U64(n) => Ok(n.to_string()),
        Val::Float32(n) => Ok(n.to_string()),
        Val::Float64(n) => Ok(n.to_string()),
        Val::Char(c) => Ok(c.to_string()),
        Val::String(text) => Ok(text.clone()),
        Val::Enum(name) => Ok(name.clone()),
        Val::Option(None) => Ok("none".to_owned()),
        Val::Option(Some(val)) => shown_value(val),
        Val::Result(Ok(val)) => val.as_deref().map_or(Ok("ok".to_owned()), shown_value),
        Val::Result(Err(val)) => match val {
            Some(val) => shown_value(val).map(|text| format!("err {text}")),
            None => Ok("err".to_owned()),
        },
        _ => Err("the function has returned more than a number, a truth value or text, which is not shown".to_owned()),
    }
}
