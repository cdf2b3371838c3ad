//! Values of options: each is read by a function that says in a sentence what is wrong with it.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use dormouse_host::{AddrError, ListenAddr, Restart};

/// A listener to open for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    pub(super) addr: ListenAddr,
    pub(super) name: String,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.addr, self.name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dir {
    pub(super) host: PathBuf,
    pub(super) guest: String,
    pub(super) read_only: bool,
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.read_only { "ro" } else { "rw" };
        write!(f, "{}::{}:{end}", self.host.display(), self.guest)
    }
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Var {
    pub(super) name: String,
    pub(super) value: String,
    /// Its value is the one that it has here.
    is_here: bool,
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_here {
            true => f.write_str(&self.name),
            false => write!(f, "{}={}", self.name, self.value),
        }
    }
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let (addr, name) = text.split_once('=').unwrap_or((text, "unknown"));
    // By the syntax of --allow-listen, which for a component it is.
    let parsed = addr.parse::<ListenAddr>().map_err(|error| error.to_string())?;
    if !parsed.is_one() {
        return Err(format!(
            "`{addr}` is no address to open a listener on: write 127.0.0.1:8080, or 0.0.0.0:8080 or [::]:8080 for all; \
             port 0 is one that the system assigns"
        ));
    }
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err("a listener's name is not empty and has no colon in it: colons separate LISTEN_FDNAMES".to_owned());
    }
    Ok(Listen { addr: parsed, name: name.to_owned() })
}

pub(super) fn dir(text: &str) -> Result<Dir, String> {
    let (names, read_only) = match (text.strip_suffix(":ro"), text.strip_suffix(":rw")) {
        // A guest's name can be `ro`: `/data::ro`.
        (Some(names), _) if !names.ends_with(':') => (names, true),
        (_, Some(names)) if !names.ends_with(':') => (names, false),
        _ => (text, false),
    };
    let (host, guest) = names.split_once("::").unwrap_or((names, names));
    if host.is_empty() || guest.is_empty() {
        return Err("a directory is written HOST::GUEST, and neither name is empty".to_owned());
    }
    if guest.contains("::") {
        return Err(format!(
            "`{text}` has `::` twice; a directory is written HOST::GUEST, or HOST::GUEST:ro to read only"
        ));
    }
    let host = PathBuf::from(host);
    match std::fs::metadata(&host) {
        Ok(found) if found.is_dir() => Ok(Dir { host, guest: guest.to_owned(), read_only }),
        Ok(_) => Err(format!("{} is not a directory", host.display())),
        Err(_) => {
            let one_colon = !text.contains("::") && names.contains(':');
            let hint = if one_colon { "; HOST::GUEST has two colons" } else { "" };
            Err(format!("there is no directory {} that can be opened{hint}", host.display()))
        }
    }
}

/// An address, as the type has it.
pub(super) fn addr<A: FromStr<Err = AddrError>>(text: &str) -> Result<A, String> {
    text.parse().map_err(|error: AddrError| error.to_string())
}

pub(super) fn fuel(text: &str) -> Result<u64, String> {
    count(text).map(|units| units as u64)
}

/// Bytes of a stack. Less than a page of it nothing runs with.
pub(super) fn stack(text: &str) -> Result<usize, String> {
    const LEAST: usize = 4 << 10;
    const MOST: usize = 1 << 30;
    match size(text)? {
        bytes @ LEAST..=MOST => Ok(bytes),
        _ => Err(format!("`{text}` is no size of a stack: write one from 4KiB to 1GiB")),
    }
}

/// Digits, without a sign.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| format!("`{text}` is not a number; write one like 1000"))
}

pub(super) fn metrics(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is no address: write 127.0.0.1:9090, or [::1]:9090"))
}

/// Of nothing there is no rate: it would be for ever.
pub(super) fn rate(text: &str) -> Result<NonZeroU32, String> {
    let number = count(text).ok().and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new);
    number.ok_or_else(|| format!("`{text}` is no number a second; write one like 100"))
}

pub(super) fn percent(text: &str) -> Result<NonZeroU32, String> {
    let percent = text.strip_suffix('%').and_then(|number| rate(number).ok());
    percent.ok_or_else(|| format!("`{text}` is no share of a processor; write 50% for half of one"))
}

pub(super) fn byte_rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = u64::try_from(size(text)?).ok().and_then(NonZeroU64::new);
    bytes.ok_or_else(|| "with no byte a second nothing is ever moved; write a size like 1MiB".to_owned())
}

pub(super) fn instances(text: &str) -> Result<NonZeroUsize, String> {
    if text == "cores" {
        return std::thread::available_parallelism()
            .map_err(|error| format!("how many cores there are is not known: {error}"));
    }
    let number = count(text).ok().and_then(NonZeroUsize::new);
    number.ok_or_else(|| format!("`{text}` is no number of instances; write one like 4, or cores"))
}

