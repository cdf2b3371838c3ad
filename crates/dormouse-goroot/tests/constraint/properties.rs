//! What must hold of any expression, for expressions made at random.

use dormouse_goroot::constraint::{Expr, MAX_PLUS_SIZE, Mistake, parse};
use proptest::prelude::*;

const TAGS: [&str; 5] = ["linux", "arm", "go1.2", "αx", "x_1"];

/// `!` only before something that is none: two of them cannot be written.
fn expr() -> impl Strategy<Value = Expr> {
    let tag = (0..TAGS.len(), any::<bool>()).prop_map(|(nth, negated)| {
        let tag = Expr::tag(TAGS[nth]);
        if negated { tag.not() } else { tag }
    });
    tag.prop_recursive(6, 40, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(x, y, negated)| {
                let and = x.and(y);
                if negated { and.not() } else { and }
            }),
            (inner.clone(), inner, any::<bool>()).prop_map(|(x, y, negated)| {
                let or = x.or(y);
                if negated { or.not() } else { or }
            }),
        ]
    })
}

/// The result for each set of tags.
fn truth(exprs: &[Expr]) -> Vec<bool> {
    let sets = 0..1 << TAGS.len();
    let has = |set: u32, tag: &str| TAGS.iter().position(|it| *it == tag).is_some_and(|nth| set & (1 << nth) != 0);
    sets.map(|set| exprs.iter().all(|expr| expr.eval(|tag| has(set, tag)))).collect()
}

proptest! {
    #[test]
    fn what_is_printed_means_the_same(expr in expr()) {
        let again = parse(&format!("//go:build {expr}")).unwrap();
        prop_assert_eq!(truth(std::slice::from_ref(&again)), truth(std::slice::from_ref(&expr)));
        prop_assert_eq!(again.to_string(), expr.to_string());
        prop_assert_eq!(again.go_version(), expr.go_version());
    }

    #[test]
    fn plus_lines_mean_the_same(expr in expr()) {
        let Ok(lines) = expr.plus_build_lines() else { return Ok(()) };
        let again: Result<Vec<Expr>, Mistake> = lines.iter().map(|line| parse(line)).collect();
        match again {
            Ok(again) => prop_assert_eq!(truth(&again), truth(&[expr])),
            Err(mistake) => {
                prop_assert_eq!(mistake, Mistake::TooComplex);
                prop_assert!(lines.iter().any(|line| line.matches([' ', ',']).count() > MAX_PLUS_SIZE));
            }
        }
    }

    #[test]
    fn no_text_panics_and_a_mistake_is_within_the_text(text in "[xy!&|() \t²é~]{0,40}") {
        match parse(&format!("//go:build {text}")) {
            Ok(expr) => {
                let again = parse(&format!("//go:build {expr}"));
                prop_assert!(again.is_ok());
            }
            Err(Mistake::Syntax { offset, .. }) => prop_assert!(text.trim().is_char_boundary(offset)),
            Err(other) => prop_assert_eq!(other, Mistake::NotAConstraint),
        }
        let plus = parse(&format!("// +build {text}"));
        prop_assert!(plus.is_ok());
    }
}
