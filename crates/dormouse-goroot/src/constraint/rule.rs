//! All that decides whether a file belongs to a build: its name, and its head if the name leaves it open.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Constraint, Content, Expr, FileName, Header, Line, Malformed};
use crate::Target;

/// What a file asks for, of any target. This is `go/build`'s `Context.MatchFile`.
///
/// ```
/// use dormouse_goroot::{Target, constraint::Rule};
///
/// let rule = Rule::of("poll_wasip2.go", b"//go:build wasip2\n\npackage poll\n");
/// let target = Target { tags: vec!["wasip2".into()], ..Target::new("linux", "arm") };
/// assert!(rule.matches(&target)?);
/// assert!(!rule.matches(&Target::new("wasip1", "wasm"))?);
/// # Ok::<(), dormouse_goroot::constraint::Trouble>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    name: FileName,
    head: Result<Header, Trouble>,
}

/// Why it is not known what a file is for. It matters only for targets that the name does not rule out.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It cannot be read.
    Unreadable(Arc<io::Error>),
    /// It can, but is malformed.
    Malformed(Malformed),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

impl std::error::Error for Trouble {}

/// Whether a file belongs to a build, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It does.
    pub matches: bool,
    /// The end of a sentence that starts with the file.
    pub because: String,
}

impl Rule {
    /// Makes the rule of a file with this name and content.
    pub fn of(name: &str, text: &[u8]) -> Self {
        Self::with(name, |content| Ok(Header::parse(content, text)))
    }

    /// Makes the rule of the file at `path`. An error is kept, and is returned for each target that the name does not rule out.
    pub fn read(path: &Path) -> Self {
        // A name that is not UTF-8 has no suffix of Go's, in which it is replaced.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::with(&name, |content| match content {
            Content::Binary => Ok(Header::parse(content, b"")),
            // Not a pipe, to which nothing may be written, and not a device, which may have no end.
            Content::Go | Content::Other => match fs::metadata(path)?.file_type() {
                kind if kind.is_file() => Header::read(content, File::open(path)?),
                kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
                _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
            },
        })
    }

    fn with(name: &str, head: impl FnOnce(Content) -> io::Result<Result<Header, Malformed>>) -> Self {
        let name = FileName::of(name);
        let head = match name {
            FileName::Never(_) => Ok(Header { constraint: Constraint::None, binary_only: false, nul_behind: None }),
            FileName::Source { content, .. } => match head(content) {
                Ok(parsed) => parsed.map_err(Trouble::Malformed),
                Err(error) => Err(Trouble::Unreadable(Arc::new(error))),
            },
        };
        Self { name, head }
    }

    /// Whether the file belongs to a build for `target`.
    ///
    /// # Errors
    /// What is the matter with the file, if its name does not rule it out.
    pub fn matches(&self, target: &Target) -> Result<bool, Trouble> {
        let FileName::Source { suffix, .. } = &self.name else { return Ok(false) };
        if !suffix.iter().all(|tag| target.has(tag)) {
            return Ok(false);
        }
        if let Some(trouble) = self.trouble(target) {
            return Err(trouble);
        }
        let Ok(header) = &self.head else { return Ok(false) };
        Ok(header.constraint.lines().iter().all(|line| line.holds(target)))
    }

    /// The same, and why.
    ///
    /// # Errors
    /// The same.
    pub fn verdict(&self, target: &Target) -> Result<Verdict, Trouble> {
        let matches = self.matches(target)?;
        Ok(Verdict { matches, because: self.because(target, matches) })
    }

    fn because(&self, target: &Target, matches: bool) -> String {
        let suffix = match &self.name {
            FileName::Never(why) => return (*why).to_owned(),
            FileName::Source { suffix, .. } => suffix,
        };
        let suffix_text = suffix.join("_");
        if let Some(missing) = suffix.iter().find(|tag| !target.has(tag)) {
            return format!("has a name that ends in _{suffix_text}, and {missing} is not set");
        }
        let lines = self.lines();
        // What decided: all of them, or the first that does not hold.
        let deciding =
            lines.iter().filter(|line| matches || !line.holds(target)).take(if matches { lines.len() } else { 1 });
        let mut parts: Vec<String> = deciding.map(|line| line.explain(target)).collect();
        match (&parts[..], &suffix[..]) {
            ([], []) => return "asks for nothing".to_owned(),
            (_, []) => {}
            (_, suffix) => {
                let tags: Vec<String> = suffix.iter().map(|tag| explain_tag(tag, target)).collect();
                parts.insert(0, format!("has a name that ends in _{suffix_text} ({})", tags.join(", ")));
            }
        }
        parts.join(" and ")
    }

    /// Every tag that it asks for, in its name or in its head.
    pub fn tags(&self) -> Vec<&str> {
        let suffix: &[&str] = match &self.name {
            FileName::Source { suffix, .. } => suffix,
            FileName::Never(_) => &[],
        };
        suffix.iter().copied().chain(self.exprs().flat_map(Expr::tags)).collect()
    }

    /// What its head asks for; all of it must hold.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.lines().iter().map(|line| &line.expr)
    }

    fn lines(&self) -> &[Line] {
        self.head.as_ref().map_or(&[], |header| header.constraint.lines())
    }

    /// What its name says.
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// What is the matter with it, to the Go that the target has: Go 1.26 and later mind less than the ones before.
    pub fn trouble(&self, target: &Target) -> Option<Trouble> {
        match &self.head {
            Ok(_) if target.has("go1.26") => None,
            Ok(header) => header.malformed_before_1_26().map(Trouble::Malformed),
            Err(trouble) => Some(trouble.clone()),
        }
    }
}

impl Line {
    fn holds(&self, target: &Target) -> bool {
        self.expr.eval(|tag| target.has(tag))
    }

    fn explain(&self, target: &Target) -> String {
        let Self { number, text, expr } = self;
        let tags: Vec<String> = expr.tags().into_iter().map(|tag| explain_tag(tag, target)).collect();
        let holds = if self.holds(target) { "holds" } else { "does not hold" };
        format!("says `{text}` in line {number}, which {holds}: {}", tags.join(", "))
    }
}

fn explain_tag(tag: &str, target: &Target) -> String {
    match target.because(tag) {
        Some(because) => format!("{tag} {because}"),
        None => format!("{tag} is not set"),
    }
}
