//! The promises of Go's `constraint/expr_test.go` and `vers_test.go`.

use std::collections::BTreeSet;

use dormouse_goroot::constraint::{Expr, MAX_PLUS_SIZE, MAX_SIZE, Mistake, parse};

fn tag(name: &str) -> Expr {
    Expr::tag(name)
}

/// Tags x, y, z and so on, of which there are many here.
fn vars<const N: usize>() -> [Expr; N] {
    std::array::from_fn(|nth| tag(["x", "y", "z"][nth]))
}

fn go_build(text: &str) -> Result<Expr, Mistake> {
    parse(&format!("//go:build {text}"))
}

fn plus_build(text: &str) -> Result<Expr, Mistake> {
    parse(&format!("// +build {text}"))
}

#[test]
fn and_and_or_within_one_another_are_printed_in_parentheses() {
    let [abc, def, ghi] = ["abc", "def", "ghi"].map(tag);
    for (expr, printed) in [
        (abc.clone(), "abc"),
        (abc.clone().not(), "!abc"),
        (abc.clone().and(def.clone()).not(), "!(abc && def)"),
        (abc.clone().and(def.clone().or(ghi.clone())), "abc && (def || ghi)"),
        (abc.and(def).or(ghi), "(abc && def) || ghi"),
    ] {
        assert_eq!(expr.to_string(), printed);
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tighter_than_both() {
    let [x, y, z] = vars();
    for (text, expr) in [
        ("x", x.clone()),
        ("x&&y", x.clone().and(y.clone())),
        ("x||y", x.clone().or(y.clone())),
        ("(x)", x.clone()),
        ("x||y&&z", x.clone().or(y.clone().and(z.clone()))),
        ("x&&y||z", x.clone().and(y.clone()).or(z.clone())),
        ("x&&(y||z)", x.clone().and(y.clone().or(z.clone()))),
        ("(x||y)&&z", x.clone().or(y.clone()).and(z.clone())),
        ("!(x&&y)", x.clone().and(y.clone()).not()),
        ("!x&&y", x.not().and(y)),
    ] {
        assert_eq!(go_build(text), Ok(expr), "{text}");
    }
}

#[test]
fn mistakes_have_a_place_and_gos_words() {
    for (text, offset, what) in [
        ("x && ", 4, "unexpected end of expression"),
        ("x && (", 6, "missing close paren"),
        ("x && ||", 5, "unexpected token ||"),
        ("x && !", 6, "unexpected end of expression"),
        ("x && !!", 6, "double negation not allowed"),
        ("x !", 2, "unexpected token !"),
        ("x && (y", 5, "missing close paren"),
        ("x && (y && )", 11, "unexpected token )"),
        ("x y", 2, "unexpected token y"),
        ("", 0, "unexpected end of expression"),
    ] {
        let mistake = go_build(text).unwrap_err();
        assert_eq!(mistake, Mistake::Syntax { offset, what: what.to_owned() }, "{text}");
        assert_eq!(mistake.to_string(), what);
    }
}

#[test]
fn every_tag_is_asked_for_also_when_the_result_is_known() {
    for (text, holds, tags) in [
        ("x", false, &["x"][..]),
        ("x && y", false, &["x", "y"]),
        ("x || y", false, &["x", "y"]),
        ("!x && yes", true, &["x", "yes"]),
        ("yes || y", true, &["y", "yes"]),
    ] {
        let mut asked = BTreeSet::new();
        let held = go_build(text).unwrap().eval(|tag| {
            asked.insert(tag.to_owned());
            tag == "yes"
        });
        assert_eq!((held, asked.iter().map(String::as_str).collect::<Vec<_>>()), (holds, tags.to_vec()), "{text}");
    }
}

#[test]
fn in_a_plus_line_space_is_or_and_comma_is_and() {
    let [x, y, z] = vars();
    let ignore = || tag("ignore");
    for (text, expr) in [
        ("x", x.clone()),
        ("x,y", x.clone().and(y.clone())),
        ("x y", x.clone().or(y.clone())),
        ("x y,z", x.clone().or(y.clone().and(z.clone()))),
        ("x,y z", x.clone().and(y.clone()).or(z.clone())),
        ("x,!y !z", x.clone().and(y.clone().not()).or(z.clone().not())),
        ("!! x", ignore().or(x.clone())),
        ("!!x", ignore()),
        ("!x", x.not()),
        ("!", ignore()),
        ("", ignore()),
        ("x~,y", ignore().and(y)),
        ("!x~", ignore().not()),
    ] {
        assert_eq!(plus_build(text), Ok(expr), "{text}");
    }
}

#[test]
fn a_constraint_is_one_line_that_starts_at_its_start() {
    let [x, y] = vars();
    let ignore = || Ok(tag("ignore"));
    let (and, or) = (|| Ok(x.clone().and(y.clone())), || Ok(x.clone().or(y.clone())));
    let none = || Err(Mistake::NotAConstraint);
    for (line, expected) in [
        ("//+build !", ignore()),
        ("//+build", ignore()),
        ("//+build x y", or()),
        ("// +build x y \n", or()),
        ("// +build x y \n ", none()),
        ("// +build x y \nmore", none()),
        (" //+build x y", none()),
        ("// +buildx y", none()),
        ("//go:build x && y", and()),
        ("//go:build x && y\n", and()),
        ("//go:build x && y\n ", none()),
        ("//go:build x && y\nmore", none()),
        (" //go:build x && y", none()),
        ("// go:build x && y", none()),
        ("//go:buildx", none()),
        ("//go:build\n", Err(Mistake::Syntax { offset: 0, what: "unexpected end of expression".to_owned() })),
    ] {
        assert_eq!(parse(line), expected, "{line:?}");
    }
    assert_eq!(Mistake::NotAConstraint.to_string(), "not a build constraint");
}

#[test]
fn an_expression_becomes_plus_lines_if_it_is_flat_enough() {
    for (text, lines) in [
        ("x", Some(&["x"][..])),
        ("x && !y", Some(&["x,!y"])),
        ("x || y", Some(&["x y"])),
        ("x && (y || z)", Some(&["x", "y z"])),
        ("!(x && y)", Some(&["!x !y"])),
        ("x || (y && z)", Some(&["x y,z"])),
        ("w && (x || (y && z))", Some(&["w", "x y,z"])),
        ("v || (w && (x || (y && z)))", None),
    ] {
        let expected = lines.map(|lines| lines.iter().map(|line| format!("// +build {line}")).collect());
        assert_eq!(go_build(text).unwrap().plus_build_lines(), expected.ok_or(Mistake::TooComplex), "{text}");
    }
}

#[test]
fn an_expression_is_too_large_with_one_operand_more_than_allowed() {
    let text = |n: usize| vec!["a"; n].join(" && ");
    assert!(go_build(&text(MAX_SIZE)).is_ok());
    for text in
        [text(MAX_SIZE + 1), "a || ".repeat(MAX_SIZE + 2), "(a &&".repeat(MAX_SIZE + 2), "(a ||".repeat(MAX_SIZE + 2)]
    {
        assert_eq!(go_build(&text).unwrap_err().to_string(), "build expression too large", "{text}");
    }
    let nested = |n: usize| go_build(&format!("{}a{}", "!(".repeat(n), ")".repeat(n)));
    let deepest = nested(MAX_SIZE - 1).unwrap();
    assert_eq!(deepest.to_string(), format!("{}!a{}", "!(".repeat(MAX_SIZE - 2), ")".repeat(MAX_SIZE - 2)));
    assert!(!deepest.eval(|_| true) && deepest.plus_build_lines().is_ok());
    assert_eq!(nested(100_000).unwrap_err().to_string(), "build expression too large");
}

#[test]
fn a_plus_line_is_too_complex_with_one_operator_more_than_allowed() {
    let text = |n: usize, by: &str| vec!["a"; n].join(by);
    for by in [" ", ","] {
        assert!(plus_build(&text(MAX_PLUS_SIZE + 1, by)).is_ok());
        assert_eq!(plus_build(&text(MAX_PLUS_SIZE + 2, by)), Err(Mistake::TooComplex));
    }
    assert_eq!(Mistake::TooComplex.to_string(), "expression too complex for // +build lines");
}

#[test]
fn the_go_version_is_the_least_that_every_way_to_hold_needs() {
    for (line, version) in [
        ("//go:build linux && go1.60", Some(60)),
        ("//go:build ignore && go1.60", Some(60)),
        ("//go:build ignore || go1.60", None),
        ("//go:build go1.50 || (ignore && go1.60)", Some(50)),
        ("// +build go1.60,linux", Some(60)),
        ("// +build go1.60 linux", None),
        ("//go:build go1.50 && !go1.60", Some(50)),
        ("//go:build !go1.60", None),
        ("//go:build linux && go1.50 || darwin && go1.60", Some(50)),
        ("//go:build linux && go1.50 || !(!darwin || !go1.60)", Some(50)),
        ("//go:build go1", Some(0)),
    ] {
        assert_eq!(parse(line).unwrap().go_version(), version, "{line}");
    }
}
