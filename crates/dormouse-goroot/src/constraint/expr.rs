//! A build constraint as a tree, to be evaluated and printed.

use std::fmt;

/// A boolean expression over build tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A tag: `linux`.
    Tag(String),
    /// `!x`.
    Not(Box<Expr>),
    /// `x && y`.
    And(Box<Expr>, Box<Expr>),
    /// `x || y`.
    Or(Box<Expr>, Box<Expr>),
}

impl Expr {
    /// Makes the expression that is one tag.
    pub fn tag(name: impl Into<String>) -> Self {
        Self::Tag(name.into())
    }

    /// The opposite of this one.
    #[allow(clippy::should_implement_trait, reason = "beside `and` and `or`, which are no operators of Rust either")]
    pub fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// This one and `other`.
    pub fn and(self, other: Self) -> Self {
        Self::And(Box::new(self), Box::new(other))
    }

    /// This one or `other`.
    pub fn or(self, other: Self) -> Self {
        Self::Or(Box::new(self), Box::new(other))
    }

    /// Whether it holds; `has` says of a tag whether it is set. Every tag is asked for, from left to right, also
    /// where the result is known already.
    pub fn eval(&self, mut has: impl FnMut(&str) -> bool) -> bool {
        self.eval_with(&mut has)
    }

    fn eval_with(&self, has: &mut dyn FnMut(&str) -> bool) -> bool {
        match self {
            Self::Tag(tag) => has(tag),
            Self::Not(x) => !x.eval_with(has),
            // Not `&&` and `||`, which may leave out the second.
            Self::And(x, y) => x.eval_with(has) & y.eval_with(has),
            Self::Or(x, y) => x.eval_with(has) | y.eval_with(has),
        }
    }

    /// Its tags, each once, in the order in which they are written.
    pub fn tags(&self) -> Vec<&str> {
        let mut tags = Vec::new();
        self.collect(&mut tags);
        tags
    }

    fn collect<'a>(&'a self, tags: &mut Vec<&'a str>) {
        match self {
            Self::Tag(tag) if tags.contains(&tag.as_str()) => {}
            Self::Tag(tag) => tags.push(tag),
            Self::Not(x) => x.collect(tags),
            Self::And(x, y) | Self::Or(x, y) => {
                x.collect(tags);
                y.collect(tags);
            }
        }
    }

    /// The lowest N such that the expression needs the tag `go1.N`, which is 0 for `go1`; `None` if it can hold without
    /// any. As if each other tag could be set or not, also one that appears with and without `!`.
    ///
    /// ```
    /// # use dormouse_goroot::constraint::parse;
    /// let expr = parse("//go:build (linux && go1.22) || (windows && go1.20)")?;
    /// assert_eq!(expr.go_version(), Some(20));
    /// assert_eq!(parse("//go:build linux || go1.22")?.go_version(), None);
    /// # Ok::<(), dormouse_goroot::constraint::Mistake>(())
    /// ```
    pub fn go_version(&self) -> Option<u32> {
        self.version(true)
    }

    /// The version that this expression needs to be `wanted`. `None` is less than any version.
    fn version(&self, wanted: bool) -> Option<u32> {
        match self {
            // That a tag is not set needs nothing.
            Self::Tag(tag) if wanted => match tag.as_str() {
                "go1" => Some(0),
                tag => tag.split_once("go1.")?.1.parse().ok(),
            },
            Self::Tag(_) => None,
            Self::Not(x) => x.version(!wanted),
            Self::And(x, y) if wanted => x.version(wanted).max(y.version(wanted)),
            Self::Or(x, y) if !wanted => x.version(wanted).max(y.version(wanted)),
            Self::And(x, y) | Self::Or(x, y) => x.version(wanted).min(y.version(wanted)),
        }
    }
}

/// As it is written after `//go:build`. `&&` within `||` is in parentheses as well, as gofmt has it; and so is `!` after `!`,
/// which Go prints without them and then does not parse.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Not(x) => {
                f.write_str("!")?;
                x.operand(f, !matches!(**x, Self::Tag(_)))
            }
            Self::And(x, y) => {
                x.operand(f, matches!(**x, Self::Or(..)))?;
                f.write_str(" && ")?;
                y.operand(f, matches!(**y, Self::Or(..)))
            }
            Self::Or(x, y) => {
                x.operand(f, matches!(**x, Self::And(..)))?;
                f.write_str(" || ")?;
                y.operand(f, matches!(**y, Self::And(..)))
            }
        }
    }
}

impl Expr {
    fn operand(&self, f: &mut fmt::Formatter<'_>, parentheses: bool) -> fmt::Result {
        if !parentheses {
            return fmt::Display::fmt(self, f);
        }
        f.write_str("(")?;
        fmt::Display::fmt(self, f)?;
        f.write_str(")")
    }
}
