//! Names in a policy, and what the program's lookups of them have given it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// A name as [`canonical`] has it, or `*.` and such a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn parse(text: &str) -> Result<Name, String> {
        let (below, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
        let canonical = canonical(name).filter(|name| {
            name.split('.').all(|label| {
                let ends = |c: char| c == '-';
                !label.is_empty() && label.len() <= 63 && !label.starts_with(ends) && !label.ends_with(ends)
            }) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        });
        let why = || format!("`{text}` is neither an IP address nor a name, like db.internal or *.example.com");
        canonical.map(|name| Name(format!("{below}{name}"))).ok_or_else(why)
    }

    pub(super) fn is_below(&self) -> bool {
        self.0.starts_with("*.")
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that name, or covers it.
    pub(super) fn is(&self, name: &str) -> bool {
        match self.0.strip_prefix('*') {
            // `.example.com`, and something before it.
            Some(end) => name.len() > end.len() && name.ends_with(end),
            None => self.0 == name,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name as names are compared: in small letters, by the letters of DNS, and without the dot at its end. `None` if it is an address, or
/// no name.
pub(super) fn canonical(name: &str) -> Option<String> {
    match url::Host::parse(name.strip_suffix('.').unwrap_or(name)) {
        Ok(url::Host::Domain(name)) if !name.ends_with('.') => Some(name),
        _ => None,
    }
}

/// Which addresses a program's lookups have given it, by the names that it has asked for.
#[derive(Debug, Default)]
pub(super) struct Known {
    names: BTreeMap<IpAddr, BTreeSet<String>>,
    count: usize,
}

impl Known {
    /// Pairs of an address and a name that are kept. Beyond that nothing is learned: a name whose addresses change with each lookup ends here.
    const MOST: usize = 10_000;

    /// `name` is as [`canonical`] has it.
    pub(super) fn learn(&mut self, name: &str, ip: IpAddr) {
        if self.count >= Self::MOST {
            return;
        }
        let names = self.names.entry(ip.to_canonical()).or_default();
        self.count += usize::from(names.insert(name.to_owned()));
    }

    pub(super) fn names_of(&self, ip: IpAddr) -> impl Iterator<Item = &str> {
        self.names.get(&ip.to_canonical()).into_iter().flatten().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_no_name_to_look_up() {
        assert_eq!(canonical("Example.COM."), Some("example.com".to_owned()));
        for text in ["127.0.0.1", "0x7f.1", "[::1]", "", ".", "a..", "a b"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_learned_is_bounded() {
        let mut known = Known::default();
        for n in 0..20_000_u32 {
            known.learn("a", IpAddr::V4(n.into()));
        }
        assert_eq!(known.names.len(), Known::MOST);
    }
}