pub(super) fn restart(text: &str) -> Result<Restart, String> {
    let times = text.strip_prefix("on-failure:").map(|times| count(times).ok().and_then(|n| u32::try_from(n).ok()));
    match (text, times) {
        ("no", _) => Ok(Restart::NEVER),
        ("on-failure", _) => Ok(Restart::ON_FAILURE),
        (_, Some(Some(times))) => Ok(Restart::on_failure_at_most(times)),
        _ => Err(format!(
            "`{text}` says no when: write no, on-failure, or on-failure:5 for five times in a row at the most"
        )),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let milliseconds: Option<u64> = match &text[digits.len()..] {
        "ms" => Some(1),
        // As timeout(1) and the `wasmtime` command read a number alone.
        "s" | "" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number = count(digits).ok().and_then(|number| u64::try_from(number).ok());
    let duration = milliseconds.zip(number).and_then(|(unit, number)| number.checked_mul(unit));
    match duration {
        Some(0) => Err("a time of nothing would end every program at once; leave it out for the default".to_owned()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err(format!("`{text}` is not a duration: write 30s, 500ms, 5m or 1h")),
    }
}

pub(super) fn env(text: &str) -> Result<Var, String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the name of the variable is missing before `=`".to_owned()),
        None if text.is_empty() => Err("the name of the variable is missing".to_owned()),
        Some((name, value)) => Ok(Var { name: name.to_owned(), value: value.to_owned(), is_here: false }),
        None => match std::env::var(text) {
            Ok(value) => Ok(Var { name: text.to_owned(), value, is_here: true }),
            Err(_) => Err(format!("{text} is not set here (or is not UTF-8); give it a value as {text}=VALUE")),
        },
    }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: Option<usize> = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let size = count(digits).ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    size.ok_or_else(|| "a size is a number of bytes, or a number followed by KiB, MiB or GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_digits_and_times_have_a_unit() {
        assert_eq!(count("020"), Ok(20));
        for text in ["", "+5", "-1", " 5", "5 ", "1e3", "99999999999999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
        for (text, milliseconds) in [("30s", 30_000), ("500ms", 500), ("2", 2000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "0", "0ms", "+1s", "-1s", "1.5s", "1 s", "1d", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_not_0() {
        assert_eq!(percent("50%").map(NonZeroU32::get), Ok(50));
        assert_eq!(rate("100").map(NonZeroU32::get), Ok(100));
        assert_eq!(byte_rate("1MiB").map(NonZeroU64::get), Ok(1 << 20));
        for text in ["", "0", "-1", "50", "0%", "0.5", "5000000000%"] {
            assert!(percent(text).is_err(), "{text}");
        }
        assert!(rate("0").is_err() && byte_rate("0").is_err() && byte_rate("1MB").is_err());
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (text, bytes) in [("0", 0), ("65536", 65536), ("64KiB", 65536), ("3MiB", 3 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "MiB", "1.5GiB", "64 MiB", "64MB", "-1", "+5", "+5MiB", "99999999999999999999", "99999999999999GiB"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_may_have_another_name_in_the_guest() {
        let given = |host: &str, guest: &str, read_only| Ok(Dir { host: host.into(), guest: guest.into(), read_only });
        assert_eq!(dir("/::/data"), given("/", "/data", false));
        assert_eq!(dir("/"), given("/", "/", false));
        assert_eq!(dir("/:ro"), given("/", "/", true));
        assert_eq!(dir("/::/data:ro"), given("/", "/data", true));
        assert_eq!(dir("/::/data:rw"), given("/", "/data", false));
        // Names that look like it.
        assert_eq!(dir("/::ro"), given("/", "ro", false));
        assert_eq!(dir("/::x:ro:rw"), given("/", "x:ro", false));
        for text in ["", "::", "/::", "::x", ":ro", "/::x::ro", "/no/such/directory"] {
            assert!(dir(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_may_have_a_name() {
        let named = |addr: &str, name: &str| Ok(Listen { addr: addr.parse().unwrap(), name: name.to_owned() });
        assert_eq!(listen("127.0.0.1:80=web"), named("127.0.0.1:80", "web"));
        // As systemd calls it.
        assert_eq!(listen("[::1]:0"), named("[::1]:0", "unknown"));
        assert_eq!(listen("localhost:80"), named("localhost:80", "unknown"));
        for text in [
            "",
            "80",
            "*:80",
            "localhost:*",
            "127.0.0.1:*",
            "127.0.0.1:80=",
            "127.0.0.1:80=a:b",
            "127.0.0.1:80=a\nb",
            "127.0.0.1:080",
            "127.0.0.1:+80",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_has_a_name_and_may_have_an_empty_value() {
        let var = |name: &str, value: &str| Ok(Var { name: name.to_owned(), value: value.to_owned(), is_here: false });
        assert_eq!(env("A=b=c"), var("A", "b=c"));
        assert_eq!(env("A="), var("A", ""));
        assert_eq!(env("PATH").unwrap().value, std::env::var("PATH").unwrap());
        assert!(env("=b").is_err());
        assert_eq!(env("").unwrap_err(), "the name of the variable is missing");
        assert!(env("NO_SUCH_VARIABLE_IS_SET").unwrap_err().contains("NO_SUCH_VARIABLE_IS_SET=VALUE"));
    }
}
