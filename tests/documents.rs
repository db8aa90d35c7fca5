//! The documents, checked by reading them: every relative link leads to a file and a heading that are there, and every
//! path of this repository that a page names exists.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

/// Folders with generated pages, or with nothing of ours.
const NOT_READ: &[&str] = &["target", ".git"];

/// Folders whose names begin a path of this repository, wherever a page names one.
const FOLDERS: &str = r"core|src|docs|tests|benches|scripts|reports|\.ci";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown page of the repository, relative to its root.
fn pages() -> Vec<PathBuf> {
    fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap();
            if path.is_dir() && !NOT_READ.contains(&name.as_str()) {
                collect(&path, pages);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    let mut pages = Vec::new();
    collect(root(), &mut pages);
    pages.sort();
    pages
}

/// A page's lines with their numbers; those inside fenced blocks are empty, as nothing in them is a link or a heading.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let lines = text.lines().enumerate().map(|(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (index + 1, if fenced || fence { "" } else { line })
    });
    lines.collect()
}

/// The anchors of a page's headings, as forges make them: lower case, no punctuation, hyphens for spaces.
fn anchors(text: &str) -> BTreeSet<String> {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    let anchor = |heading: &str| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    let headings = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| anchor(line.trim_start_matches('#').trim())).collect()
}

/// `path` without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts
}

/// What is wrong with `target`, which a link on `page` names.
fn broken(page: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_path_buf() } else { normal(&page.parent().unwrap().join(file)) };
    if !root().join(&path).exists() {
        return Some(format!("there is no {}", path.display()));
    }
    let anchor = anchor.filter(|_| path.extension().is_some_and(|extension| extension == "md"))?;
    let text = std::fs::read_to_string(root().join(&path)).unwrap();
    (!anchors(&text).contains(anchor)).then(|| format!("{} has no heading for #{anchor}", path.display()))
}

#[test]
fn anchors_are_made_as_forges_make_them() {
    let text = "# One, two: `three`\n```sh\n# no heading\n```\n## Journey 4: a new chart\n";
    assert_eq!(anchors(text), ["journey-4-a-new-chart", "one-two-three"].map(String::from).into());
}

#[test]
fn every_relative_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut complaints = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page)).unwrap();
        for (line, prose) in prose(&text) {
            for target in link.captures_iter(prose).map(|captures| captures.get(1).unwrap().as_str()) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                seen += 1;
                let complaint = broken(&page, target).map(|why| format!("{}:{line}: {target}: {why}", page.display()));
                complaints.extend(complaint);
            }
        }
    }
    assert!(seen > 50, "only {seen} links found: the pages or the expression have changed");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Also in code and in pictures made of text: a path there is what a reader will look for.
#[test]
fn every_path_that_a_page_names_exists() {
    let path = Regex::new(&format!(r"(?:^|[^\w/.$>-])((?:{FOLDERS})/[\w./-]*[\w/])(\S)?")).unwrap();
    let mut complaints = Vec::new();
    let mut seen = 0;
    for page in pages().into_iter().filter(|page| !is_kept(page)) {
        let text = std::fs::read_to_string(root().join(&page)).unwrap();
        for (index, line) in text.lines().enumerate() {
            for captures in path.captures_iter(line) {
                let named = captures.get(1).unwrap().as_str();
                // `src/report/subject/<kind>.rs`, `core/src/mechanism/GROUP/mod.rs`: a place, not a file.
                let next = captures.get(2).map_or("", |next| next.as_str());
                if next.starts_with(['<', '*', '$', '…']) || named.contains("GROUP") {
                    continue;
                }
                seen += 1;
                if !root().join(named).exists() {
                    complaints.push(format!("{}:{}: there is no {named}", page.display(), index + 1));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} paths found: the pages or the expression have changed");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// A page whose paths need not exist: a report says where things lay on its day, a changelog what they were called, and
/// a list of planted faults names the faults.
fn is_kept(page: &Path) -> bool {
    let is_report = page.starts_with("reports") && page != Path::new("reports/README.md");
    is_report || page == Path::new("CHANGELOG.md") || page.starts_with("tests/faults")
}

/// A page that nothing leads to is not found.
#[test]
fn every_page_of_docs_is_listed() {
    let listing = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let unlisted: Vec<PathBuf> = pages()
        .into_iter()
        .filter(|page| page.starts_with("docs") && page != Path::new("docs/README.md"))
        .filter(|page| !listing.contains(&format!("({})", page.strip_prefix("docs").unwrap().display())))
        .collect();
    assert!(unlisted.is_empty(), "docs/README.md does not list {unlisted:?}");
}

/// The most lines that a reader is asked to read before typing the first command.
const README_LINES: usize = 160;

#[test]
fn the_readme_is_short_and_shows_what_was_found() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines, {README_LINES} are the most");
    for section in ["screen", "answers", "example"] {
        let (open, close) = (format!("<!-- switchcost:{section} -->"), format!("<!-- /switchcost:{section} -->"));
        let between = text.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map(|(between, _)| between);
        assert!(
            between.is_some_and(|text| text.contains(" %") || text.contains(" CPUs ")),
            "README.md: {section}: run scripts/splice"
        );
    }
}
