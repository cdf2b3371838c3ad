//! Each file in `golden` is two trees, a table and questions, with the answers. BLESS=1 writes the answers there are now.

use std::fs;
use std::path::Path;

use dormouse_goroot::{Listing, Overrides, Plan, Target};

#[test]
fn plans_are_as_they_are_written_down() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tree/golden");
    let mut count = 0;
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        let written = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
        let answered = answer(&written);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &answered).unwrap();
        } else {
            let hint = "if that is as it should be, run the test with BLESS=1 and look at the difference";
            assert_eq!(answered, written, "{}: {hint}", path.display());
        }
        count += 1;
    }
    assert!(count >= 4, "{count} files");
}

/// The file with its questions answered. A section starts with a line `-- WHAT --`.
fn answer(text: &str) -> String {
    let sections: Vec<(&str, &str)> = text
        .split("-- ")
        .skip(1)
        .map(|section| section.split_once(" --\n").unwrap_or_else(|| panic!("a heading ends in ` --`: {section}")))
        .collect();
    let tree = |which: &str| {
        Listing::of_files(
            sections.iter().filter_map(|(what, text)| Some((what.strip_prefix(which)?.strip_prefix('/')?, *text))),
        )
    };
    let (upstream, overlay) = (tree("upstream"), tree("overlay"));
    let table = sections.iter().find(|(what, _)| *what == "table").map_or("", |(_, text)| text);
    let table = Overrides::parse(Path::new("table"), table).unwrap();
    let plan = |target: &str| {
        let target = Target::tinygo(target, 24).or_else(|| Target::pair(target, 24)).unwrap();
        Plan::new(&upstream, &overlay, &table, &target)
    };
    let answers = sections.iter().map(|(what, text)| {
        let words: Vec<&str> = what.split(' ').collect();
        let answer = match words[..] {
            ["tree", target] => plan(target).map_or_else(|error| format!("{error}\n"), |plan| plan.tree()),
            ["why", target, path] => plan(target).unwrap().why(path).unwrap_or_else(|error| format!("{error}\n")),
            _ => (*text).to_owned(),
        };
        format!("-- {what} --\n{answer}")
    });
    text.split("-- ").next().unwrap().to_owned() + &answers.collect::<String>()
}
