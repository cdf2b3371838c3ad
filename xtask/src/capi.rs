//! The C ABI: its library as C wants it, for each backend, and programs in C that are built with real compilers.
//!
//! Under `target/c` each backend has what an installation has, `include`, `lib` and `lib/pkgconfig`, and beside that `bin`, the
//! programs: the examples, those of the tests, and what `docs.rs` makes of the manual.

mod docs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, cargo, root, say, setup, target_dir};

/// What the header was made with.
const CBINDGEN: &str = "0.29.4";

const CRATE: &str = "crates/dormouse-capi";
/// Programs, as C sources in the crate.
const PROGRAMS: [&str; 4] = ["examples/echo_ticker.c", "examples/own_scheduler.c", "tests/c/talk.c", "tests/c/exit.c"];
const WARNINGS: [&str; 4] = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
/// What the library is built for.
struct Build {
    name: &'static str,
    /// The guest, or this machine.
    guest: Option<&'static setup::Guest>,
    library: &'static str,
    /// What the linker is told beside the library's name.
    libs: &'static str,
}

const STATIC: &str = "libdormouse_capi.a";

const BUILDS: [Build; 5] = [
    Build { name: "native", guest: None, library: STATIC, libs: "-lpthread -ldl -lm" },
    Build { name: "shared", guest: None, library: "libdormouse_capi.so", libs: "-Wl,-rpath,${prefix}/lib" },
    Build { name: "wasip1", guest: Some(&setup::GUESTS[0]), library: STATIC, libs: "-Wl,--export=dormouse-host-facts" },
    // What the host calls, which no program in C mentions. For the linker of components, which is called by itself.
    Build {
        name: "wasip2",
        guest: Some(&setup::GUESTS[1]),
        library: STATIC,
        libs: "--export=cabi_realloc --export=dormouse-host-facts",
    },
    Build {
        name: "wasip3",
        guest: Some(&setup::GUESTS[2]),
        library: STATIC,
        libs: "--export=cabi_realloc --export=dormouse-host-facts --export=wasi:cli/run@0.3.2\\#run",
    },
];

/// The test: the header is that of the sources, everything in C compiles, and does on each backend what the manual says.
pub fn run() -> Result {
    check_header()?;
    build()?;
    crate::run("building the runner", cargo(&["build", "--quiet", "-p", "dormouse-host"]))?;
    let mut test = cargo(&["test", "--quiet", "-p", "dormouse-capi", "--features", "c", "--test", "c"]);
    test.env("DORMOUSE_C", work()?).env("DORMOUSE", target_dir()?.join("debug/dormouse")).env_remove("RUST_BACKTRACE");
    crate::run("programs in C, on every backend and under valgrind", test)
}

/// Everything under `target/c`.
pub fn build() -> Result {
    setup::targets()?;
    setup::c()?;
    let sources = docs::write(&work()?.join("src"))?;
    for build in &BUILDS {
        build.install()?;
        for program in PROGRAMS {
            build.compile(&root().join(CRATE).join(program))?;
        }
        for source in &sources {
            build.compile(source)?;
        }
    }
    cpp()
}

/// The programs that the demo and the sizes are of; `None` with a sentence if there is no compiler for WASI.
pub fn echo() -> Result<Option<PathBuf>> {
    if !setup::has_c() {
        say(
            "the C echo server is left out: it needs clang, lld and wasi-libc, which `cargo xtask setup` installs on Debian",
        );
        return Ok(None);
    }
    for build in BUILDS.iter().filter(|build| build.name != "shared") {
        build.install()?;
        build.compile(&root().join(CRATE).join(PROGRAMS[0]))?;
    }
    Ok(Some(work()?))
}

fn work() -> Result<PathBuf> {
    Ok(target_dir()?.join("c"))
}

impl Build {
    fn dir(&self) -> Result<PathBuf> {
        Ok(work()?.join(self.name))
    }

