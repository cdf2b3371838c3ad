//! What all of TinyGo's builds have in common: the tags that its `compileopts` sets, and what it builds for a GOOS and a GOARCH.

use crate::{KNOWN_ARCH, KNOWN_OS, Target};

/// The N of the newest Go 1.N that the newest TinyGo supports, and the table is made for.
pub(crate) const NEWEST: u32 = 27;

/// Tags of every TinyGo build.
const TAGS: [&str; 4] = ["tinygo", "purego", "osusergo", "math_big_pure_go"];

/// What TinyGo has an option for. One of each is chosen, and is a tag: by the option, by the target, or as given here.
const CHOSEN: [(&str, &str); 3] = [("gc", "conservative"), ("scheduler", "none"), ("serial", "none")];

/// Schedulers that run goroutines in parallel. With any other, `tinygo.unicore` is set.
const PARALLEL: [&str; 2] = ["scheduler.threads", "scheduler.cores"];

/// What TinyGo's options `-gc`, `-scheduler` and `-serial` choose, in place of what the target has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The garbage collector: `leaking`, for example.
    pub gc: Option<String>,
    /// The scheduler: `tasks`, for example.
    pub scheduler: Option<String>,
    /// What `println` writes to: `uart`, for example.
    pub serial: Option<String>,
}

/// How TinyGo builds for a system, which has changed: by what its sources have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    /// It has the Boehm collector, and uses it on every system.
    pub(crate) boehm: bool,
    /// It has threads on Linux.
    pub(crate) linux_threads: bool,
    /// It has threads on macOS.
    pub(crate) darwin_threads: bool,
}

impl Age {
    /// The newest TinyGo.
    pub(crate) const NEWEST: Self = Self { boehm: true, linux_threads: true, darwin_threads: true };

    /// The choices for a pair that TinyGo builds for. For others it has none.
    fn choices(self, goos: &str, goarch: &str) -> Option<[&'static str; 2]> {
        let known = ["386", "amd64", "arm", "arm64", "mips", "mipsle"].contains(&goarch);
        let threads = match goos {
            "linux" => self.linux_threads,
            "darwin" => self.darwin_threads,
            "windows" => false,
            _ => return None,
        };
        let gc = if self.boehm { "gc.boehm" } else { "gc.precise" };
        known.then_some([gc, if threads { "scheduler.threads" } else { "scheduler.tasks" }])
    }
}

impl Target {
    /// What TinyGo builds for `goos` and `goarch`, with Go 1.`minor`. It has WebAssembly by [name](Self::tinygo) alone. For a
    /// pair that TinyGo does not build for, it is what it would be without a choice of the target's own.
    ///
    /// ```
    /// use dormouse_goroot::Target;
    ///
    /// let target = Target::host("linux", "amd64", 26);
    /// let tags = ["linux", "amd64", "cgo", "tinygo", "gc.boehm", "scheduler.threads", "serial.none", "go1.26"];
    /// assert!(tags.into_iter().all(|tag| target.has(tag)) && !target.has("tinygo.unicore"));
    /// ```
    pub fn host(goos: &str, goarch: &str, minor: u32) -> Self {
        Self::host_of(Age::NEWEST, goos, goarch, minor)
    }

    /// The same, as a version of TinyGo has it.
    pub(crate) fn host_of(age: Age, goos: &str, goarch: &str, minor: u32) -> Self {
        let choices = age.choices(goos, goarch);
        let tags = [goos, goarch].into_iter().chain(choices.into_iter().flatten());
        Self::new(goos, goarch).with_releases(minor).with_tinygo_tags(tags)
    }

    /// With `tags` and those that every build of TinyGo has. One of each `gc.…`, `scheduler.…` and `serial.…` is chosen, if
    /// `tags` have none.
    #[must_use]
    pub fn with_tinygo_tags<'a>(mut self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        self.tags.extend(tags.into_iter().chain(TAGS).map(str::to_owned));
        for (kind, default) in CHOSEN {
            if !self.tags.iter().any(|tag| is_kind(tag, kind)) {
                self.tags.push(format!("{kind}.{default}"));
            }
        }
        // TinyGo can do it everywhere.
        self.cgo = true;
        self.with_unicore()
    }

    /// With what is chosen in place of what there is of that kind.
    ///
    /// ```
    /// use dormouse_goroot::{Choices, Target};
    ///
    /// let leaking = Choices { gc: Some("leaking".to_owned()), ..Choices::default() };
    /// let target = Target::tinygo("wasip1", 26).unwrap().with_choices(&leaking);
    /// assert!(target.has("gc.leaking") && !target.has("gc.boehm") && target.has("scheduler.asyncify"));
    /// ```
    #[must_use]
    pub fn with_choices(mut self, choices: &Choices) -> Self {
        let Choices { gc, scheduler, serial } = choices;
        for ((kind, _), choice) in CHOSEN.into_iter().zip([gc, scheduler, serial]) {
            if let Some(choice) = choice {
                self.tags.retain(|tag| !is_kind(tag, kind));
                self.tags.push(format!("{kind}.{choice}"));
            }
        }
        self.with_unicore()
    }

    fn with_unicore(mut self) -> Self {
        self.tags.retain(|tag| tag != "tinygo.unicore");
        if !self.tags.iter().any(|tag| PARALLEL.contains(&tag.as_str())) {
            self.tags.push("tinygo.unicore".to_owned());
        }
        self
    }
}

/// Whether a tag is a choice of this kind: `gc.leaking` of `gc`.
fn is_kind(tag: &str, kind: &str) -> bool {
    tag.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a build chooses the tag: a release, or what TinyGo has an option for.
pub(crate) fn is_chosen(tag: &str) -> bool {
    tag.starts_with("go1.") || tag == "tinygo.unicore" || CHOSEN.iter().any(|(kind, _)| is_kind(tag, kind))
}

/// `GOOS/GOARCH`, if Go knows both.
pub(crate) fn pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('/').filter(|(goos, goarch)| KNOWN_OS.contains(goos) && KNOWN_ARCH.contains(goarch))
}

/// Files that TinyGo compiles into every program for a pair, which no build constraint decides.
pub(crate) fn host_files(goos: &str, goarch: &str) -> Vec<String> {
    let arch = match goarch {
        "mips" | "mipsle" => "mipsx",
        other => other,
    };
    // Windows has another calling convention.
    let suffix = if (goos, goarch) == ("windows", "amd64") { "_windows" } else { "" };
    let mut files = vec![
        format!("src/runtime/asm_{arch}{suffix}.S"),
        format!("src/internal/task/task_stack_{arch}{suffix}.S"),
        format!("src/internal/futex/futex_{goos}.c"),
        format!("src/runtime/os_{goos}.c"),
    ];
    let unix = ["src/internal/task/task_threads.c", "src/runtime/runtime_unix.c", "src/runtime/signal.c"];
    let all = ["src/runtime/gc_boehm.c"];
    let own: &[&str] = if goos == "windows" { &["src/runtime/runtime_windows.c"] } else { &unix };
    files.extend(own.iter().chain(&all).map(|file| (*file).to_owned()));
    files
}
