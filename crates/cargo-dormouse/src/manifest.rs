//! The manifests of what is laid.

use std::collections::BTreeMap;

use toml_edit::{Array, DocumentMut, Item, Table, Value, value};

use crate::Result;

/// Features of tokio that are tokio's own on WASI, and those of `dormouse-tokio` that stand for the others.
const OF_TOKIO: [&str; 9] =
    ["default", "fs", "io-util", "macros", "rt", "rt-multi-thread", "sync", "test-util", "time"];
const OF_DORMOUSE: [&str; 4] = ["io-std", "net", "process", "signal"];
/// tokio's dependencies on WASI.
const DEPENDENCIES: [&str; 3] = ["bytes", "pin-project-lite", "tokio-macros"];

/// tokio as it is, under another name: cargo wants no two packages of one name and version.
pub(crate) fn native(tokio: &str) -> Result<String> {
    Ok(of_tokio(tokio, "tokio-native")?.to_string())
}

/// tokio as it is on WASI.
pub(crate) fn wasi(tokio: &str) -> Result<String> {
    let mut manifest = of_tokio(tokio, "tokio-wasi")?;
    manifest.remove("target");
    if let Some(features) = manifest.get_mut("features").and_then(Item::as_table_mut) {
        features.retain(|name, _| OF_TOKIO.contains(&name));
    }
    let Some(dependencies) = manifest.get_mut("dependencies").and_then(Item::as_table_mut) else {
        return Err("tokio's manifest has no dependencies".into());
    };
    dependencies.retain(|name, _| DEPENDENCIES.contains(&name));
    dependencies["dormouse"]["path"] = value("../dormouse");
    Ok(manifest.to_string())
}

fn of_tokio(tokio: &str, name: &str) -> Result<DocumentMut> {
    let mut manifest = parse(tokio, "tokio's manifest")?;
    for table in ["test", "bench", "example", "bin", "dev-dependencies", "lib", "lints"] {
        manifest.remove(table);
    }
    if let Some(targets) = manifest.get_mut("target").and_then(Item::as_table_mut) {
        for (_, target) in targets.iter_mut() {
            target.as_table_mut().map(|target| target.remove("dev-dependencies"));
        }
    }
    let package = &mut manifest["package"];
    package["name"] = value(name);
    package["publish"] = value(false);
    package.as_table_mut().map(|package| package.remove("readme"));
    manifest["lib"]["name"] = value("tokio");
    manifest["lib"]["path"] = value("../upstream/src/lib.rs");
    manifest["lib"]["doctest"] = value(false);
    // It is not the user's to mend.
    manifest["lints"]["rust"]["warnings"] = value("allow");
    Ok(manifest)
}

/// A package under its own name, without what is for its tests.
pub(crate) fn socket2(text: &str) -> Result<String> {
    let mut manifest = parse(text, "socket2's manifest")?;
    for table in ["test", "bench", "example", "dev-dependencies", "lints"] {
        manifest.remove(table);
    }
    let package = &mut manifest["package"];
    package["publish"] = value(false);
    package.as_table_mut().map(|package| package.remove("readme"));
    manifest["lints"]["rust"]["warnings"] = value("allow");
    Ok(manifest.to_string())
}

/// What is called `tokio` in the program.
pub(crate) fn facade(version: &str, features: &BTreeMap<String, Vec<String>>) -> String {
    let mut manifest = DocumentMut::new();
    manifest["package"] = table();
    manifest["package"]["name"] = value("tokio");
    manifest["package"]["version"] = value(version);
    manifest["package"]["edition"] = value("2021");
    manifest["package"]["description"] = value("tokio natively, and Dormouse in its place on WASI");
    manifest["package"]["publish"] = value(false);
    manifest["features"] = table();
    for (name, parts) in features {
        let mut all = Array::new();
        if name == "full" {
            // As tokio has it, of the names here: those that are no feature on WASI are left out by themselves.
            parts.iter().filter(|part| features.contains_key(*part)).for_each(|part| all.push(part));
        }
        all.push(format!("native/{name}"));
        if OF_TOKIO.contains(&name.as_str()) || OF_DORMOUSE.contains(&name.as_str()) {
            all.push(format!("wasi/{name}"));
        }
        manifest["features"][name] = Item::Value(Value::Array(all));
    }
    manifest["features"]["p3"] = Item::Value(Value::Array(Array::from_iter(["wasi/p3"])));
    for (of, name, package) in [
        ("cfg(not(target_os = \"wasi\"))", "native", "tokio-native"),
        ("cfg(target_os = \"wasi\")", "wasi", "dormouse-tokio"),
    ] {
        let dir = if name == "native" { "native" } else { package };
        let dependency = &mut manifest["target"][of]["dependencies"][name];
        dependency["package"] = value(package);
        dependency["path"] = value(format!("../{dir}"));
        dependency["default-features"] = value(false);
    }
    manifest.to_string()
}

