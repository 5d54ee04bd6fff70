//! Licence expressions, as SPDX writes them and as crates write them.

use std::collections::BTreeSet;

/// Whether an SPDX expression can be satisfied with these licences alone. An expression that is
/// none cannot.
pub(crate) fn accepts(allowed: &BTreeSet<String>, expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().collect::<Vec<_>>();
    words.reverse();
    either(allowed, &mut words) == Some(true) && words.is_empty()
}

fn either(allowed: &BTreeSet<String>, words: &mut Vec<&str>) -> Option<bool> {
    let mut fits = both(allowed, words)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        fits |= both(allowed, words)?;
    }
    Some(fits)
}

fn both(allowed: &BTreeSet<String>, words: &mut Vec<&str>) -> Option<bool> {
    let mut fits = one(allowed, words)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        fits &= one(allowed, words)?;
    }
    Some(fits)
}

fn one(allowed: &BTreeSet<String>, words: &mut Vec<&str>) -> Option<bool> {
    match words.pop()? {
        "(" => {
            let fits = either(allowed, words)?;
            (words.pop()? == ")").then_some(fits)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        licence => {
            let Some(with) = words.pop_if(|word| *word == "WITH") else {
                return Some(allowed.contains(licence));
            };
            Some(allowed.contains(&format!("{licence} {with} {}", words.pop()?)))
        }
    }
}

#[test]
fn either_licence_of_an_or_will_do() {
    check("MIT OR GPL-3.0-only", true);
    check("GPL-3.0-only OR LGPL-2.1-or-later", false);
}

#[test]
fn both_licences_of_an_and_must_do() {
    check("MIT AND ISC", true);
    check("MIT AND GPL-3.0-only", false);
}

#[test]
fn and_binds_tighter_than_or() {
    check("MIT OR GPL-3.0-only AND ISC", true);
    check("(MIT OR GPL-3.0-only) AND OpenSSL", false);
}

#[test]
fn a_slash_is_an_or_of_old() {
    check("MIT/GPL-3.0-only", true);
}

#[test]
fn an_exception_is_part_of_the_licence_it_follows() {
    check("GPL-3.0-only WITH MIT", false);
    check("MIT OR Apache-2.0 WITH LLVM-exception", true);
}

#[test]
fn what_is_no_licence_is_refused() {
    check("", false);
    check("(none)", false);
    check("MIT OR", false);
    check("(MIT", false);
    check("MIT ISC", false);
}

#[track_caller]
fn check(expression: &str, expected: bool) {
    let allowed = ["MIT", "ISC"].map(str::to_owned).into();
    assert_eq!(accepts(&allowed, expression), expected, "{expression:?}");
}
