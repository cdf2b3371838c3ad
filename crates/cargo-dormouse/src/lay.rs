//! Laying the replacement beside a program, and taking it away.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::{Result, edits, files, manifest};

/// By this file a directory is known as laid by this command.
const MARK: &str = "LAID-BY-CARGO-DORMOUSE.md";

/// The minor versions of tokio 1 that this has been tried with. Before the first one a task's budget (`task::coop::poll_proceed`) is not
/// public, and Dormouse's sockets are part of it.
const FIRST: u64 = 47;
const LAST: u64 = 54;

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
    let of = &tokio.version;
    if (of.major, of.minor) < (1, FIRST) {
        return Err(format!("the program's tokio is {of}, and this needs 1.{FIRST} or later: `cargo update tokio`"));
    }
    let untried = match (of.major, of.minor) > (1, LAST) {
        true => format!(
            "\n\nThis command has been tried with tokio 1.{FIRST} to 1.{LAST}. All places that it changes are in {of} as well; if it does \
             not build, name an earlier one: `cargo update tokio --precise 1.{LAST}.0`."
        ),
        false => String::new(),
    };
    make_way(&dir)?;
    let written = write_all(&dir, tokio);
    if written.is_err() {
        let _ = fs::remove_dir_all(&dir);
    }
    written?;
    Ok(format!(
        "\
In {dir} is what takes the place of tokio {version}: natively that very tokio, on WASI Dormouse.
Add these two lines to {root}/Cargo.toml:

[patch.crates-io]
tokio = {{ path = \"{dir_name}/tokio\" }}

Or leave it as it is, and name the patch for a build: --config 'patch.crates-io.tokio.path=\"{dir_name}/tokio\"'.
Then:

    cargo build --target wasm32-wasip2                        # WASI 0.2; wasm32-wasip1 for a server on wasip1
    cargo build --target wasm32-wasip2 --features tokio/p3    # WASI 0.3

`cargo dormouse tokio --undo` takes it away again.{untried}",
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
        "{} is gone. Take the line of tokio in [patch.crates-io] out of {}/Cargo.toml, if it is there.",
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
    if tokio.manifest_path.starts_with(dir) {
        return Err(format!(
            "the program has it already. To lay it anew, take the line of tokio out of [patch.crates-io], and call this again: {} is \
             replaced",
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

/// Removes what an earlier call has laid, and nothing else.
fn make_way(dir: &Path) -> Result {
    if !dir.exists() {
        return Ok(());
    }
    if !dir.join(MARK).exists() {
        return Err(format!(
            "{} is there, and was not laid by this command: name another one with --dir",
            dir.display()
        ));
    }
    fs::remove_dir_all(dir).map_err(|error| format!("remove {}: {error}", dir.display()))
}

fn write_all(dir: &Path, tokio: &Package) -> Result {
    let from = tokio.manifest_path.as_std_path().parent().ok_or("cargo names no directory for tokio")?;
    copy(&from.join("src"), &dir.join("upstream/src"), "")?;
    for file in edits::files() {
        if !dir.join("upstream/src").join(file).exists() {
            return Err(format!("tokio {} has no file src/{file}: this command does not know it", tokio.version));
        }
    }
    for file in ["LICENSE", "README.md"] {
        if from.join(file).exists() {
            write(&dir.join("upstream").join(file), &read(&from.join(file))?)?;
        }
    }
    let of_tokio = read(&from.join("Cargo.toml"))?;
    let of_tokio = String::from_utf8(of_tokio).map_err(|error| format!("tokio's manifest: {error}"))?;
    write(&dir.join("native/Cargo.toml"), manifest::native(&of_tokio)?.as_bytes())?;
    write(&dir.join("wasi/Cargo.toml"), manifest::wasi(&of_tokio)?.as_bytes())?;
    let facade = manifest::facade(&tokio.version.to_string(), &tokio.features);
    write(&dir.join("tokio/Cargo.toml"), facade.as_bytes())?;
    write(&dir.join("tokio/src/lib.rs"), FACADE.as_bytes())?;
    let workspace = files::FILES.iter().find(|(name, _)| *name == "Cargo.toml");
    let (_, workspace) = workspace.ok_or("this command was built without Dormouse's manifest")?;
    let workspace = std::str::from_utf8(workspace).map_err(|error| format!("Dormouse's manifest: {error}"))?;
    for (name, contents) in files::FILES {
        let text = || std::str::from_utf8(contents).map_err(|error| format!("{name}: {error}"));
        match *name {
            "Cargo.toml" => {
                let members = ["dormouse", "dormouse-macros", "dormouse-tokio", "native", "tokio", "wasi"];
                write(&dir.join(name), manifest::workspace(text()?, &members)?.as_bytes())?;
            }
            name if name.ends_with("/Cargo.toml") => {
                write(&dir.join(name), manifest::of_ours(text()?, workspace)?.as_bytes())?
            }
            name => write(&dir.join(name), contents)?,
        }
    }
    let mark = format!(
        "`cargo dormouse tokio` has laid this, and `cargo dormouse tokio --undo` takes it away. `upstream` is tokio {} with the changes \
         that are marked there by `target_os = \"wasi\"` and `dormouse`.\n",
        tokio.version
    );
    write(&dir.join(MARK), mark.as_bytes())
}

/// Copies tokio's sources, with their changes. `name` is where we are, seen from `src`.
fn copy(from: &Path, to: &Path, name: &str) -> Result {
    let entries = fs::read_dir(from).map_err(|error| format!("read {}: {error}", from.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| format!("read {}: {error}", from.display()))?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = if name.is_empty() { file.clone() } else { format!("{name}/{file}") };
        if path.is_dir() {
            copy(&path, &to.join(&file), &name)?;
            continue;
        }
        let contents = read(&path)?;
        let changed = match std::str::from_utf8(&contents) {
            Ok(text) => edits::apply(&name, text)?,
            Err(_) => None,
        };
        write(&to.join(&file), changed.as_deref().map_or(&contents[..], str::as_bytes))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("read {}: {error}", path.display()))
}

fn write(path: &Path, contents: &[u8]) -> Result {
    let problem = |error| format!("write {}: {error}", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(problem)?;
    }
    fs::write(path, contents).map_err(problem)
}