/// A manifest of ours: without what is for its tests, and with tokio's own below it.
pub(crate) fn of_ours(text: &str, workspace: &str) -> Result<String> {
    let mut manifest = parse(text, "a manifest of Dormouse's")?;
    inherit(&mut manifest, &parse(workspace, "Dormouse's manifest")?)?;
    for table in ["example", "test", "dev-dependencies"] {
        manifest.remove(table);
    }
    if let Some(targets) = manifest.get_mut("target").and_then(Item::as_table_mut) {
        for (_, target) in targets.iter_mut() {
            let Some(target) = target.as_table_mut() else { continue };
            target.remove("dev-dependencies");
            let Some(dependencies) = target.get_mut("dependencies").and_then(Item::as_table_mut) else { continue };
            if dependencies.contains_key("upstream") {
                let mut path = toml_edit::InlineTable::new();
                path.insert("package", "tokio-wasi".into());
                path.insert("path", "../wasi".into());
                path.insert("default-features", false.into());
                dependencies["upstream"] = value(path);
            }
        }
    }
    manifest["lints"] = table();
    manifest["lints"]["rust"]["warnings"] = value("allow");
    // In the program's world it would go round: what is laid depends on Dormouse.
    if let Some(features) = manifest.get_mut("features").and_then(Item::as_table_mut) {
        features.remove("tokio-io");
        features.remove("tokio-rt");
    }
    if let Some(dependencies) = manifest.get_mut("dependencies").and_then(Item::as_table_mut) {
        dependencies.remove("tokio");
    }
    Ok(manifest.to_string())
}

/// Puts in what it has from its workspace: in the program's directory another workspace may be the nearest.
fn inherit(manifest: &mut DocumentMut, workspace: &DocumentMut) -> Result {
    let Some(package) = manifest.get_mut("package").and_then(Item::as_table_mut) else {
        return Err("a manifest of Dormouse's has no package".into());
    };
    for (name, field) in package.iter_mut() {
        if is_inherited(field) {
            *field = workspace["workspace"]["package"][name.get()].clone();
        }
    }
    let mut tables = Vec::new();
    let (mut own, mut targets) = (None, None);
    for (name, item) in manifest.iter_mut() {
        match name.get() {
            "dependencies" => own = item.as_table_mut(),
            "target" => targets = item.as_table_mut(),
            _ => {}
        }
    }
    tables.extend(own);
    for (_, target) in targets.into_iter().flat_map(Table::iter_mut) {
        tables.extend(
            target.as_table_mut().and_then(|target| target.get_mut("dependencies")).and_then(Item::as_table_mut),
        );
    }
    for (name, dependency) in tables.into_iter().flat_map(Table::iter_mut) {
        if is_inherited(dependency) {
            let mut path = toml_edit::InlineTable::new();
            path.insert("path", format!("../{}", name.get()).into());
            *dependency = value(path);
        }
    }
    Ok(())
}

fn is_inherited(item: &Item) -> bool {
    item.as_table_like().is_some_and(|table| table.contains_key("workspace"))
}

fn table() -> Item {
    Item::Table(Table::new())
}

fn parse(text: &str, what: &str) -> Result<DocumentMut> {
    text.parse().map_err(|error| format!("{what}: {error}"))
}