    /// Builds the library, and puts it where C looks for it.
    fn install(&self) -> Result {
        let kind = if self.library == STATIC { "staticlib" } else { "cdylib" };
        let mut command = cargo(&["rustc", "--quiet", "-p", "dormouse-capi", "--crate-type", kind]);
        let built = match self.guest {
            Some(guest) => {
                command.arg("--release").args(guest.args()?);
                guest.examples()?.parent().map(Path::to_owned).unwrap_or_default()
            }
            None => {
                command.args(["--profile", "capi"]);
                target_dir()?.join("capi")
            }
        };
        crate::run(&format!("building {} for {}", self.library, self.name), command)?;
        let dir = self.dir()?;
        put(&built.join(self.library), &dir.join("lib").join(self.library))?;
        put(&root().join(CRATE).join("include/dormouse.h"), &dir.join("include/dormouse.h"))?;
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "prefix=${{pcfiledir}}/../..\n\nName: dormouse\nDescription: sockets, timers and one waiting call, under WASI and natively\n\
             Version: {version}\nCflags: -I${{prefix}}/include\nLibs: -L${{prefix}}/lib -ldormouse_capi {}\n",
            self.libs
        );
        write(&dir.join("lib/pkgconfig/dormouse.pc"), &text)
    }

    /// Compiles a source, and links it if it is a program.
    fn compile(&self, source: &Path) -> Result {
        let name = source.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let bin = self.dir()?.join("bin");
        fs::create_dir_all(&bin).map_err(|error| format!("cannot create {}: {error}", bin.display()))?;
        let mut command = Command::new(if self.guest.is_some() { "clang" } else { "gcc" });
        command.args(WARNINGS).arg(source);
        let is_program = read(source)?.contains("int main(");
        let is_component = self.guest.is_some_and(|guest| guest.target == "wasm32-wasip2");
        let object = bin.join(name).with_extension("o");
        let program = bin.join(name).with_extension(if self.guest.is_some() { "wasm" } else { "" });
        match self.guest {
            None => command.args(["-O2", "-g"]),
            Some(_) => command.args(["--target=wasm32-wasi", "-Os"]),
        };
        if is_program && !is_component {
            command.args(self.flags(&["--cflags", "--libs"])?).arg("-o").arg(&program);
            if self.guest.is_some() {
                command.arg("-s");
            }
        } else {
            command.args(self.flags(&["--cflags"])?).arg("-c").arg("-o").arg(&object);
        }
        crate::run(&format!("compiling {name} for {}", self.name), command)?;
        if is_program && is_component {
            let mut command = component_linker()?;
            command.arg(object).args(self.flags(&["--libs"])?).args(["-lc", "--gc-sections", "-s", "-o"]).arg(program);
            crate::run(&format!("linking {name} for {}", self.name), command)?;
        }
        Ok(())
    }

    /// What pkg-config says.
    fn flags(&self, asked: &[&str]) -> Result<Vec<String>> {
        let said = Command::new("pkg-config")
            .args(asked)
            .arg("dormouse")
            .env("PKG_CONFIG_PATH", self.dir()?.join("lib/pkgconfig"))
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start pkg-config: {error}; install the package pkg-config"))?;
        match (said.status.success(), String::from_utf8(said.stdout)) {
            (true, Ok(flags)) => Ok(flags.split_whitespace().map(|flag| flag.replace("\\#", "#")).collect()),
            _ => Err(format!("pkg-config knows nothing of {}/lib/pkgconfig/dormouse.pc", self.dir()?.display())),
        }
    }
}

/// Links a component: with the linker, the start-up code and the wasi-libc of Rust's target. Not by clang, which knows that linker from
/// some version on, and then tells it other things.
fn component_linker() -> Result<Command> {
    let host = output("rustc", &["--print", "host-tuple"])?;
    let rust = Path::new(&output("rustc", &["--print", "sysroot"])?).join("lib/rustlib");
    let (bin, libc) = (rust.join(host).join("bin"), rust.join("wasm32-wasip2/lib/self-contained"));
    let mut command = Command::new(bin.join("wasm-component-ld"));
    command.arg("--wasm-ld-path").arg(bin.join("gcc-ld/wasm-ld"));
    command.arg(libc.join("crt1-command.o")).arg("-L").arg(libc);
    Ok(command)
}

/// The header is C++ as well.
fn cpp() -> Result {
    setup::cpp()?;
    let mut command = Command::new("g++");
    command.args(["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++"]);
    crate::run("the header, as C++", {
        command.arg(root().join(CRATE).join("include/dormouse.h"));
        command
    })
}

/// Makes the header anew.
pub fn header() -> Result {
    write(&root().join(CRATE).join("include/dormouse.h"), &made_header()?)
}

fn check_header() -> Result {
    if read(&root().join(CRATE).join("include/dormouse.h"))? == made_header()? {
        return Ok(());
    }
    Err(format!("{CRATE}/include/dormouse.h is not what the sources say: run `cargo xtask header`"))
}

fn made_header() -> Result<String> {
    let cbindgen = setup::cbindgen(CBINDGEN)?;
    let mut command = Command::new(cbindgen);
    command.current_dir(root()).args(["--quiet", "--config"]).arg(Path::new(CRATE).join("cbindgen.toml"));
    command.args(["--crate", "dormouse-capi", CRATE]).stderr(Stdio::inherit());
    let made = command.output().map_err(|error| format!("cannot start cbindgen: {error}"))?;
    match (made.status.success(), String::from_utf8(made.stdout)) {
        (true, Ok(text)) => Ok(text),
        _ => Err("cbindgen could not make the header; what it said is above".to_owned()),
    }
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(args).output().map_err(|error| format!("cannot start {program}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn put(from: &Path, to: &Path) -> Result {
    let copied = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(from, to));
    copied.map(drop).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}
