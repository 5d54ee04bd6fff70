//! A seed replays a run byte for byte: nothing in the product may be decided by chance that no seed
//! controls.

use std::path::Path;

use crate::house::{assert_none, files_ending, text};

/// Without `biased`, tokio draws the branch to poll first from a generator that nobody can seed.
#[test]
fn every_select_says_which_branch_comes_first() {
    let mut complaints = Vec::new();
    for path in files_ending(".rs").into_iter().filter(|path| !is_test(path)) {
        let source = text(&path).expect("it was listed a moment ago");
        let shown = path.display();
        complaints.extend(unbiased(&source).into_iter().map(|line| {
            format!("{shown}:{line} selects at random: say `biased;` and put the branches in order")
        }));
    }
    assert_none(&complaints);
}

/// Tokio's `watch` wakes in an order that is drawn from the same generator. It is fit where only one
/// waits.
#[test]
fn nobody_is_woken_in_a_random_order() {
    let one_waits = ["consumer/src/driver/group.rs", "consumer/src/driver/group/task.rs"];
    let excused = |path: &Path| is_test(path) || one_waits.iter().any(|file| path.ends_with(file));
    let mut complaints = Vec::new();
    for path in files_ending(".rs").into_iter().filter(|path| !excused(path)) {
        let source = text(&path).expect("it was listed a moment ago");
        let names = |line: &str| line.starts_with("use tokio::sync::") && line.contains("watch");
        if source.lines().any(names) {
            complaints.push(format!("{}: tokio's `watch` wakes at random", path.display()));
        }
    }
    assert_none(&complaints);
}

#[test]
fn a_select_at_random_is_found_where_it_stands() {
    let source = "fn f() {\n    tokio::select! {\n        a = b => {}\n    }\n}\n";
    assert_eq!(unbiased(source), [2]);
}

#[test]
fn a_biased_select_is_none() {
    assert!(unbiased("tokio::select! {\n    biased;\n    a = b => {}\n}\n").is_empty());
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benchmarks")
}

/// The numbers of the lines where a `select!` begins that is not biased.
fn unbiased(source: &str) -> Vec<usize> {
    let lines: Vec<&str> = source.lines().collect();
    let begins = |line: &str| line.contains("select! {") && !line.trim_start().starts_with("//");
    (1..)
        .zip(&lines)
        .filter(|(number, line)| {
            let next = lines.get(*number).map_or("", |next| next.trim());
            begins(line) && next != "biased;"
        })
        .map(|(number, _)| number)
        .collect()
}
