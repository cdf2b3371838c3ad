//! The table that is built in, against the list of TinyGo's loader for each release of Go and kind of target.

use dormouse_goroot::{Overrides, Target, Whose};

use crate::support::write;

/// What is TinyGo's whole (`F` in its list), for all releases and targets.
const OVERLAYS: [&str; 25] = [
    "crypto/rand",
    "crypto/tls",
    "crypto/x509/internal/macos",
    "device",
    "examples",
    "internal/abi",
    "internal/binary",
    "internal/bytealg",
    "internal/cm",
    "internal/futex",
    "internal/fuzz",
    "internal/gclayout",
    "internal/hashmap",
    "internal/itoa",
    "internal/poll",
    "internal/reflectlite",
    "internal/task",
    "internal/wasi",
    "machine",
    "net/http",
    "reflect",
    "runtime",
    "tinygo",
    "unique",
    // Not in every version of TinyGo: it counts if it is there.
    "hash/maphash",
];
/// What both have part in (`T`).
const MERGED: [&str; 10] =
    ["", "crypto", "crypto/x509", "crypto/x509/internal", "internal", "net", "os", "sync", "testing", "hash"];

fn expected(minor: u32, needs_syscall: bool) -> Vec<(&'static str, Whose)> {
    let (mut overlays, mut merged) = (OVERLAYS.to_vec(), MERGED.to_vec());
    if minor >= 19 {
        merged.extend(["crypto/internal", "crypto/internal/boring"]);
        overlays.push("crypto/internal/boring/sig");
    }
    if minor >= 26 {
        merged.extend(["crypto/internal/entropy", "unicode"]);
        overlays.extend(["crypto/internal/entropy/v1.0.0", "unicode/utf8"]);
    }
    if needs_syscall {
        merged.extend(["syscall", "internal/syscall"]);
        overlays.push("internal/syscall/unix");
    }
    let overlays = overlays.into_iter().map(|dir| (dir, Whose::Overlay));
    let mut all: Vec<_> = overlays.chain(merged.into_iter().map(|dir| (dir, Whose::Merge))).collect();
    all.sort_by_key(|(dir, _)| *dir);
    all
}

#[test]
fn the_table_is_tinygos_list_for_each_release_and_kind_of_target() {
    let table = Overrides::tinygo();
    for minor in 18..=27 {
        let known = Target::tinygo_names().map(|name| (Target::tinygo(name, minor).unwrap(), true));
        let host = Target::host("linux", "amd64", minor);
        for (target, needs_syscall) in known.chain([(host, false)]) {
            let lines: Vec<_> = table.of(&target).map(|line| (line.dir.as_str(), line.whose)).collect();
            assert_eq!(lines, expected(minor, needs_syscall), "{} with Go 1.{minor}", target.name);
        }
    }
}

#[test]
fn a_tinygo_that_has_syscall_for_macos_uses_it() {
    let darwin = Target::host("darwin", "arm64", 23);
    for (file, expected) in [("syscall_libc_darwin.go", true), ("syscall_libc_wasi.go", false)] {
        let overlay = write("tinygo-darwin", &[(&format!("src/syscall/{file}"), "package syscall")]);
        let table = Overrides::tinygo_of(&overlay);
        assert_eq!(table.of(&darwin).any(|line| line.dir == "syscall"), expected, "{file}");
        let lines = |target: &Target| table.of(target).filter(|line| line.dir == "syscall").count();
        assert_eq!((lines(&Target::tinygo("wasip1", 23).unwrap()), lines(&Target::host("linux", "arm", 23))), (1, 0));
    }
}
