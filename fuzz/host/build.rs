//! Links libFuzzer, if it is asked for.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBFUZZER");
    if env::var_os("CARGO_FEATURE_LIBFUZZER").is_none() {
        return;
    }
    match env::var("LIBFUZZER") {
        Ok(path) => {
            println!("cargo:rustc-link-arg-bins={path}");
            println!("cargo:rustc-link-arg-bins=-lstdc++");
        }
        // Not an error: lints of all features need no linker.
        Err(_) => println!(
            "cargo:warning=the feature `libfuzzer` is for `cargo xtask fuzz`, which names the library in LIBFUZZER"
        ),
    }
}
