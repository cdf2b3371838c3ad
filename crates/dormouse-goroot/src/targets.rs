//! Targets by name: TinyGo's, and GOOS/GOARCH.

use crate::{KNOWN_ARCH, KNOWN_OS, Target};

/// Tags of every TinyGo build.
const TINYGO_TAGS: [&str; 4] = ["tinygo", "purego", "osusergo", "math_big_pure_go"];

/// What TinyGo builds with unless the target or the user says otherwise; tags as well.
const CHOICES: [&str; 3] = ["gc.conservative", "scheduler.asyncify", "serial.none"];

impl Target {
    /// TinyGo's target of that name, with Go 1.`minor`.
    ///
    /// ```
    /// use dormouse_goroot::Target;
    ///
    /// let target = Target::tinygo("wasip2", 24).unwrap();
    /// assert!(["linux", "arm", "wasip2", "tinygo.wasm", "tinygo", "go1.24"].into_iter().all(|tag| target.has(tag)));
    /// assert!(!target.has("wasip1") && !target.has("wasm"));
    /// ```
    pub fn tinygo(name: &str, minor: u32) -> Option<Self> {
        let (_, pair, tags) = tinygo().find(|(known, ..)| *known == name)?;
        let (goos, goarch) = pair.split_once('/')?;
        let tags = tags.split_whitespace();
        Some(Self { name: name.to_owned(), ..Self::new(goos, goarch).with_releases(minor).with_tinygo_tags(tags) })
    }

    /// With `tags` and those that every build of TinyGo has. One of each `gc.…`, `scheduler.…` and `serial.…` is chosen, if
    /// `tags` have none.
    #[must_use]
    pub fn with_tinygo_tags<'a>(mut self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        self.tags.extend(tags.into_iter().chain(TINYGO_TAGS).map(str::to_owned));
        for choice in CHOICES {
            let kind = choice.split('.').next();
            if !self.tags.iter().any(|tag| tag.contains('.') && tag.split('.').next() == kind) {
                self.tags.push(choice.to_owned());
            }
        }
        // TinyGo can do it everywhere.
        self.cgo = true;
        self
    }

    /// The names that [`tinygo`](Self::tinygo) knows.
    pub fn tinygo_names() -> impl Iterator<Item = &'static str> {
        tinygo().map(|(name, ..)| name)
    }

    /// The target `GOOS/GOARCH`, if Go knows both.
    pub fn pair(text: &str, minor: u32) -> Option<Self> {
        let (goos, goarch) = text.split_once('/')?;
        let known = KNOWN_OS.contains(&goos) && KNOWN_ARCH.contains(&goarch);
        known.then(|| Self::new(goos, goarch).with_releases(minor))
    }
}

/// Names, pairs and tags.
fn tinygo() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = include_str!("../data/tinygo.targets").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        let (pair, tags) = rest.trim_start().split_once(' ')?;
        Some((name, pair, tags))
    })
}
