//! The package that the tests are built in.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::{On, Outcomes, known};
use crate::{Result, say};

/// What is changed in each file. A condition that keeps a test from WASI is gone, since what it says of WASI is what is asked here; a
/// panic cannot be caught on WASI, and that is a result as well. std knows no place of temporary files on WASI.
const CHANGES: [(&str, &str); 9] = [
    (r#"target_os = "wasi""#, "any()"),
    (r#"target_os="wasi""#, "any()"),
    (r#"target_family = "wasm""#, "any()"),
    (r#"panic = "unwind""#, "all()"),
    ("tempfile::tempdir()", r#"::tempfile::tempdir_in("/tmp")"#),
    ("= tempdir().unwrap()", r#"= ::tempfile::tempdir_in("/tmp").unwrap()"#),
    ("NamedTempFile::new()", r#"NamedTempFile::new_in("/tmp")"#),
    (r##"#![cfg(all(feature = "full", target_os = "linux"))]"##, r#"#![cfg(feature = "full")]"#),
    ("std::env::temp_dir()", r#"std::path::PathBuf::from("/tmp")"#),
];

/// A file whose program would take a minute to compile at each start, if it were not optimised.
const LARGE: &str = "rt_common";

const SHOULD_PANIC: &str = "#[should_panic";

/// tokio's own features, as its tests ask for them.
const FEATURES: [&str; 14] = [
    "full",
    "fs",
    "io-util",
    "io-std",
    "macros",
    "net",
    "parking_lot",
    "process",
    "rt",
    "rt-multi-thread",
    "signal",
    "sync",
    "test-util",
    "time",
];

/// tokio's dependencies for tests: what they are called there, and the line here. One that no file names is left out.
const DEPENDENCIES: [(&str, &str); 13] = [
    ("tokio_test", r#"tokio-test = "0.4""#),
    ("tokio_stream", r#"tokio-stream = "0.1""#),
    ("tokio_util", r#"tokio-util = { version = "0.7", features = ["full"] }"#),
    ("futures", r#"futures = { version = "0.3", features = ["async-await"] }"#),
    ("futures_test", r#"futures-test = "0.3.31""#),
    ("mockall", r#"mockall = "0.13""#),
    ("async_stream", r#"async-stream = "0.3""#),
    ("futures_concurrency", r#"futures-concurrency = "7.6.3""#),
    ("pin_project_lite", r#"pin-project-lite = "0.2""#),
    ("bytes", r#"bytes = "1""#),
    ("tempfile", r#"tempfile = "3.1""#),
    ("rand", r#"rand = "0.9""#),
    ("socket2", r#"socket2 = { version = "0.6", features = ["all"] }"#),
];
const ON_UNIX: [(&str, &str); 2] = [
    ("libc", r#"libc = "0.2""#),
    ("nix", r#"nix = { version = "0.31", default-features = false, features = ["aio", "fs", "socket"] }"#),
];

/// A file of tests.
pub struct File {
    pub name: String,
    /// Its tests that have to panic, and what the panic has to say.
    pub panics: BTreeMap<String, String>,
}

/// A file of tests that is not built for WASI.
pub struct LeftOut {
    pub name: String,
    pub tests: usize,
    pub reason: &'static str,
}

pub struct Package {
    pub version: String,
    pub files: Vec<File>,
    pub left_out: Vec<LeftOut>,
    /// tokio's own manifest, which a test reads.
    pub manifest: String,
    dir: PathBuf,
}

impl Package {
    /// Copies the tests of `checkout` into a package below `dir`.
    pub fn prepare(checkout: &Path, dir: &Path) -> Result<Package> {
        let inner = checkout.join("tokio");
        let checkout = if inner.join("tests").is_dir() { inner } else { checkout.to_owned() };
        let manifest = read(&checkout.join("Cargo.toml"))?;
        let mut package = Package {
            version: version(&manifest)?,
            files: Vec::new(),
            left_out: Vec::new(),
            manifest,
            dir: dir.join("package"),
        };
        let tests = package.dir.join("tests");
        let mut names = BTreeSet::new();
        for (path, name) in sources(&checkout.join("tests"))? {
            if known::ELSEWHERE.iter().any(|other| known::matches(other, &name)) {
                continue;
            }
            let text = read(&path)?;
            if let Some((_, reason)) = known::LEFT_OUT.iter().find(|(other, _)| known::matches(other, &name)) {
                package.left_out.push(LeftOut { name, tests: count(&text), reason });
                continue;
            }
            names.extend(named(&text));
            let (text, panics) = change(&text);
            write(&tests.join(format!("{name}.rs")), &text)?;
            package.files.push(File { name, panics });
        }
        for (path, name) in sources(&checkout.join("tests/support"))? {
            let text = read(&path)?;
            names.extend(named(&text));
            write(&tests.join(format!("support/{name}.rs")), &change(&text).0)?;
        }
        write(&package.dir.join("src/lib.rs"), "")?;
        package.write_manifest(&names)?;
        Ok(package)
    }

    fn write_manifest(&self, names: &BTreeSet<&str>) -> Result {
        let mut text =
            "[workspace]\n\n[package]\nname = \"tokio-tests\"\nversion = \"0.0.0\"\nedition = \"2021\"\n".to_owned();
        text.push_str("publish = false\n\n[lints.rust]\nwarnings = \"allow\"\n\n[features]\n");
        // Writing to a String does not fail.
        let _ = writeln!(text, "default = {FEATURES:?}");
        for feature in FEATURES {
            let _ = writeln!(text, "{feature} = []");
        }
        let _ = writeln!(
            text,
            "\n[dependencies]\ntokio = {{ version = \"={}\", features = [\"full\", \"test-util\"] }}",
            self.version
        );
        for (table, list) in
            [("dev-dependencies", &DEPENDENCIES[..]), ("target.'cfg(unix)'.dev-dependencies", &ON_UNIX)]
        {
            let _ = writeln!(text, "\n[{table}]");
            for (_, line) in list.iter().filter(|(name, _)| names.contains(name)) {
                let _ = writeln!(text, "{line}");
            }
        }
        text.push_str("\n[profile.dev]\ndebug = 0\n");
        write(&self.dir.join("Cargo.toml"), &text)
    }

    /// Puts what takes tokio's place beside the package, and into its manifest.
    pub fn lay(&self, command: &Path) -> Result {
        let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let laid = self.dir.join("dormouse-tokio");
        let is_of = |text: String| text.contains(&format!("tokio {} ", self.version));
        let mark = laid.join("LAID-BY-CARGO-DORMOUSE.md");
        // Anew it would all be built again.
        if changed(&mark) > changed(command) && read(&mark).is_ok_and(is_of) {
            return self.patch();
        }
        say(&format!("laying what takes the place of tokio {}", self.version));
        let output = Command::new(command).args(["dormouse", "tokio"]).current_dir(&self.dir).output();
        let output = output.map_err(|error| format!("cannot start {}: {error}", command.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
        }
        self.patch()
    }

    fn patch(&self) -> Result {
        let manifest = self.dir.join("Cargo.toml");
        let text = read(&manifest)? + "\n[patch.crates-io]\ntokio = { path = \"dormouse-tokio/tokio\" }\n";
        write(&manifest, &text)
    }

    /// Builds each file: where its program is, if it builds.
    pub fn build(&self, on: On, files: &[&File]) -> Result<BTreeMap<String, PathBuf>> {
        say(&format!("building {} files of tests for {}", files.len(), on.name()));
        let (large, others): (Vec<&File>, Vec<&File>) = files.iter().partition(|file| file.name == LARGE);
        let mut programs = self.cargo(on, &others, &[])?;
        programs.extend(self.cargo(on, &large, &["--config", "profile.dev.package.tokio-tests.opt-level=1"])?);
        Ok(programs)
    }

    fn cargo(&self, on: On, files: &[&File], args: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
        if files.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.dir).args(["build", "--keep-going", "--message-format", "json-render-diagnostics"]);
        command.args(args).env_remove("RUSTFLAGS").stdout(Stdio::piped()).stderr(Stdio::inherit());
        match on {
            On::Native => {}
            On::P2 => _ = command.args(["--target", "wasm32-wasip2"]),
            On::P3 => _ = command.args(["--target", "wasm32-wasip2", "--features", "tokio/p3"]),
        }
        for file in files {
            command.args(["--test", &file.name]);
        }
        let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
        let output = String::from_utf8_lossy(&output.stdout);
        let programs = output.lines().filter_map(|line| {
            let path = PathBuf::from(line.split_once(r#""executable":""#)?.1.split_once('"')?.0);
            let name = path.file_stem()?.to_str()?.rsplit_once('-')?.0.to_owned();
            Some((name, path))
        });
        Ok(programs.collect())
    }

    /// The directory that each program is given, empty.
    pub fn scratch(&self, on: On, file: &str) -> PathBuf {
        self.dir.join("scratch").join(on.name()).join(file)
    }
}

impl Package {
    fn recorded(&self, on: On, file: &str) -> PathBuf {
        self.dir.with_file_name("results").join(&self.version).join(on.name()).join(file)
    }

    /// Keeps the results of a file for the table, which may be made by several calls of the command.
    pub fn record(&self, on: On, file: &str, outcomes: &Result<Outcomes>) {
        let mut text = String::new();
        match outcomes {
            Ok(outcomes) => {
                for (test, why) in outcomes {
                    let _ = writeln!(text, "{test}\t{}", why.as_deref().unwrap_or_default());
                }
            }
            Err(_) => text.push_str("does not build\n"),
        }
        // Without it the table is not made.
        let _ = write(&self.recorded(on, file), &text);
    }

    /// The results of a file, if it has been run.
    pub fn of_record(&self, on: On, file: &str) -> Option<Result<Outcomes>> {
        let text = read(&self.recorded(on, file)).ok()?;
        if text == "does not build\n" {
            return Some(Err("does not build".into()));
        }
        let results = text.lines().filter_map(|line| line.split_once('\t'));
        Some(Ok(results.map(|(test, why)| (test.to_owned(), (!why.is_empty()).then(|| why.to_owned()))).collect()))
    }
}

/// The Rust files of a directory, with their names.
fn sources(dir: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let problem = |error| format!("cannot read {}: {error}", dir.display());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if let (Some("rs"), Some(name)) =
            (path.extension().and_then(OsStr::to_str), path.file_stem().and_then(OsStr::to_str))
        {
            let name = name.to_owned();
            found.insert(path, name);
        }
    }
    Ok(found)
}

fn version(manifest: &str) -> Result<String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    let version = line.and_then(|rest| rest.split('"').next());
    version.map(str::to_owned).ok_or_else(|| "tokio's manifest has no version".to_owned())
}

/// How many tests a file has, as its text tells.
fn count(text: &str) -> usize {
    text.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        .count()
}

/// The words of a file that are followed by `::`.
fn named(text: &str) -> impl Iterator<Item = &'static str> {
    let all = DEPENDENCIES.iter().chain(&ON_UNIX).map(|(name, _)| *name);
    all.filter(|name| [format!("{name}::"), format!("use {name};")].iter().any(|used| text.contains(used)))
}

/// Makes the [`CHANGES`]. On WASI a test that has to panic is one that ends the program, which the harness would ignore: here it is a
/// test like others, and what it has to say is returned.
fn change(text: &str) -> (String, BTreeMap<String, String>) {
    let mut text = text.to_owned();
    for (from, to) in CHANGES {
        text = text.replace(from, to);
    }
    let mut parts = text.split(SHOULD_PANIC);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    let mut panics = BTreeMap::new();
    for part in parts {
        let (args, rest) = part.split_once(']').unwrap_or((part, ""));
        let name = rest.split_once("fn ").map(|(_, rest)| rest.split('(').next().unwrap_or_default());
        let expected = args.split('"').nth(1).unwrap_or_default();
        panics.insert(name.unwrap_or_default().to_owned(), expected.to_owned());
        let _ = write!(changed, "#[cfg_attr(not(target_os = \"wasi\"), should_panic{args})]{rest}");
    }
    (changed, panics)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Leaves a file as it is that has the text, so that cargo does not build it again.
fn write(path: &Path, text: &str) -> Result {
    let problem = |error| format!("cannot write {}: {error}", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(problem)?;
    }
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(problem)
}
