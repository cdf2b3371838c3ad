//! The table of directories: which tree each one of the merged tree comes from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::constraint::{Expr, parse_expr};
use crate::{Error, Target};

/// The tree that a directory of the merged tree comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Both trees': files are the overlay's if one of them matches, else upstream's; directories are upstream's, unless the
    /// table says otherwise of them.
    Merge,
    /// The overlay's, with everything below.
    Overlay,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Override {
    /// The directory, relative to `src`, without a slash at its end: `net/http`. The root is empty.
    pub dir: String,
    /// The tree it comes from.
    pub whose: Whose,
    /// It counts only if the overlay has the directory.
    pub if_there: bool,
    /// It counts only for targets for which this holds.
    pub condition: Option<Expr>,
    /// The line's number, counted from 1.
    pub line: usize,
}

/// The table. `data/tinygo.overrides` in this crate says how it is written.
///
/// ```
/// use std::path::Path;
/// use dormouse_goroot::{Overrides, Target};
///
/// let table = Overrides::parse(Path::new("my.overrides"), "/ merge\nnet/ merge\nsyscall/ overlay if tinygo.wasm\n")?;
/// let target = Target::new("linux", "arm");
/// let dirs: Vec<&str> = table.of(&target).map(|line| line.dir.as_str()).collect();
/// assert_eq!(dirs, ["", "net"]);
/// # Ok::<(), dormouse_goroot::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Overrides {
    path: PathBuf,
    lines: Vec<Override>,
}

impl Overrides {
    /// TinyGo's table.
    pub fn tinygo() -> Self {
        let text = include_str!("../data/tinygo.overrides");
        Self::parse(Path::new("TinyGo's overrides"), text).expect("the table that is built in is well formed")
    }

    /// TinyGo's, as the version of it has it that the overlay is: those up to 0.33 replace `syscall` on macOS as well, and have
    /// files for that.
    pub fn tinygo_of(overlay: &Path) -> Self {
        let mut table = Self::tinygo();
        if overlay.join("src/syscall/syscall_libc_darwin.go").is_file() {
            let syscall = table.lines.iter_mut().filter(|line| line.dir == "syscall");
            for condition in syscall.filter_map(|line| line.condition.as_mut()) {
                *condition = condition.clone().or(Expr::tag("darwin"));
            }
        }
        table
    }

    /// Reads the table in a file.
    ///
    /// # Errors
    /// It cannot be read, or is malformed.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Parses a table; `path` is for messages.
    ///
    /// # Errors
    /// It is malformed, or has a directory twice.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut lines: Vec<Override> = Vec::new();
        for (number, text) in (1..).zip(without_mark(text).lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let mistake = |what: String| Error::Table { path: path.to_owned(), line: number, what };
            let line = line(number, text).map_err(mistake)?;
            if let Some(first) = lines.iter().find(|other| other.dir == line.dir) {
                return Err(mistake(format!("{}/ is in line {} already", line.dir, first.line)));
            }
            lines.push(line);
        }
        lines.sort_by(|a, b| a.dir.cmp(&b.dir));
        Ok(Self { path: path.to_owned(), lines })
    }

    /// The lines that count for a target, by directory. Of those that depend on what the overlay has nothing is known here.
    pub fn of<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Override> {
        self.lines
            .iter()
            .filter(|line| line.condition.as_ref().is_none_or(|condition| condition.eval(|tag| target.has(tag))))
    }

    /// All lines, by directory.
    pub fn lines(&self) -> impl Iterator<Item = &Override> {
        self.lines.iter()
    }

    /// Where it was read, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with a line.
    pub(crate) fn mistake(&self, line: usize, what: String) -> Error {
        Error::Table { path: self.path.clone(), line, what }
    }
}

impl Override {
    /// The end of a sentence that says that the overlay lacks the directory, if it is a release of Go that asks for it.
    pub(crate) fn since(&self) -> String {
        let tags = self.condition.iter().flat_map(Expr::tags);
        let newest = tags.filter_map(|tag| tag.strip_prefix("go1.")?.parse::<u32>().ok()).max();
        let since = |minor| format!(", which it needs from Go 1.{minor} on: it is made for an older Go than this one");
        newest.map(since).unwrap_or_default()
    }
}

/// Without the mark that editors on Windows put at the start of a text.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn line(number: usize, text: &str) -> Result<Override, String> {
    let mut words = text.split_whitespace();
    let (Some(dir), Some(word)) = (words.next(), words.next()) else {
        return Err("a line is a directory and `merge` or `overlay`".to_owned());
    };
    let (whose, if_there) = match word {
        "merge" => (Whose::Merge, false),
        "merge?" => (Whose::Merge, true),
        "overlay" => (Whose::Overlay, false),
        "overlay?" => (Whose::Overlay, true),
        _ => return Err(format!("a directory is `merge` or `overlay`, not `{word}`")),
    };
    let condition = match words.next() {
        None => None,
        Some("if") => {
            let text = words.collect::<Vec<_>>().join(" ");
            Some(parse_expr(&text).map_err(|mistake| format!("after `if`: {mistake}"))?)
        }
        Some(other) => return Err(format!("what follows is `if` and a build constraint, not `{other}`")),
    };
    let dir = dir.trim_matches('/');
    if dir.split('/').any(|part| part == "." || part == ".." || part.is_empty() && !dir.is_empty())
        || dir.contains('\\')
    {
        return Err(format!("`{dir}` is no directory below src"));
    }
    Ok(Override { dir: dir.to_owned(), whose, if_there, condition, line: number })
}

/// Lines by the directory that they are about, from the root of the trees: `src/net`.
pub(crate) fn by_dir<'a>(lines: impl Iterator<Item = &'a Override>) -> BTreeMap<String, &'a Override> {
    lines.map(|line| (src(&line.dir), line)).collect()
}

/// A directory below `src`, from the root of the tree.
pub(crate) fn src(dir: &str) -> String {
    if dir.is_empty() { "src".to_owned() } else { format!("src/{dir}") }
}
