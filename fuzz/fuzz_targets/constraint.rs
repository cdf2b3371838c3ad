//! The bytes are a file, as Go source and as any other: its head says the same however it is read, and each expression in it means the same
//! when it is printed, or written as `// +build` lines, and parsed again.
#![no_main]

use dormouse_goroot::constraint::{Content, Expr, Header, Mistake, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for content in [Content::Go, Content::Other] {
        let header = Header::parse(content, bytes);
        assert_eq!(Header::read(content, bytes).expect("memory can be read"), header);
        // A file is read in pieces: the same, where the head does not end in the first.
        let padded = ["//".as_bytes(), &[b'x'; 4087], b"\n", bytes].concat();
        assert_eq!(Header::read(content, &padded[..]).expect("memory can be read"), Header::parse(content, &padded));
        for line in header.iter().flat_map(|header| header.constraint.lines()) {
            again(&line.expr);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(expr) = parse(&format!("//go:build {}", text.replace('\n', " ")))
    {
        again(&expr);
    }
});

/// The expression as it is printed, and as lines.
fn again(expr: &Expr) {
    let printed = parse(&format!("//go:build {expr}")).expect("what is printed can be parsed");
    let lines: Result<Vec<Expr>, Mistake> =
        expr.plus_build_lines().and_then(|lines| lines.iter().map(|line| parse(line)).collect());
    // Some sets of tags: by the first letter, by the length, by both.
    let sets: [fn(&str) -> bool; 4] = [
        |tag| tag.starts_with(char::is_uppercase),
        |tag| tag.len() % 2 == 0,
        |tag| tag.len() % 3 == 0 || tag.starts_with('a'),
        |_| true,
    ];
    for has in sets {
        let holds = expr.eval(has);
        assert_eq!(printed.eval(has), holds);
        match &lines {
            Ok(lines) => assert_eq!(lines.iter().all(|line| line.eval(has)), holds),
            Err(mistake) => assert_eq!(*mistake, Mistake::TooComplex),
        }
    }
    assert_eq!(printed.go_version(), expr.go_version());
}
