//! How much of a file is its head: in Go source everything up to the end of the imports, in any other the comments and the
//! space at its start.

use memchr::{memchr, memmem};

/// The head of a text, as far as the text goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where the head ends.
    pub(super) head: usize,
    /// How far one had to look to know, which is where something that cannot be in a source file matters.
    pub(super) looked: usize,
    /// The part of that in which it matters to Go 1.26 and later: up to where the source is malformed.
    pub(super) well_formed: usize,
    /// What follows the head is known: more of the file would change nothing.
    pub(super) certain: bool,
    /// It is not well formed.
    pub(super) syntax_error: bool,
    /// A byte at which Go does not look: the one after a slash that starts no comment and what follows it.
    pub(super) unseen: Option<usize>,
}

/// The head of Go source. If it is malformed all of the text is the head: the compiler says what is wrong.
pub(super) fn go(text: &[u8]) -> Extent {
    let mut scanner = Scanner { text, at: 0 };
    match scanner.package_and_imports() {
        Ok(()) => scanner.stopped(),
        Err(Malformed { at, in_slash }) => Extent {
            head: text.len(),
            looked: text.len(),
            // The byte that shows it has been looked at, but for the one behind a slash.
            well_formed: if in_slash { at } else { at + 1 }.min(text.len()),
            certain: false,
            syntax_error: true,
            unseen: in_slash.then_some(at),
        },
    }
}

/// The head of another source file.
pub(super) fn comments(text: &[u8]) -> Extent {
    let mut scanner = Scanner { text, at: 0 };
    match scanner.space_and_comments() {
        Ok(()) => scanner.stopped(),
        Err(Malformed { at, .. }) => {
            let looked = at.min(text.len());
            let certain = at < text.len();
            Extent { head: looked, looked, well_formed: looked, certain, syntax_error: true, unseen: None }
        }
    }
}

/// Not well formed, which was found out by looking at everything up to the byte at `at`.
struct Malformed {
    at: usize,
    /// A slash starts no comment there.
    in_slash: bool,
}

