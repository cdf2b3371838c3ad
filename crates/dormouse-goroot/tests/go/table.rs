//! TinyGo's table against the trees of real Go: what it merges is there.

use dormouse_goroot::{Overrides, Target, Whose};

use crate::tool::both;

#[test]
fn every_directory_that_tinygos_table_merges_is_in_the_go_tree_of_its_release() {
    for go in both() {
        let src = go.root().join("src");
        let targets = [Target::tinygo("wasip1", go.minor).unwrap(), Target::host("linux", "amd64", go.minor)];
        let mut merged = 0;
        for target in &targets {
            for line in Overrides::tinygo().of(target).filter(|line| line.whose == Whose::Merge) {
                merged += 1;
                assert!(src.join(&line.dir).is_dir(), "Go 1.{} has no {}, line {}", go.minor, line.dir, line.line);
            }
        }
        assert!(merged > 20, "{merged}");
    }
}
