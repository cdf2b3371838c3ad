//! The words of an expression.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::Mistake;

/// Reads an expression word by word. The word that was read last is [`token`](Self::token).
pub(super) struct Lexer<'a> {
    text: &'a str,
    next: usize,
    /// Empty at the end of the text.
    pub(super) token: &'a str,
    pub(super) is_tag: bool,
    /// Where the token starts.
    pub(super) offset: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, next: 0, token: "", is_tag: false, offset: 0 }
    }

    /// Goes to the next word.
    pub(super) fn advance(&mut self) -> Result<(), Mistake> {
        let rest = self.text[self.next..].trim_start_matches([' ', '\t']);
        self.offset = self.text.len() - rest.len();
        let tag = rest.len() - rest.trim_start_matches(is_tag_char).len();
        self.is_tag = tag > 0;
        let len = match rest.as_bytes() {
            [] => 0,
            [b'(' | b')' | b'!', ..] => 1,
            [b'&', b'&', ..] | [b'|', b'|', ..] => 2,
            _ if self.is_tag => tag,
            _ => {
                let what = rest.chars().next().unwrap_or_default();
                return Err(Mistake::syntax(self.offset, format!("invalid syntax at {what}")));
            }
        };
        self.token = &rest[..len];
        self.next = self.offset + len;
        Ok(())
    }
}

/// Whether a word can be a tag: letters, digits, underscores and dots, and all of them may be digits (`386`).
pub(super) fn is_tag(word: &str) -> bool {
    !word.is_empty() && word.chars().all(is_tag_char)
}

fn is_tag_char(c: char) -> bool {
    match c {
        '_' | '.' => true,
        _ if c.is_ascii() => c.is_ascii_alphanumeric(),
        // Go's letters and digits: std's would let `²` in, and marks that are joined to a letter.
        _ => {
            c.general_category_group() == GeneralCategoryGroup::Letter
                || c.general_category() == GeneralCategory::DecimalNumber
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All words, and the mistake that ends them, if one does.
    fn words(text: &str) -> String {
        let mut lexer = Lexer::new(text);
        let mut words = Vec::new();
        loop {
            match lexer.advance() {
                Ok(()) if lexer.token.is_empty() => return words.join(" "),
                Ok(()) => words.push(lexer.token.to_owned()),
                Err(mistake) => {
                    words.push(format!("err: {mistake}"));
                    return words.join(" ");
                }
            }
        }
    }

    #[test]
    fn a_text_is_taken_apart_as_go_does() {
        for (text, expected) in [
            ("", ""),
            ("x", "x"),
            ("x.y", "x.y"),
            ("x_y", "x_y"),
            ("αx", "αx"),
            ("αx²", "αx err: invalid syntax at ²"),
            ("go1.2", "go1.2"),
            ("x y", "x y"),
            ("x!y", "x ! y"),
            ("&&||!()xy yx ", "&& || ! ( ) xy yx"),
            ("x~", "x err: invalid syntax at ~"),
            ("x ~", "x err: invalid syntax at ~"),
            ("x &", "x err: invalid syntax at &"),
            ("x-y", "x err: invalid syntax at -"),
            ("x &y", "x err: invalid syntax at &"),
            // And of ours: another kind of space is none, U+0661 is a digit, a combining accent is no letter.
            ("x\u{a0}y", "x err: invalid syntax at \u{a0}"),
            ("x\u{661}", "x\u{661}"),
            ("e\u{301}", "e err: invalid syntax at \u{301}"),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }
}
