//! The pages of docs/: the index has every page, and every link leads somewhere.

mod scan;

use scan::{files, none, root};
use std::path::{Path, PathBuf};

/// The pages that people read: those of docs/ and those at the top.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["docs", "tests/loom", "tests/fuzz", "benchmarks"] {
        files(&root().join(folder), "md", &mut pages);
    }
    let top = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(top.filter(|path| path.extension().is_some_and(|is| is == "md")));
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

/// Targets of the links `[text](target)` of a page.
fn links(text: &str) -> Vec<&str> {
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// The headings of a page as the fragments of its address.
fn fragments(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    headings
        .map(|title| title.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

fn is_broken(page: &Path, link: &str) -> bool {
    let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if fragment.is_empty() {
        return !target.exists();
    }
    let text = std::fs::read_to_string(&target).unwrap_or_default();
    !fragments(&text).iter().any(|is| is == fragment)
}

#[test]
fn the_index_has_every_page() {
    let index = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let named: Vec<_> = links(&index).into_iter().map(|link| link.split('#').next().unwrap()).collect();
    let mut pages = Vec::new();
    files(&root().join("docs"), "md", &mut pages);
    let names = pages.iter().map(|page| page.file_name().unwrap().to_str().unwrap().to_owned());
    none(
        names.filter(|name| name != "README.md" && !named.contains(&name.as_str())).collect(),
        "not in docs/README.md",
    );
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://") && is_broken(&page, link)) {
            broken.push(format!("{}: {link}", page.display()));
        }
    }
    none(broken, "links to nowhere");
}
