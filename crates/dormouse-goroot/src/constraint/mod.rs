//! Build constraints: the lines `//go:build EXPR` and `// +build …`, what they say, and what a file's name says.
//!
//! This is Go's `go/build/constraint`, with its texts for mistakes and its limits, and of `go/build` the part that decides
//! whether a file belongs to a build.
//!
//! ```
//! use dormouse_goroot::constraint::{Expr, parse};
//!
//! let expr = parse("//go:build linux && !(arm || cgo)")?;
//! assert!(expr.eval(|tag| tag == "linux"));
//! assert_eq!(expr.to_string(), "linux && !(arm || cgo)");
//! assert_eq!(parse("//go:build linux arm").unwrap_err().to_string(), "unexpected token arm");
//! # Ok::<(), dormouse_goroot::constraint::Mistake>(())
//! ```

mod expr;
mod header;
mod lex;
mod name;
mod parse;
mod plus;
mod rule;
mod scan;

pub use expr::Expr;
pub use header::{Constraint, Header, Line, Malformed};
pub(crate) use name::words;
pub use name::{Content, FileName};
pub(crate) use parse::expr as parse_expr;
pub use parse::{MAX_SIZE, Mistake, is_go_build, is_plus_build, parse};
pub use plus::MAX_PLUS_SIZE;
pub use rule::{Rule, Trouble, Verdict};
