//! Trees with links, seen by real Go: the tree that is made, and the list of replacements, mean the same packages.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use dormouse_goroot::{Link, Overrides, Plan, Target};
use serde::Deserialize;

use crate::tool::{Go, both, output};

const TABLE: &str = "
/           merge
dormouse/   overlay
html/       merge
";

/// Files, and links from what is named second to what is named first.
const FILES: [(&str, &str); 7] = [
    ("overlay/src/html/html.go", "package html\n\nimport _ \"embed\"\n\n//go:embed data.txt\nvar data string\n"),
    ("overlay/src/html/data.txt", "data"),
    ("overlay/src/html/html_windows.go", "package html\n"),
    ("real/dormouse/dormouse.go", "package dormouse\n\nimport _ \"embed\"\n\n//go:embed data/*\nvar data string\n"),
    ("real/dormouse/data/data.txt", "data"),
    ("real/sub/sub.go", "package sub\n"),
    ("real/file.go", "package dormouse\n"),
];
const LINKS: [(&str, &str); 3] = [
    ("real/dormouse", "overlay/src/dormouse"),
    ("real/sub", "real/dormouse/sub"),
    ("real/file.go", "real/dormouse/file.go"),
];

fn place(go: &Go) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("go-links-1.{}", go.minor));
    let _ = fs::remove_dir_all(&root);
    for (path, text) in FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for (to, path) in LINKS {
        symlink(root.join(to), root.join(path)).unwrap();
    }
    root
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
struct Package {
    import_path: String,
    go_files: Vec<String>,
    embed_files: Vec<String>,
    invalid_go_files: Vec<String>,
    error: Option<serde_json::Value>,
}

/// Packages as `go list` has them.
fn list(go: &Go, change: impl FnOnce(&mut Command) -> &mut Command) -> BTreeMap<String, Package> {
    let mut command = go.command();
    command.args(["list", "-e", "-json=ImportPath,GoFiles,EmbedFiles,InvalidGoFiles,Error"]);
    change(command.env("GOOS", "wasip1").env("GOARCH", "wasm"));
    let json = output(command.args(["html", "html/template", "dormouse", "dormouse/sub", "net/url"]), "");
    let packages = serde_json::Deserializer::from_str(&json).into_iter::<Package>().map(Result::unwrap);
    packages.map(|package| (package.import_path.clone(), package)).collect()
}

#[test]
fn go_sees_the_same_packages_in_the_tree_and_in_the_replacements() {
    for go in both() {
        let root = place(go);
        let plan = |goroot: &Path| {
            let table = Overrides::parse(Path::new("table"), TABLE).unwrap();
            let target = Target::new("wasip1", "wasm").with_releases(go.minor);
            Plan::read(goroot, &root.join("overlay"), &table, &target).unwrap()
        };
        let in_tree = |tree: &Path| list(go, |command| command.env("GOROOT", tree));
        let tree = plan(&go.root()).apply(&root.join("cache"), Link::Symbolic).unwrap().path;
        let packages = in_tree(&tree);
        let files = |name: &str| (packages[name].go_files.clone(), packages[name].embed_files.clone());
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(files("html"), (named(&["html.go"]), named(&["data.txt"])), "Go 1.{}", go.minor);
        assert_eq!(files("dormouse"), (named(&["dormouse.go", "file.go"]), named(&["data/data.txt"])));
        assert_eq!(files("dormouse/sub"), (named(&["sub.go"]), Vec::new()));
        assert_eq!(packages["html"].error, None);

        let replacements = root.join("overlay.json");
        let replaced = |goroot: &Path| {
            fs::write(&replacements, plan(goroot).go_overlay().unwrap()).unwrap();
            list(go, |command| command.env("GOROOT", goroot).arg("-overlay").arg(&replacements))
        };
        assert_eq!(replaced(&go.root()), packages, "Go 1.{}", go.minor);

        // A GOROOT of links is one as well: the tree itself, merged with the same overlay again.
        let again = plan(&tree).apply(&root.join("cache"), Link::Symbolic).unwrap().path;
        assert_ne!(again, tree);
        // As in TinyGo, a link to a directory counts as a file: where the overlay claims html, template goes with its files.
        let but_one = |mut packages: BTreeMap<String, Package>| {
            packages.remove("html/template").map(|it| (it.error.is_some(), packages))
        };
        let (_, expected) = but_one(packages).unwrap();
        assert_eq!(but_one(in_tree(&again)).unwrap(), (true, expected.clone()));
        assert_eq!(but_one(replaced(&tree)).unwrap(), (true, expected));
    }
}
