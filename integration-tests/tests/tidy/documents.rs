//! A page that is too long is not read, and a link that leads nowhere is not forgiven.

use crate::house::{assert_none, files_ending, root, text};

/// Most lines that each page may have.
const PAGES: &[(&str, usize)] =
    &[("README.md", 150), ("CONTRIBUTING.md", 200), ("ARCHITECTURE.md", 300), ("justfile", 59)];

#[test]
fn every_page_is_short_enough_to_be_read() {
    let mut complaints = Vec::new();
    for (page, most) in PAGES {
        let lines = text(page).map_or(0, |text| text.lines().count());
        if lines > *most {
            complaints.push(format!(
                "{page} has {lines} lines, over {most}: say less, or say it where it is used"
            ));
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut complaints = Vec::new();
    for page in files_ending(".md") {
        let text = text(&page).expect("it was listed a moment ago");
        let folder = page.parent().expect("a file lies in a folder");
        for link in relative_links(&text) {
            if !root().join(folder).join(link).exists() {
                complaints
                    .push(format!("{} links to {link}, which does not exist", page.display()));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn links_within_the_repository_are_found() {
    let text =
        "[a](ARCHITECTURE.md#map), [b](https://kafka.apache.org), [c](#d)\n[d]: core/README.md\n";
    assert_eq!(relative_links(text), ["ARCHITECTURE.md", "core/README.md"]);
}

#[test]
fn a_line_that_starts_with_a_link_is_no_definition() {
    assert!(relative_links("[Semantic Versioning][semver]: before 1.0\n").is_empty());
}

#[test]
fn code_is_not_searched_for_links() {
    let text = "`vec[0](x)`\n```rust\nlet y = table[1](x);\n```\n[a](LICENSE-MIT)\n";
    assert_eq!(relative_links(text), ["LICENSE-MIT"]);
}

/// Links that name a file of ours, without their `#fragment`.
fn relative_links(markdown: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        links.extend(definition.and_then(|(_, rest)| rest.strip_prefix(": ")));
        // Every second piece between backticks is code.
        for prose in line.split('`').step_by(2) {
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            links.extend(targets.map(|(target, _)| target));
        }
    }
    links
        .into_iter()
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .map(|link| link.split_once('#').map_or(link, |(file, _)| file))
        .filter(|file| !file.is_empty())
        .collect()
}
