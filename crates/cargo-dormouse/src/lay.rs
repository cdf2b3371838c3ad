//! Laying the replacement beside a program, and taking it away.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::{Result, edits, files, manifest, socket2};

/// By this file a directory is known as laid by this command.
const MARK: &str = "LAID-BY-CARGO-DORMOUSE.md";

const FACADE: &str = "\
//! tokio natively, and Dormouse in its place on WASI.

#[cfg(not(target_os = \"wasi\"))]
pub use native::*;
#[cfg(target_os = \"wasi\")]
pub use wasi::*;
";

/// Lays it, and tells what the user does next.
pub(crate) fn lay(manifest_path: Option<&Path>, dir: &Path) -> Result<String> {
    let metadata = metadata(manifest_path)?;
    let root = metadata.workspace_root.as_std_path();
    let dir_name = dir.display();
    let dir = root.join(dir);
    let tokio = tokio(&metadata, &dir)?;
    check_ours(&dir)?;
    let mut laid = Laid { dir: &dir, files: BTreeSet::new() };
    laid.all(tokio)?;
    let socket2 = socket2::of(&metadata);
    if let Some(socket2) = socket2 {
        laid.socket2(socket2)?;
    }
    laid.sweep(&dir)?;
    let mut lines = format!("tokio = {{ path = \"{dir_name}/tokio\" }}");
    let mut options = format!("--config 'patch.crates-io.tokio.path=\"{dir_name}/tokio\"'");
    if socket2.is_some() {
        lines += &format!("\nsocket2 = {{ path = \"{dir_name}/socket2\" }}");
        options += &format!(" --config 'patch.crates-io.socket2.path=\"{dir_name}/socket2\"'");
    }
    Ok(format!(
        "\
In {dir} is what takes the place of tokio {version}: natively that very tokio, on WASI Dormouse.
Add these lines to {root}/Cargo.toml:

[patch.crates-io]
{lines}

Or leave it as it is, and name them for a build: {options}.
Then:

    cargo build --target wasm32-wasip2                        # WASI 0.2; wasm32-wasip1 for a server on wasip1
    cargo build --target wasm32-wasip2 --features tokio/p3    # WASI 0.3

`cargo dormouse tokio --undo` takes it away again.",
        dir = dir.display(),
        version = tokio.version,
        root = root.display(),
    ))
}

/// Takes it away.
pub(crate) fn undo(manifest_path: Option<&Path>, dir: &Path) -> Result<String> {
    let root = root(manifest_path)?;
    let dir = root.join(dir);
    if !dir.join(MARK).exists() {
        return Err(format!("{} was not laid by this command, or is gone: nothing is taken away", dir.display()));
    }
    fs::remove_dir_all(&dir).map_err(|error| format!("remove {}: {error}", dir.display()))?;
    Ok(format!(
        "{} is gone. Take the lines of tokio and socket2 in [patch.crates-io] out of {}/Cargo.toml, if they are there.",
        dir.display(),
        root.display()
    ))
}

fn metadata(manifest_path: Option<&Path>) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    if let Some(path) = manifest_path {
        command.manifest_path(path);
    }
    command.exec().map_err(|error| match error {
        cargo_metadata::Error::CargoMetadata { stderr } => {
            format!("cargo cannot read the program:\n{}", stderr.trim_end())
        }
        error => format!("cargo cannot read the program: {error}"),
    })
}

/// The root of the program's workspace, also if its patch names what is gone.
fn root(manifest_path: Option<&Path>) -> Result<PathBuf> {
    let mut command = MetadataCommand::new();
    command.no_deps();
    if let Some(path) = manifest_path {
        command.manifest_path(path);
    }
    let metadata = command.exec().map_err(|error| format!("cargo cannot read the program: {error}"))?;
    Ok(metadata.workspace_root.into_std_path_buf())
}

/// The tokio that the program's Cargo.lock names.
fn tokio<'a>(metadata: &'a Metadata, dir: &Path) -> Result<&'a Package> {
    let mut tokios = metadata.packages.iter().filter(|package| package.name.as_str() == "tokio");
    let Some(tokio) = tokios.next() else {
        return Err("the program does not use tokio: there is nothing to take the place of".into());
    };
    if tokio.manifest_path.starts_with(dir) || socket2::is_laid(metadata, dir) {
        return Err(format!(
            "the program has it already. To lay it anew, take the lines of tokio and socket2 out of [patch.crates-io], and call this \
             again: {} is replaced",
            dir.display()
        ));
    }
    if tokios.next().is_some() {
        return Err(
            "the program uses several versions of tokio; `cargo tree -i tokio` shows which, and one can be replaced"
                .into(),
        );
    }
    if tokio.source.as_ref().is_none_or(|source| !source.is_crates_io()) {
        return Err(format!("the program's tokio is {}, and not that of crates.io", tokio.manifest_path));
    }
    Ok(tokio)
}

