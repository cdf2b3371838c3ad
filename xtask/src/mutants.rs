//! The most tempting bugs, put into a copy of the sources one at a time: each must make the test that is named fail.
//! So the tests are tested, and the sources carry nothing for it.

use std::fs;
use std::path::Path;

use crate::{Result, cargo, root, say, target_dir};

/// A bug: what is replaced by what in one file, and the test of `crates/dormouse/tests/handle` that notices.
struct Mutant {
    bug: &'static str,
    file: &'static str,
    edits: &'static [(&'static str, &'static str)],
    caught_by: &'static str,
}

const TWO_READERS: &str = "orders::every_order_of_six_events_with_two_readers_ends_as_the_model_says";

const MUTANTS: [Mutant; 6] = [
    Mutant {
        bug: "an operation keeps the deadline that it found when it began",
        file: "crates/dormouse/src/reactor/slot.rs",
        edits: &[
            ("    waker: SafeWaker,\n}", "    waker: SafeWaker,\n    until: Option<Instant>,\n}"),
            ("Waiter { id, waker: new }", "Waiter { id, waker: new, until: self.deadline }"),
            (
                "            self.take(wakers);",
                "            wakers.extend(self.list.extract_if(.., |it| it.until == self.deadline).map(|it| it.waker));",
            ),
        ],
        caught_by: TWO_READERS,
    },
    Mutant {
        bug: "closing wakes one of those who are parked",
        file: "crates/dormouse/src/reactor/handle.rs",
        edits: &[(".flat_map(Slot::into_wakers)", ".flat_map(Slot::into_wakers).take(1)")],
        caught_by: TWO_READERS,
    },
    Mutant {
        bug: "a timeout wins over closing",
        file: "crates/dormouse/src/reactor/mod.rs",
        edits: &[(
            "        match inner.slots.remove(key) {",
            "        if slot(&mut inner.slots, key).is_some_and(|slot| slot.side(Side::Read).expired) {
                return None;
            }
            match inner.slots.remove(key) {",
        )],
        caught_by: TWO_READERS,
    },
    Mutant {
        bug: "who is dropped while parked is not disarmed",
        file: "crates/dormouse/src/reactor/mod.rs",
        edits: &[("if waiters.armed && waiters.is_empty() {", "if false {")],
        caught_by: TWO_READERS,
    },
    Mutant {
        bug: "who waits longest loses the place when another goes",
        file: "crates/dormouse/src/reactor/slot.rs",
        edits: &[("self.list.remove(at)", "self.list.swap_remove(at)")],
        caught_by: "cases::who_waits_longest_is_served_first_also_when_one_before_has_gone",
    },
    Mutant {
        bug: "the generation of a key is ignored",
        file: "crates/dormouse/src/base/key.rs",
        edits: &[("if entry.generation == key.generation {", "if key.generation < u32::MAX {")],
        caught_by: "cases::a_deadline_set_on_a_closed_handle_does_not_reach_the_one_that_took_its_place",
    },
];

pub fn run() -> Result {
    say("the tests notice the most tempting bugs");
    let copy = target_dir()?.join("mutants");
    let sources = copy.join("sources");
    let _ = fs::remove_dir_all(&sources);
    copy_dir(root(), &sources, &target_dir()?).map_err(|error| format!("cannot copy the sources: {error}"))?;
    for mutant in &MUTANTS {
        let path = sources.join(mutant.file);
        let read = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut mutated = read.clone();
        for (from, to) in mutant.edits {
            if !mutated.contains(from) {
                return Err(format!(
                    "{:?} is no longer in {}: bring xtask/src/mutants.rs up to date",
                    from, mutant.file
                ));
            }
            mutated = mutated.replace(from, to);
        }
        let write = |text: &str| fs::write(&path, text).map_err(|error| format!("cannot write the mutant: {error}"));
        write(&mutated)?;
        let caught = is_caught(mutant, &sources, &copy.join("target"))?;
        write(&read)?;
        if !caught {
            return Err(format!("no test notices when {}: {} should", mutant.bug, mutant.caught_by));
        }
        println!("noticed: {}", mutant.bug);
    }
    Ok(())
}

/// Whether the test fails, and not something else.
fn is_caught(mutant: &Mutant, sources: &Path, target: &Path) -> Result<bool> {
    let test = ["test", "-p", "dormouse", "--features", "sim", "--test", "handle", "--"];
    let mut command = cargo(&test);
    command.current_dir(sources).arg("--exact").arg(mutant.caught_by);
    command.env("CARGO_TARGET_DIR", target).env("RUSTFLAGS", "-Awarnings").env_remove("RUST_BACKTRACE");
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains(&format!("test {} ... FAILED", mutant.caught_by)) {
        return Ok(true);
    }
    if output.status.success() && said.contains(&format!("test {} ... ok", mutant.caught_by)) {
        return Ok(false);
    }
    Err(format!(
        "the test of the mutant in which {} has not run: {}",
        mutant.bug,
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Copies the sources, and nothing that is built.
fn copy_dir(from: &Path, to: &Path, built: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name == ".git" || entry.path() == built {
            continue;
        }
        let (from, to) = (entry.path(), to.join(name));
        if entry.file_type()?.is_dir() {
            copy_dir(&from, &to, built)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
