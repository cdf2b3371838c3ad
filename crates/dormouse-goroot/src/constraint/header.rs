//! What the head of a file says about the builds that it is for.

use std::fmt;
use std::io::{self, Read};

use memchr::memchr_iter;

use super::scan;
use super::{Content, Expr, is_go_build, is_plus_build, parse};

/// The head of a file, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it asks for.
    pub constraint: Constraint,
    /// It has the line `//go:binary-only-package`.
    pub binary_only: bool,
    /// The line of a NUL byte behind a place where Go source is malformed. Go before 1.26 refuses the file for it, and later
    /// ones do not look.
    pub nul_behind: Option<usize>,
}

/// What a head asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Nothing.
    None,
    /// What the `//go:build` line says. If there is one, `// +build` lines say nothing.
    GoBuild(Line),
    /// All of these `// +build` lines.
    PlusBuild(Vec<Line>),
}

impl Constraint {
    /// All of these must hold.
    pub fn lines(&self) -> &[Line] {
        match self {
            Self::None => &[],
            Self::GoBuild(line) => std::slice::from_ref(line),
            Self::PlusBuild(lines) => lines,
        }
    }
}

/// A line with a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: usize,
    /// Without spaces around it.
    pub text: String,
    /// What it says.
    pub expr: Expr,
}

/// A head from which Go would not tell what the file is for, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Counted from 1.
    pub line: usize,
    /// What is the matter, in Go's words.
    pub what: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Malformed {}

/// In Go's words.
const NUL: &str = "unexpected NUL in input";

/// How much of a file is read at first. The head of nearly every file ends before.
const CHUNK: usize = 4096;

impl Header {
    /// Parses the head of a file whose content is `text`. [`Content::Binary`] says nothing.
    ///
    /// ```
    /// use dormouse_goroot::constraint::{Constraint, Content, Header};
    ///
    /// let header = Header::parse(Content::Go, b"// Copyright\n\n//go:build wasip1\n\npackage net\n")?;
    /// let Constraint::GoBuild(line) = header.constraint else { panic!() };
    /// assert_eq!((line.number, line.text.as_str()), (3, "//go:build wasip1"));
    /// # Ok::<(), dormouse_goroot::constraint::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// A malformed `//go:build` line or several of them, a NUL byte, and in a file that is not Go source a malformed comment.
    /// Malformed Go source is no error, and neither is a malformed `// +build` line, which is passed over.
    pub fn parse(content: Content, text: &[u8]) -> Result<Self, Malformed> {
        Ok(Self::parse_start(content, text, true)?.expect("all of the text is there"))
    }

    /// Reads the head of a file, and no more of the file than it has to.
    ///
    /// # Errors
    /// The outer ones are those of reading, the inner ones as of [`parse`](Self::parse).
    pub fn read(content: Content, mut file: impl Read) -> io::Result<Result<Self, Malformed>> {
        let mut text = Vec::with_capacity(CHUNK);
        if content == Content::Binary {
            return Ok(Self::parse(content, &text));
        }
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut text)?;
        if let Some(header) = Self::parse_start(content, &text, read < CHUNK).transpose() {
            return Ok(header);
        }
        file.read_to_end(&mut text)?;
        Ok(Self::parse(content, &text))
    }

    /// Nothing if it depends on what follows `start`, of which `whole` says that it is nothing.
    fn parse_start(content: Content, start: &[u8], whole: bool) -> Result<Option<Self>, Malformed> {
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        let extent = match content {
            Content::Go => scan::go(text),
            Content::Other => scan::comments(text),
            Content::Binary => return Self::of_head("", None).map(Some),
        };
        if !whole && !extent.certain {
            return Ok(None);
        }
        let line = |at: usize| 1 + memchr_iter(b'\n', &text[..at]).count();
        let malformed = |at: usize, what: &str| Err(Malformed { line: line(at), what: what.to_owned() });
        let mut nuls = memchr_iter(0, &text[..extent.looked]).filter(|at| extent.unseen != Some(*at));
        let nul = nuls.next();
        if let Some(at) = nul.filter(|at| *at < extent.well_formed) {
            return malformed(at, NUL);
        }
        if extent.syntax_error && content == Content::Other {
            return malformed(extent.looked, "syntax error");
        }
        Self::of_head(&String::from_utf8_lossy(&text[..extent.head]), nul.map(line)).map(Some)
    }

    /// What is the matter with the file for a Go before 1.26 alone.
    pub(super) fn malformed_before_1_26(&self) -> Option<Malformed> {
        self.nul_behind.map(|line| Malformed { line, what: NUL.to_owned() })
    }

    fn of_head(head: &str, nul_behind: Option<usize>) -> Result<Self, Malformed> {
        let Lines { go_build, old_end, binary_only } = Lines::of(head)?;
        let constraint = match go_build {
            Some((number, text)) => {
                let malformed =
                    |mistake| Malformed { line: number, what: format!("parsing //go:build line: {mistake}") };
                Constraint::GoBuild(Line { number, text: text.to_owned(), expr: parse(text).map_err(malformed)? })
            }
            None => {
                let lines = (1..).zip(head[..old_end].lines().map(str::trim));
                let lines = lines.filter(|(_, text)| text.contains("+build") && is_plus_build(text));
                let lines = lines.filter_map(|(number, text)| {
                    parse(text).ok().map(|expr| Line { number, text: text.to_owned(), expr })
                });
                let lines: Vec<Line> = lines.collect();
                if lines.is_empty() { Constraint::None } else { Constraint::PlusBuild(lines) }
            }
        };
        Ok(Self { constraint, binary_only, nul_behind })
    }
}

/// What is found in the leading comments of a file.
struct Lines<'a> {
    /// The one `//go:build` line, and its number.
    go_build: Option<(usize, &'a str)>,
    /// Where the last blank line ends before anything but `//` comments: before that `// +build` lines count. So one that is
    /// close to the package clause is its documentation.
    old_end: usize,
    binary_only: bool,
}

impl<'a> Lines<'a> {
    fn of(head: &'a str) -> Result<Self, Malformed> {
        let mut found = Self { go_build: None, old_end: 0, binary_only: false };
        let (mut end, mut only_line_comments, mut in_comment) = (0, true, false);
        for (number, line) in (1..).zip(head.split_inclusive('\n')) {
            end += line.len();
            let line = line.trim();
            if line.is_empty() && only_line_comments {
                found.old_end = end;
                continue;
            }
            only_line_comments &= line.starts_with("//");
            if !in_comment && is_go_build(line) {
                if found.go_build.is_some() {
                    return Err(Malformed { line: number, what: "multiple //go:build comments".to_owned() });
                }
                found.go_build = Some((number, line));
            }
            found.binary_only |= !in_comment && line == "//go:binary-only-package";
            match comments_of(line, in_comment) {
                Some(still_in_comment) => in_comment = still_in_comment,
                None => break,
            }
        }
        Ok(found)
    }
}

/// Whether the line ends in a `/*` comment, given that it starts in one or not; nothing if there is more than comments in it.
fn comments_of(line: &str, mut in_comment: bool) -> Option<bool> {
    let mut rest = line;
    while !rest.is_empty() {
        rest = match in_comment {
            true => match rest.split_once("*/") {
                Some((_, after)) => after.trim(),
                None => return Some(true),
            },
            false if rest.starts_with("//") => return Some(false),
            false => rest.strip_prefix("/*")?.trim(),
        };
        in_comment = !in_comment;
    }
    Some(in_comment)
}
