//! Constraints: what Go's own tests promise of them (go/build/constraint and go/build, their tables re-expressed), and what
//! must hold of any.

mod expr;
mod files;
mod properties;
mod tags;
