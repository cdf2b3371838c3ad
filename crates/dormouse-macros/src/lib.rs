//! The attributes `#[dormouse::main]` and `#[dormouse::test]`. Use them through the `dormouse` crate.

use std::sync::atomic::{AtomicBool, Ordering};

use proc_macro::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, ItemFn, Result, ReturnType, Type, parse_macro_input};

// The documentation is at the re-exports, where examples can be compiled. (A dev-dependency on `dormouse` here would give
// the build of wasmtime's own macros other features, and with them `cargo test` a second wasmtime.)

/// See `dormouse::main`.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let (returns, run): (_, fn(_) -> _) = match &function.sig.output {
        ReturnType::Type(_, output) if !matches!(**output, Type::Never(_)) => {
            (quote!(-> ::std::process::ExitCode), |call| {
                quote!({
                    use ::dormouse::outcome::{Outcome, ReportAsStd as _, ReportSentence as _};
                    let outcome = Outcome::new(::dormouse::outcome::block_on(#call));
                    #[allow(clippy::needless_borrow)]
                    let code = (&&outcome).report();
                    ::dormouse::outcome::code(code)
                })
            })
        }
        output => (quote!(#output), |call| quote!(::dormouse::block_on(#call))),
    };
    expand(args, function, "main", returns, run, quote!())
}

/// See `dormouse::test`.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let name = function.sig.ident.to_string();
    let run = |call| {
        quote!(::dormouse::outcome::begin_test(::core::concat!(::core::module_path!(), "::", #name));
        match ::dormouse::try_block_on(#call) {
            ::core::result::Result::Ok(output) => output,
            ::core::result::Result::Err(error) => ::core::panic!("{error}"),
        })
    };
    let returns = function.sig.output.to_token_stream();
    expand(args, function, "test", returns, run, quote!(#[::core::prelude::v1::test]))
}

fn expand(
    args: TokenStream,
    function: ItemFn,
    name: &str,
    returns: proc_macro2::TokenStream,
    run: impl FnOnce(proc_macro2::TokenStream) -> proc_macro2::TokenStream,
    extra: proc_macro2::TokenStream,
) -> TokenStream {
    if let Err(error) = check(&args, &function, name) {
        return error.into_compile_error().into();
    }
    let ItemFn { attrs, vis, mut sig, block } = function;
    // A function of its own, so that `return` and `?` mean what they say. It has the name of the outer one: any other
    // name would hide a function of the user's.
    let inner = sig.ident.clone();
    let body = run(quote!(#inner()));
    sig.asyncness = None;
    let output = std::mem::replace(&mut sig.output, ReturnType::Default);
    let export = export_main();
    quote!(#export #(#attrs)* #extra #vis #sig #returns {
        async fn #inner() #output #block
        #body
    })
    .into()
}

/// `export_main!` for the first function of a crate that has one of the attributes: a crate may have many tests, and each would
/// make the one export. A compiler process compiles one crate.
fn export_main() -> Option<proc_macro2::TokenStream> {
    static DONE: AtomicBool = AtomicBool::new(false);
    let first = !DONE.swap(true, Ordering::Relaxed);
    first.then(|| quote!(::dormouse::export_main!();))
}

fn check(args: &TokenStream, function: &ItemFn, name: &str) -> Result<()> {
    let sig = &function.sig;
    if !args.is_empty() {
        return Err(Error::new_spanned(&sig.ident, format!("#[dormouse::{name}] takes no arguments")));
    }
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(&sig.ident, format!("#[dormouse::{name}] needs an `async fn`")));
    }
    if !sig.inputs.is_empty() {
        return Err(Error::new_spanned(
            &sig.inputs,
            format!("a function under #[dormouse::{name}] takes no arguments"),
        ));
    }
    if !sig.generics.params.is_empty() {
        return Err(Error::new_spanned(&sig.generics, format!("a function under #[dormouse::{name}] is not generic")));
    }
    Ok(())
}
