//! Which tags are set, and why: `matchTag` of Go's `build.go`.

use dormouse_goroot::{Because, KNOWN_OS, Target};

#[test]
fn a_tag_is_set_for_one_of_gos_reasons() {
    let target = Target {
        cgo: true,
        tags: vec!["mine".to_owned()],
        tool_tags: vec!["goexperiment.boringcrypto".to_owned()],
        ..Target::new("plan9", "arm").with_releases(21)
    };
    for (tag, because) in [
        ("plan9", Some(Because::Goos)),
        ("arm", Some(Because::Goarch)),
        ("gc", Some(Because::Compiler)),
        ("cgo", Some(Because::Cgo)),
        ("mine", Some(Because::Tag)),
        ("goexperiment.boringcrypto", Some(Because::ToolTag)),
        // The same, by its old name.
        ("boringcrypto", Some(Because::ToolTag)),
        ("go1.1", Some(Because::Release)),
        ("go1.21", Some(Because::Release)),
        ("go1.22", None),
        ("go1.0", None),
        ("gccgo", None),
        ("linux", None),
        ("unix", None),
        ("ignore", None),
        ("", None),
    ] {
        assert_eq!(target.because(tag), because, "{tag}");
    }
    let plain = Target::new("linux", "amd64");
    assert!(!plain.has("cgo") && !plain.has("boringcrypto") && !plain.has("go1.1"));
    // The old name is not a tag of its own.
    assert!(!Target { tags: vec!["boringcrypto".to_owned()], ..plain }.has("boringcrypto"));
}

#[test]
fn some_systems_are_a_kind_of_another() {
    for (kind, of) in [("android", "linux"), ("illumos", "solaris"), ("ios", "darwin")] {
        assert_eq!(Target::new(kind, "arm64").because(of), Some(Because::KindOfGoos), "{kind}");
        assert!(!Target::new(of, "arm64").has(kind), "{of}");
    }
}

#[test]
fn unix_is_every_system_that_is_one() {
    let others = ["js", "nacl", "plan9", "wasip1", "windows", "zos"];
    for os in KNOWN_OS {
        assert_eq!(Target::new(os, "amd64").has("unix"), !others.contains(&os), "{os}");
    }
}
