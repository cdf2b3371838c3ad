//! What a build is for, said in full: nothing is taken from the machine or from a tool chain.

use std::fmt;

/// Every GOOS that a file's name can end in, past, present and future ones.
pub const KNOWN_OS: [&str; 18] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "zos",
];

/// Every GOARCH that a file's name can end in.
pub const KNOWN_ARCH: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Every GOOS for which the tag `unix` is set. It is no suffix of names.
pub const UNIX_OS: [&str; 12] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "linux",
    "netbsd",
    "openbsd",
    "solaris",
];

/// What a build is for: everything that decides whether a tag is set.
///
/// ```
/// use dormouse_goroot::Target;
///
/// let target = Target { cgo: true, ..Target::new("android", "arm64").with_releases(24) };
/// assert!(["android", "linux", "unix", "arm64", "gc", "cgo", "go1.24"].into_iter().all(|tag| target.has(tag)));
/// assert!(!target.has("go1.25") && !target.has("purego"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The target's name.
    pub name: String,
    /// GOOS.
    pub goos: String,
    /// GOARCH.
    pub goarch: String,
    /// `gc` or `gccgo`. TinyGo says `gc`.
    pub compiler: String,
    /// Whether cgo is enabled.
    pub cgo: bool,
    /// Tags that the build sets.
    pub tags: Vec<String>,
    /// Tags that the tool chain sets: `goexperiment.…` and the features of the architecture.
    pub tool_tags: Vec<String>,
    /// `go1.1` to the release there is.
    pub release_tags: Vec<String>,
}

/// Why a tag is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It is the GOOS.
    Goos,
    /// It is an OS that the GOOS is a kind of: linux for android, darwin for ios, solaris for illumos.
    KindOfGoos,
    /// It is `unix` and the GOOS is one.
    Unix,
    /// It is the GOARCH.
    Goarch,
    /// It is the compiler.
    Compiler,
    /// It is `cgo`, which is enabled.
    Cgo,
    /// It is one of the tags.
    Tag,
    /// It is one of the tool chain's tags.
    ToolTag,
    /// It is a release.
    Release,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Goos => "is the target's GOOS",
            Self::KindOfGoos => "is what the target's GOOS is a kind of",
            Self::Unix => "is set, as the target's GOOS is a Unix",
            Self::Goarch => "is the target's GOARCH",
            Self::Compiler => "is the compiler",
            Self::Cgo => "is enabled",
            Self::Tag => "is one of the target's tags",
            Self::ToolTag => "is a tag of the tool chain",
            Self::Release => "is a release that the tool chain includes",
        })
    }
}

impl Target {
    /// A plain target, called `GOOS/GOARCH`: compiler `gc`, no cgo, no tags.
    pub fn new(goos: &str, goarch: &str) -> Self {
        Self {
            name: format!("{goos}/{goarch}"),
            goos: goos.to_owned(),
            goarch: goarch.to_owned(),
            compiler: "gc".to_owned(),
            cgo: false,
            tags: Vec::new(),
            tool_tags: Vec::new(),
            release_tags: Vec::new(),
        }
    }

    /// With the tags of the releases `go1.1` to `go1.minor`.
    #[must_use]
    pub fn with_releases(self, minor: u32) -> Self {
        Self { release_tags: (1..=minor).map(|n| format!("go1.{n}")).collect(), ..self }
    }

    /// Whether a tag is set.
    pub fn has(&self, tag: &str) -> bool {
        self.because(tag).is_some()
    }

    /// Why a tag is set, or nothing if it is not.
    pub fn because(&self, tag: &str) -> Option<Because> {
        let among = |tags: &[String], tag: &str| tags.iter().any(|it| it == tag);
        // The old name of an experiment.
        let listed = if tag == "boringcrypto" { "goexperiment.boringcrypto" } else { tag };
        match tag {
            "cgo" if self.cgo => Some(Because::Cgo),
            _ if tag == self.goos => Some(Because::Goos),
            _ if tag == self.goarch => Some(Because::Goarch),
            _ if tag == self.compiler => Some(Because::Compiler),
            "linux" if self.goos == "android" => Some(Because::KindOfGoos),
            "solaris" if self.goos == "illumos" => Some(Because::KindOfGoos),
            "darwin" if self.goos == "ios" => Some(Because::KindOfGoos),
            "unix" if UNIX_OS.contains(&self.goos.as_str()) => Some(Because::Unix),
            _ if among(&self.tags, listed) => Some(Because::Tag),
            _ if among(&self.tool_tags, listed) => Some(Because::ToolTag),
            _ if among(&self.release_tags, listed) => Some(Because::Release),
            _ => None,
        }
    }
}
