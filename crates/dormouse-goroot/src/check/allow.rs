//! The list of findings that are allowed, so that a check fails of new ones only.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Finding, Kind};
use crate::Error;
use crate::overrides::without_mark;

/// What is allowed. A line is a kind and a path, in which `*` stands for anything but a slash and a slash at the end for
/// everything below; `#` starts a comment.
///
/// ```
/// use std::path::Path;
/// use dormouse_goroot::Allowed;
///
/// let text = "never-used  src/os/deadline_test.go  # its test run sets the tag\nguards-nothing  src/syscall/\n";
/// assert!(Allowed::parse(Path::new("allowed"), text).is_ok());
/// let error = Allowed::parse(Path::new("allowed"), "unused src/os/").unwrap_err().to_string();
/// assert!(error.starts_with("allowed:1: `unused` is no kind of finding: those are malformed, broken-target, "));
/// ```
#[derive(Clone, Debug)]
pub struct Allowed {
    path: PathBuf,
    lines: Vec<(usize, Kind, String)>,
}

impl Allowed {
    /// Reads the list in a file.
    ///
    /// # Errors
    /// It cannot be read, or is malformed.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Parses a list; `path` is for messages.
    ///
    /// # Errors
    /// It is malformed.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut lines = Vec::new();
        for (number, text) in (1..).zip(without_mark(text).lines()) {
            let words: Vec<&str> = text.split('#').next().unwrap_or_default().split_whitespace().collect();
            let mistake = |what: String| Err(Error::Table { path: path.to_owned(), line: number, what });
            match words[..] {
                [] => {}
                [kind, pattern] => match Kind::ALL.into_iter().find(|known| known.name() == kind) {
                    Some(kind) => lines.push((number, kind, pattern.to_owned())),
                    None => {
                        let kinds = Kind::ALL.map(Kind::name).join(", ");
                        return mistake(format!("`{kind}` is no kind of finding: those are {kinds}"));
                    }
                },
                _ => return mistake("a line is a kind of finding and a path".to_owned()),
            }
        }
        Ok(Self { path: path.to_owned(), lines })
    }

    /// Takes out what is allowed, and gives a finding for each line that allows nothing.
    pub(super) fn leave_out(&self, findings: &mut Vec<Finding>) -> Vec<Finding> {
        let mut used = vec![false; self.lines.len()];
        findings.retain(|finding| {
            let mut allowed = false;
            for ((_, kind, pattern), used) in self.lines.iter().zip(&mut used) {
                if *kind == finding.kind && matches(pattern, &finding.path) {
                    (allowed, *used) = (true, true);
                }
            }
            !allowed
        });
        let stale = self.lines.iter().zip(used).filter(|(_, used)| !used).map(|((number, kind, pattern), _)| {
            let path = format!("{}:{number}", self.path.display());
            Finding::new(Kind::AllowsNothing, path, format!("there is no finding {} {pattern}", kind.name()))
        });
        stale.collect()
    }
}

/// Part by part, as a star stands for no slash. A slash at the end is for everything below, and for the directory itself.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, below) = pattern.strip_suffix('/').map_or((pattern, false), |dir| (dir, true));
    let (mut patterns, mut names) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (Some(pattern), Some(name)) if part_matches(pattern, name) => {}
            (None, rest) => return rest.is_some() == below,
            _ => return false,
        }
    }
}

/// Each piece between stars is where it is found first: a later place would leave less for those that follow.
fn part_matches(pattern: &str, name: &str) -> bool {
    let mut pieces: Vec<&str> = pattern.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    let Some((first, middle)) = pieces.split_first() else { return name == last };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    for piece in middle {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_anything_but_a_slash_and_a_slash_at_the_end_is_all_below() {
        for (pattern, path, expected) in [
            ("src/a.go", "src/a.go", true),
            ("src/a.go", "src/a.gob", false),
            ("src/", "src/a/b.go", true),
            ("src/os/", "src/os/", true),
            ("src/os", "src/os/exec.go", false),
            ("src/*/a.go", "src/os/a.go", true),
            ("src/*/a.go", "src/os/exec/a.go", false),
            ("src/*_wasip2.go", "src/éa_wasip2.go", true),
            ("src/*/*.go", "src/os/a.go", true),
            ("src/*/", "src/os/exec/a.go", true),
            ("*", "src", true),
            ("*", "src/os", false),
            ("src/*/", "src/os", false),
            ("src/", "src", false),
            ("src/a*a", "src/a", false),
            ("src/a**a", "src/aa", true),
            ("src/*_b*.go", "src/a_a_b_c.go", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        // This takes no longer for many stars.
        assert!(!matches(&"*a".repeat(60), &format!("{}b", "a".repeat(200))));
    }
}