/// What is there has to be of an earlier call.
fn check_ours(dir: &Path) -> Result {
    match dir.exists() && !dir.join(MARK).exists() {
        false => Ok(()),
        true => {
            Err(format!("{} is there, and was not laid by this command: name another one with --dir", dir.display()))
        }
    }
}

/// The changes to a file, named from `src`; none if it stays as it is.
type Apply = fn(&str, &str) -> Result<Option<String>>;

/// A directory in which all is laid. A file that is as it should be is left alone, so that cargo builds nothing anew.
struct Laid<'a> {
    dir: &'a Path,
    files: BTreeSet<PathBuf>,
}

impl Laid<'_> {
    fn all(&mut self, tokio: &Package) -> Result {
        let mark = format!(
            "`cargo dormouse tokio` has laid this, and `cargo dormouse tokio --undo` takes it away. `upstream` is tokio {} with the \
             changes that are marked there by `target_os = \"wasi\"` and `dormouse`.\n",
            tokio.version
        );
        self.write(MARK, mark.as_bytes())?;
        let from = tokio.manifest_path.as_std_path().parent().ok_or("cargo names no directory for tokio")?;
        for file in edits::files() {
            if !from.join("src").join(file).exists() {
                return Err(format!("tokio {} has no file src/{file}: this command does not know it", tokio.version));
            }
        }
        self.copy(&from.join("src"), "upstream/src", "", edits::apply)?;
        for file in ["LICENSE", "README.md"] {
            if from.join(file).exists() {
                self.write(&format!("upstream/{file}"), &read(&from.join(file))?)?;
            }
        }
        let of_tokio = read(&from.join("Cargo.toml"))?;
        let of_tokio = String::from_utf8(of_tokio).map_err(|error| format!("tokio's manifest: {error}"))?;
        self.write("native/Cargo.toml", manifest::native(&of_tokio)?.as_bytes())?;
        self.write("wasi/Cargo.toml", manifest::wasi(&of_tokio)?.as_bytes())?;
        self.write("tokio/Cargo.toml", manifest::facade(&tokio.version.to_string(), &tokio.features).as_bytes())?;
        self.write("tokio/src/lib.rs", FACADE.as_bytes())?;
        for (name, contents) in files::FILES {
            if name.ends_with("/Cargo.toml") {
                self.write(name, manifest::of_ours(contents, files::WORKSPACE)?.as_bytes())?;
            } else {
                self.write(name, contents.as_bytes())?;
            }
        }
        Ok(())
    }

    fn socket2(&mut self, socket2: &Package) -> Result {
        let from = socket2.manifest_path.as_std_path().parent().ok_or("cargo names no directory for socket2")?;
        self.copy(&from.join("src"), "socket2/src", "", socket2::apply)?;
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
            if from.join(file).exists() {
                self.write(&format!("socket2/{file}"), &read(&from.join(file))?)?;
            }
        }
        let of_socket2 = read(&from.join("Cargo.toml"))?;
        let of_socket2 = String::from_utf8(of_socket2).map_err(|error| format!("socket2's manifest: {error}"))?;
        self.write("socket2/Cargo.toml", manifest::socket2(&of_socket2)?.as_bytes())
    }

    /// Copies sources to `to`, with their changes. `name` is where we are, seen from `from`.
    fn copy(&mut self, from: &Path, to: &str, name: &str, apply: Apply) -> Result {
        let entries = fs::read_dir(from).map_err(|error| format!("read {}: {error}", from.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("read {}: {error}", from.display()))?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let name = if name.is_empty() { file.into_owned() } else { format!("{name}/{file}") };
            if path.is_dir() {
                self.copy(&path, to, &name, apply)?;
                continue;
            }
            let contents = read(&path)?;
            let changed = match std::str::from_utf8(&contents) {
                Ok(text) => apply(&name, text)?,
                Err(_) => None,
            };
            let contents = changed.as_deref().map_or(&contents[..], str::as_bytes);
            self.write(&format!("{to}/{name}"), contents)?;
        }
        Ok(())
    }

    fn write(&mut self, name: &str, contents: &[u8]) -> Result {
        let path = self.dir.join(name);
        let problem = |error| format!("write {}: {error}", path.display());
        if fs::read(&path).ok().as_deref() != Some(contents) {
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir).map_err(problem)?;
            }
            fs::write(&path, contents).map_err(problem)?;
        }
        self.files.insert(path);
        Ok(())
    }

    /// Removes what an earlier call has laid and this one has not.
    fn sweep(&self, dir: &Path) -> Result {
        let entries = fs::read_dir(dir).map_err(|error| format!("read {}: {error}", dir.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("read {}: {error}", dir.display()))?.path();
            if path.is_dir() {
                self.sweep(&path)?;
            } else if !self.files.contains(&path) {
                fs::remove_file(&path).map_err(|error| format!("remove {}: {error}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("read {}: {error}", path.display()))
}
