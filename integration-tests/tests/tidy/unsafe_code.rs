//! No `unsafe`, anywhere. The compiler's lint holds it in every crate that inherits our lints;
//! these tests see to it that every crate does, and that no cfg hides a line from the lint.

use proc_macro2::{LexError, TokenStream, TokenTree};

use crate::house::{assert_none, files_ending, table, text};

#[test]
fn every_crate_forbids_unsafe_code() {
    let mut complaints = Vec::new();
    for path in files_ending("Cargo.toml") {
        let manifest = table(&path);
        complaints.extend(
            permissions(&manifest).into_iter().map(|what| format!("{}: {what}", path.display())),
        );
    }
    assert_none(&complaints);
}

#[test]
fn no_source_says_unsafe() {
    let mut complaints = Vec::new();
    for path in files_ending(".rs") {
        let source = text(&path).expect("it was listed a moment ago");
        let shown = path.display();
        match lines_with_unsafe(&source) {
            Ok(lines) => complaints.extend(lines.into_iter().map(|line| {
                format!("{shown}:{line} is unsafe: find a crate that has done it safely")
            })),
            Err(error) => complaints.push(format!("{shown} is not Rust: {error}")),
        }
    }
    assert_none(&complaints);
}

#[test]
fn an_unsafe_block_is_found_where_it_stands() {
    let source = "\
fn f() {
    let g = || {
        unsafe { core::hint::unreachable_unchecked() }
    };
}
";
    assert_eq!(lines_with_unsafe(source).expect("it is Rust"), [3]);
}

#[test]
fn an_unsafe_attribute_is_found() {
    assert_eq!(lines_with_unsafe("#[unsafe(no_mangle)]\nfn f() {}").expect("it is Rust"), [1]);
}

#[test]
fn comments_strings_and_longer_words_may_say_unsafe() {
    let source = r##"
//! unsafe
/* unsafe /* unsafe */ */
#![forbid(unsafe_code)]
/// unsafe
const A: &str = r#"unsafe"#;
const B: char = '"';
"##;
    assert!(lines_with_unsafe(source).expect("it is Rust").is_empty());
}

#[test]
fn a_crate_without_our_lints_is_found() {
    assert_eq!(permissions(&toml::toml! { [package] name = "a" }).len(), 1);
    assert_eq!(permissions(&toml::toml! { [workspace] members = ["a"] }).len(), 1);
}

#[test]
fn a_lint_that_can_be_allowed_again_is_not_enough() {
    let manifest = toml::toml! {
        [workspace.lints.rust]
        unsafe_code = "deny"
    };
    assert_eq!(permissions(&manifest).len(), 1);
}

/// What in a manifest leaves room for `unsafe`. One file may be both a workspace and its only
/// package.
fn permissions(manifest: &toml::Table) -> Vec<&'static str> {
    let mut found = Vec::new();
    let workspace = manifest.get("workspace");
    if workspace.is_some_and(|workspace| !forbids(workspace.get("lints"))) {
        found.push("say `unsafe_code = \"forbid\"` under [workspace.lints.rust]");
    }
    let lints = manifest.get("lints");
    let inherits =
        lints.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
    if manifest.contains_key("package") && !inherits {
        found.push("say `workspace = true` under [lints]");
    }
    found
}

fn forbids(lints: Option<&toml::Value>) -> bool {
    let level = lints.and_then(|lints| lints.get("rust")).and_then(|rust| rust.get("unsafe_code"));
    level.and_then(toml::Value::as_str) == Some("forbid")
}

/// The lines, counted from 1, where the keyword stands in code.
fn lines_with_unsafe(source: &str) -> Result<Vec<usize>, LexError> {
    let mut lines = Vec::new();
    let mut streams = vec![source.parse::<TokenStream>()?];
    while let Some(stream) = streams.pop() {
        for token in stream {
            match token {
                TokenTree::Group(group) => streams.push(group.stream()),
                TokenTree::Ident(word) if word == "unsafe" => lines.push(word.span().start().line),
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
    lines.sort_unstable();
    Ok(lines)
}
