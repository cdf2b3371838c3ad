//! The attributes `#[dormouse::main]` and `#[dormouse::test]`. Use them through the `dormouse` crate.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result, parse_macro_input};

/// Runs an `async fn main` inside `dormouse::block_on`.
///
/// ```ignore
/// #[dormouse::main]
/// async fn main() -> std::io::Result<()> {
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand(args, function, "main", |call| quote!(::dormouse::block_on(#call)), quote!())
}

/// Makes an `async fn` a test that runs inside `dormouse::block_on`. A test that nothing can wake any more fails with
/// the list of its parked tasks.
///
/// ```ignore
/// #[dormouse::test]
/// async fn sleeps() {
///     dormouse::time::sleep(std::time::Duration::from_millis(1)).await;
/// }
/// ```
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let run = |call| {
        quote!(match ::dormouse::try_block_on(#call) {
            ::core::result::Result::Ok(output) => output,
            ::core::result::Result::Err(error) => ::core::panic!("{error}"),
        })
    };
    expand(args, function, "test", run, quote!(#[::core::prelude::v1::test]))
}

fn expand(
    args: TokenStream,
    function: ItemFn,
    name: &str,
    run: impl FnOnce(proc_macro2::TokenStream) -> proc_macro2::TokenStream,
    extra: proc_macro2::TokenStream,
) -> TokenStream {
    if let Err(error) = check(&args, &function, name) {
        return error.into_compile_error().into();
    }
    let ItemFn { attrs, vis, mut sig, block } = function;
    // A function of its own, so that `return` and `?` mean what they say.
    let body = run(quote!(body()));
    sig.asyncness = None;
    let output = &sig.output;
    quote!(#(#attrs)* #extra #vis #sig {
        async fn body() #output #block
        #body
    })
    .into()
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
