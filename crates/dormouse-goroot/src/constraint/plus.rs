//! `// +build` lines: in a line a space is "or", a comma "and"; several lines are "and".

use super::lex::is_tag;
use super::parse::{after_word, single_line};
use super::{Expr, Mistake};

/// How many commas and spaces a `// +build` line may have between its words.
pub const MAX_PLUS_SIZE: usize = 100;

/// A tag that is never set: what a malformed word stands for.
const IGNORE: &str = "ignore";

/// What follows `+build`. The space before it may be missing.
pub(super) fn plus_build(line: &str) -> Option<&str> {
    after_word(single_line(line)?.strip_prefix("//")?.trim(), "+build")
}

/// Parses what follows `+build`.
pub(super) fn expr(text: &str) -> Result<Expr, Mistake> {
    let mut operators = 0;
    let mut join = |left: Option<Expr>, right: Expr, how: fn(Expr, Expr) -> Expr| match left {
        None => Ok(right),
        Some(_) if operators == MAX_PLUS_SIZE => Err(Mistake::TooComplex),
        Some(left) => {
            operators += 1;
            Ok(how(left, right))
        }
    };
    let mut any = None;
    for clause in text.split_whitespace() {
        let mut all = None;
        for word in clause.split(',') {
            all = Some(join(all, literal(word), Expr::and)?);
        }
        if let Some(all) = all {
            any = Some(join(any, all, Expr::or)?);
        }
    }
    Ok(any.unwrap_or_else(|| Expr::tag(IGNORE)))
}

fn literal(word: &str) -> Expr {
    match word.strip_prefix('!') {
        Some(tag) if tag.is_empty() || tag.starts_with('!') => Expr::tag(IGNORE),
        Some(tag) => literal(tag).not(),
        None if is_tag(word) => Expr::tag(word),
        None => Expr::tag(IGNORE),
    }
}

impl Expr {
    /// The same as `// +build` lines.
    ///
    /// ```
    /// # use dormouse_goroot::constraint::parse;
    /// let expr = parse("//go:build linux && (arm || !cgo)")?;
    /// assert_eq!(expr.plus_build_lines()?, ["// +build linux", "// +build arm !cgo"]);
    /// # Ok::<(), dormouse_goroot::constraint::Mistake>(())
    /// ```
    ///
    /// # Errors
    /// [`Mistake::TooComplex`] if the expression, with `!` brought down to the tags, is not an "and" of "or"s of "and"s: no
    /// other rewriting is tried, as most of it makes the lines much longer.
    pub fn plus_build_lines(&self) -> Result<Vec<String>, Mistake> {
        let literals = self.with_not_at_tags(false);
        let mut lines = Vec::new();
        for or in literals.conjuncts() {
            let mut clauses = Vec::new();
            for and in or.disjuncts() {
                let words: Option<Vec<String>> = and.conjuncts().into_iter().map(Expr::word).collect();
                clauses.push(words.ok_or(Mistake::TooComplex)?.join(","));
            }
            lines.push(clauses);
        }
        // If there is no "or" in it, one line says it.
        if lines.iter().all(|clauses| clauses.len() == 1) {
            lines = vec![vec![lines.concat().join(",")]];
        }
        Ok(lines.into_iter().map(|clauses| format!("// +build {}", clauses.join(" "))).collect())
    }

    /// De Morgan's laws, downwards. The opposite, if `negated`.
    fn with_not_at_tags(&self, negated: bool) -> Self {
        let under = |x: &Self| x.with_not_at_tags(negated);
        match (self, negated) {
            (Self::Tag(_), false) => self.clone(),
            (Self::Tag(_), true) => self.clone().not(),
            (Self::Not(x), _) => x.with_not_at_tags(!negated),
            (Self::And(x, y), false) | (Self::Or(x, y), true) => under(x).and(under(y)),
            (Self::And(x, y), true) | (Self::Or(x, y), false) => under(x).or(under(y)),
        }
    }

    /// What `&&` joins at the top.
    fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(x, y) => [x.conjuncts(), y.conjuncts()].concat(),
            other => vec![other],
        }
    }

    /// What `||` joins at the top.
    fn disjuncts(&self) -> Vec<&Self> {
        match self {
            Self::Or(x, y) => [x.disjuncts(), y.disjuncts()].concat(),
            other => vec![other],
        }
    }

    /// A tag, or `!` and a tag.
    fn word(&self) -> Option<String> {
        match self {
            Self::Tag(tag) => Some(tag.clone()),
            Self::Not(x) => Some(format!("!{}", x.word()?)),
            Self::And(..) | Self::Or(..) => None,
        }
    }
}
