//! What a file's name says: what kind of file it is, and for which system.

use crate::target::{KNOWN_ARCH, KNOWN_OS};

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileName {
    /// Go never builds a file of this name; why not, as the end of a sentence that starts with the name.
    Never(&'static str),
    /// Go may build it.
    Source {
        /// How it is read.
        content: Content,
        /// The system that its name ends in: tags that must all be set, an OS or an architecture or both.
        suffix: Vec<&'static str>,
    },
}

/// How much of a file is its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Go source: everything up to the end of the imports.
    Go,
    /// C, assembly and so on: leading comments.
    Other,
    /// An object file, which is not read.
    Binary,
}

impl FileName {
    /// ```
    /// use dormouse_goroot::constraint::{Content, FileName};
    ///
    /// let suffix = |name| match FileName::of(name) {
    ///     FileName::Source { suffix, .. } => suffix,
    ///     FileName::Never(why) => panic!("{name} {why}"),
    /// };
    /// assert_eq!(suffix("file_linux_arm_test.go"), ["linux", "arm"]);
    /// assert!(suffix("linux.go").is_empty());             // before the first underscore nothing counts
    /// assert!(suffix("file_wasip2.go").is_empty());       // no GOOS that Go knows
    /// assert_eq!(FileName::of("_file.go"), FileName::Never("starts with an underscore"));
    /// ```
    pub fn of(name: &str) -> Self {
        if name.starts_with('_') {
            return Self::Never("starts with an underscore");
        }
        if name.starts_with('.') {
            return Self::Never("starts with a dot");
        }
        let content = match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "go" => Content::Go,
            "c" | "cc" | "cpp" | "cxx" | "m" | "h" | "hh" | "hpp" | "hxx" | "f" | "F" | "for" | "f90" | "s" | "S"
            | "sx" | "swig" | "swigcxx" => Content::Other,
            "syso" => Content::Binary,
            _ => return Self::Never("has no extension of a file that Go builds"),
        };
        Self::Source { content, suffix: suffix(name) }
    }
}

/// The last words of a name: an OS, an architecture, or both in that order.
fn suffix(name: &str) -> Vec<&'static str> {
    let mut words = words(name).into_iter().rev();
    let (last, before) = (words.next(), words.next());
    let find = |table: &[&'static str], word| table.iter().find(|known| Some(**known) == word).copied();
    match find(&KNOWN_ARCH, last) {
        Some(arch) => find(&KNOWN_OS, before).into_iter().chain([arch]).collect(),
        None => find(&KNOWN_OS, last).into_iter().collect(),
    }
}

/// The words of a name that may be a suffix: what lies between underscores, up to the first dot, without the first and
/// without `test` at the end.
pub(crate) fn words(name: &str) -> Vec<&str> {
    let stem = name.split('.').next().unwrap_or_default();
    let mut words: Vec<&str> = stem.split('_').skip(1).collect();
    if words.last() == Some(&"test") {
        words.pop();
    }
    words
}