type Result = std::result::Result<(), Malformed>;

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn package_and_imports(&mut self) -> Result {
        self.keyword("package")?;
        self.identifier()?;
        loop {
            self.space_and_comments()?;
            if self.peek() != Some(b'i') {
                return Ok(());
            }
            self.keyword("import")?;
            self.space_and_comments()?;
            if self.peek() != Some(b'(') {
                self.import()?;
                continue;
            }
            self.at += 1;
            loop {
                self.space_and_comments()?;
                if self.peek() == Some(b')') {
                    self.at += 1;
                    break;
                }
                self.import()?;
            }
        }
    }

    /// A name, if there is one, and a path.
    fn import(&mut self) -> Result {
        self.space_and_comments()?;
        match self.peek() {
            Some(b'.') => self.at += 1,
            Some(c) if is_identifier(c) => self.identifier()?,
            _ => {}
        }
        self.space_and_comments()?;
        let quote = self.peek();
        self.at += 1;
        match quote {
            Some(b'`') => match memchr(b'`', &self.text[self.at..]) {
                Some(len) => self.at += len + 1,
                None => return Err(Malformed { at: self.text.len(), in_slash: false }),
            },
            Some(b'"') => loop {
                match self.peek() {
                    None | Some(b'\n') => return self.malformed(),
                    Some(b'"') => break self.at += 1,
                    Some(b'\\') => self.at += 2,
                    Some(_) => self.at += 1,
                }
            },
            _ => return Err(Malformed { at: self.at - 1, in_slash: false }),
        }
        Ok(())
    }

    fn keyword(&mut self, word: &str) -> Result {
        self.space_and_comments()?;
        let same = self.text[self.at..].iter().zip(word.as_bytes()).take_while(|(ours, theirs)| ours == theirs).count();
        self.at += same;
        if same < word.len() {
            return self.malformed();
        }
        if self.peek().is_some_and(is_identifier) { self.malformed() } else { Ok(()) }
    }

    fn identifier(&mut self) -> Result {
        self.space_and_comments()?;
        let len = self.text[self.at..].iter().take_while(|&&c| is_identifier(c)).count();
        self.at += len;
        if len == 0 { self.malformed() } else { Ok(()) }
    }

    /// Semicolons are space here: nothing in a head needs them.
    fn space_and_comments(&mut self) -> Result {
        while let Some(c) = self.peek() {
            match c {
                b' ' | b'\t' | b'\r' | b'\n' | 0xc | b';' => self.at += 1,
                b'/' => {
                    let rest = &self.text[self.at..];
                    match rest.get(1) {
                        Some(b'/') => self.at += memchr(b'\n', rest).unwrap_or(rest.len()),
                        Some(b'*') => match memmem::find(&rest[2..], b"*/") {
                            Some(len) => self.at += len + 4,
                            None => return Err(Malformed { at: self.text.len(), in_slash: false }),
                        },
                        Some(_) => return Err(Malformed { at: self.at + 2, in_slash: true }),
                        None => return Err(Malformed { at: self.at + 1, in_slash: true }),
                    }
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// A backslash at the end of the text leads beyond it.
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn malformed(&self) -> Result {
        Err(Malformed { at: self.at, in_slash: false })
    }

    /// At something that is not of the head, or at the end of the text.
    fn stopped(&self) -> Extent {
        let at_end = self.at >= self.text.len();
        let looked = if at_end { self.text.len() } else { self.at + 1 };
        let head = self.at.min(self.text.len());
        Extent { head, looked, well_formed: looked, certain: !at_end, syntax_error: false, unseen: None }
    }
}

fn is_identifier(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head is what precedes the bar, and all of it where there is none.
    fn cut(text: &str, scan: fn(&[u8]) -> Extent) -> (String, Extent) {
        (text.split('|').next().unwrap_or_default().to_owned(), scan(text.replace('|', "").as_bytes()))
    }

    #[test]
    fn the_head_of_go_source_ends_after_its_imports() {
        for text in [
            "package p",
            "package p; import \"x\"",
            "package p; import . \"x\"",
            "package p; import \"x\";|var x = 1",
            "package p\n// comment\nimport \"x\"\nimport _ \"x\"\nimport a \"x\"\n/* comment */\nimport (\n\t\"x\" /* c */\n\
             \t_ \"x\"\n\ta \"x\" // comment\n\t`x`\n\t_ /*comment*/ `x`\n\ta `x`\n)\nimport (\n)\nimport ()\n\
             import()import()import()\nimport();import();import()\n\n|var x = 1\n",
        ] {
            let (head, extent) = cut(text, go);
            assert_eq!((extent.head, extent.syntax_error), (head.len(), false), "{text}");
            assert_eq!(extent.certain, text.contains('|'), "{text}");
        }
    }

    #[test]
    fn the_head_of_another_file_is_its_comments() {
        for text in [
            "|package p",
            "|package p; import \"x\"",
            "// foo\n\n/* bar */\n\n/* quux */ // baz\n\n/*/ zot */\n\n// asdf\n|Hello, world",
            "// to the end",
        ] {
            let (head, extent) = cut(text, comments);
            assert_eq!((extent.head, extent.syntax_error), (head.len(), false), "{text}");
        }
        for (text, looked) in [("/x", 2), ("// a\n/", 6), ("/* never closed", 15)] {
            let extent = comments(text.as_bytes());
            assert_eq!((extent.looked, extent.syntax_error), (looked, true), "{text}");
        }
    }

    #[test]
    fn malformed_go_source_is_head_to_its_end() {
        for text in [
            "package",
            "package p; import",
            "package p; import \"",
            "package p; import ` \n\n",
            "package p; import \"x",
            "package p; import _",
            "package p; import _ \"",
            "package p; import _ \"x",
            "package p; import .",
            "package p; import . \"",
            "package p; import . \"x",
            "package p; import (",
            "package p; import (\"",
            "package p; import (\"x",
            "package p; import (\"x\"",
            "package p; import \"x\\",
        ] {
            let extent = go(text.as_bytes());
            assert_eq!((extent.head, extent.syntax_error, extent.certain), (text.len(), true, false), "{text}");
        }
    }
}
