//! From a line to an expression.

use std::fmt;

use super::lex::Lexer;
use super::{Expr, plus};

/// How many operands an expression after `//go:build` may have. They may all be nested.
pub const MAX_SIZE: usize = 1000;

/// Why a line is no build constraint, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mistake {
    /// The line starts with neither `//go:build` nor `// +build`, or it is more than one line.
    NotAConstraint,
    /// The expression is not well formed.
    Syntax {
        /// Where in the expression, in bytes. The expression is what follows `//go:build`, without spaces around it.
        offset: usize,
        /// What is the matter.
        what: String,
    },
    /// More operators than a `// +build` line can have; or, when lines are written, deeper than they can be.
    TooComplex,
}

impl Mistake {
    pub(super) fn syntax(offset: usize, what: impl Into<String>) -> Self {
        Self::Syntax { offset, what: what.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAConstraint => "not a build constraint",
            Self::Syntax { what, .. } => what,
            Self::TooComplex => "expression too complex for // +build lines",
        })
    }
}

impl std::error::Error for Mistake {}

/// The expression of a line, `//go:build …` or `// +build …`. One newline at its end is fine.
///
/// # Errors
/// A line that is no constraint, or a malformed one. A malformed word in a `// +build` line is none: it stands for the tag
/// `ignore`, which is never set.
pub fn parse(line: &str) -> Result<Expr, Mistake> {
    if let Some(text) = go_build(line) {
        return expr(text);
    }
    plus::plus_build(line).map_or(Err(Mistake::NotAConstraint), plus::expr)
}

/// Whether the line starts as a `//go:build` line does; what follows may be malformed.
pub fn is_go_build(line: &str) -> bool {
    go_build(line).is_some()
}

/// Whether the line starts as a `// +build` line does.
pub fn is_plus_build(line: &str) -> bool {
    plus::plus_build(line).is_some()
}

/// What follows `//go:build`.
fn go_build(line: &str) -> Option<&str> {
    after_word(single_line(line)?, "//go:build")
}

/// The line without the one newline that may end it, or nothing if there are more.
pub(super) fn single_line(text: &str) -> Option<&str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    (!line.contains('\n')).then_some(line)
}

/// What follows the first word, if that is `word`, without spaces around it.
pub(super) fn after_word<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(word)?.trim_end();
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
}

/// Parses what follows `//go:build`. Parentheses within one another are levels in a list, not calls on the stack.
pub(crate) fn expr(text: &str) -> Result<Expr, Mistake> {
    let mut lexer = Lexer::new(text);
    let mut levels = vec![Level::default()];
    for _ in 0..MAX_SIZE {
        // An operand starts here: of the innermost level, which is the last.
        lexer.advance()?;
        let negated = lexer.token == "!";
        if negated {
            lexer.advance()?;
        }
        let innermost = levels.last_mut().expect("the outermost level ends the function");
        innermost.negated = negated;
        let mut operand = match lexer.token {
            tag if lexer.is_tag => Expr::tag(tag),
            "(" => {
                levels.push(Level { open: lexer.offset, ..Level::default() });
                continue;
            }
            "!" if negated => return Err(Mistake::syntax(lexer.offset, "double negation not allowed")),
            "" if levels.len() > 1 => return Err(Mistake::syntax(lexer.offset, UNCLOSED)),
            "" => return Err(Mistake::syntax(lexer.offset, "unexpected end of expression")),
            token => return Err(unexpected(&lexer, token)),
        };
        // And ends here, and with it perhaps the level, which then is an operand of the one around it.
        loop {
            lexer.advance()?;
            let innermost = levels.last_mut().expect("the outermost level ends the function");
            innermost.and(operand);
            match lexer.token {
                "&&" => break,
                "||" => break innermost.or(),
                _ => {}
            }
            let ended = levels.pop().expect("it is the innermost");
            match (lexer.token, levels.is_empty()) {
                ("", true) => return Ok(ended.into_expr()),
                (token, true) => return Err(unexpected(&lexer, token)),
                (")", false) => operand = ended.into_expr(),
                (_, false) => return Err(Mistake::syntax(ended.open, UNCLOSED)),
            }
        }
    }
    Err(Mistake::syntax(lexer.offset, "build expression too large"))
}

const UNCLOSED: &str = "missing close paren";

fn unexpected(lexer: &Lexer<'_>, token: &str) -> Mistake {
    Mistake::syntax(lexer.offset, format!("unexpected token {token}"))
}

/// What is known between two parentheses, or of the whole, so far: `ors || ands && !…`.
#[derive(Default)]
struct Level {
    /// Where it starts.
    open: usize,
    ors: Option<Expr>,
    ands: Option<Expr>,
    /// There is a `!` before the operand that is being read.
    negated: bool,
}

impl Level {
    fn and(&mut self, operand: Expr) {
        let operand = if self.negated { operand.not() } else { operand };
        self.ands = Some(match self.ands.take() {
            Some(left) => left.and(operand),
            None => operand,
        });
    }

    fn or(&mut self) {
        self.ors = match (self.ors.take(), self.ands.take()) {
            (Some(left), Some(right)) => Some(left.or(right)),
            (left, right) => left.or(right),
        };
    }

    fn into_expr(mut self) -> Expr {
        self.or();
        self.ors.expect("a level ends after an operand")
    }
}
