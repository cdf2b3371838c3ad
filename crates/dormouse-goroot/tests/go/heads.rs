//! Files that are hardly ever written, made at random of what heads are made of: Go says the same of them, also that they are
//! malformed.

use std::fs;
use std::path::Path;
use std::process::Command;

use dormouse_goroot::Listing;

use crate::files::Tags;
use crate::tool::{both, output};

const FILES: usize = 20_000;

/// What a head may have in it. Most are at home at the start of a line, and some break what is around them.
const PIECES: [&str; 40] = [
    "\n",
    "\n",
    "\n\n",
    "\n\n",
    "\r\n",
    " ",
    "\t",
    ";",
    "\u{a0}",
    "\u{c}",
    "\u{feff}",
    "\0",
    "é",
    "// a comment\n",
    "//",
    "/*",
    "*/",
    "/* c */",
    "/**/",
    "/",
    "//go:build ",
    "//go:build linux\n",
    "//go:build !linux && (arm || cgo)\n",
    "//go:build a ||\n",
    "//go:build\n",
    "// +build linux\n",
    "//+build !linux,arm cgo\n",
    "// +build !!x\n",
    "//go:buildx\n",
    "package p",
    "package p\n",
    "package\n",
    "import \"C\"\n",
    "import (\n\t_ \"x\" // c\n)\n",
    "import `",
    "import",
    "linux",
    "&& ",
    "|| ",
    "func f() {}\n",
];
const NAMES: [&str; 9] =
    [".go", ".go", ".go", ".s", "_linux.c", "_arm.go", "_linux_arm_test.go", "_windows.go", ".syso"];

#[test]
fn heads_at_random_match_as_match_file_says() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("heads");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    let mut random = Random(1);
    for nth in 0..FILES {
        let text: String = (0..random.below(14)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let name = format!("f{nth}{}", NAMES[random.below(NAMES.len())]);
        fs::write(root.join(name), text).unwrap();
    }
    let listing = Listing::of_tree(&root, "").unwrap().with_rules();
    let paths: String = listing.files().map(|(path, _)| format!("{path}\n")).collect();
    let pairs = [("linux", "arm"), ("windows", "arm"), ("wasip1", "wasm")];
    let names = pairs.map(|(os, arch)| format!("{os}/{arch}"));
    for go in both() {
        let oracle = go.build("oracle.go", "heads-oracle");
        let said = output(Command::new(oracle).arg(&root).args(names.clone()), &paths);
        let mut said = said.lines();
        let mut counts = [0, 0, 0];
        for (pair, cgo) in pairs.iter().flat_map(|pair| [(pair, false), (pair, true)]) {
            let tags: Tags = serde_json::from_str(said.next().unwrap()).unwrap();
            let target = tags.target(&(pair.0.to_owned(), pair.1.to_owned()), cgo);
            for ((path, rule), theirs) in listing.files().zip(said.next().unwrap().chars()) {
                let ours = rule.unwrap().matches(&target);
                let letter = ours.as_ref().map_or('e', |matches| if *matches { 'y' } else { 'n' });
                let text = || String::from_utf8(fs::read(root.join(&path)).unwrap()).unwrap();
                let minor = go.minor;
                assert_eq!(
                    letter,
                    theirs,
                    "{path} for {} and Go 1.{minor}, of which we say {ours:?}: {:?}",
                    target.name,
                    text()
                );
                counts[['y', 'n', 'e'].iter().position(|known| *known == letter).unwrap()] += 1;
            }
        }
        let [yes, no, malformed] = counts;
        println!(
            "heads at random, Go 1.{}: {FILES} files, {yes} times yes, {no} times no, {malformed} times malformed",
            go.minor
        );
        assert!(counts.iter().all(|count| *count > FILES / 4), "{counts:?}");
    }
}

/// Xorshift: the same files each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
