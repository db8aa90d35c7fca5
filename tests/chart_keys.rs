//! Charts find their data: each metric's key is one that something reports, its word is the one in old records, and the
//! mechanisms, groups and parameters that a chart names exist.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use switchcost::mechanism::{GROUPS, registry};
use switchcost::record::{FILE, Outcome, read};
use switchcost::terms::{Domain, MetricKey};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` for which `wanted` holds.
fn files(folder: &Path, wanted: fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(&path, wanted) } else { vec![path] };
    entries.flat_map(below).filter(|path| wanted(path)).collect()
}

/// The program of some rooms, without its tests: of each file its path and its lines.
fn program(rooms: &[&str]) -> Vec<(PathBuf, String)> {
    let is_program = |path: &Path| {
        let test = |part: &str| ["tests", "fake", "fixed_time"].contains(&part.trim_end_matches(".rs"));
        path.extension().is_some_and(|it| it == "rs") && !path.iter().any(|part| part.to_str().is_some_and(test))
    };
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text.split("mod tests {").next().unwrap().into())
    };
    let folders = rooms.iter().map(|room| {
        // A room is in one of the two crates.
        ["src", "core/src"].map(|folder| root().join(folder).join(room)).into_iter().find(|folder| folder.exists())
    });
    folders.flat_map(|folder| files(&folder.expect("a room's folder"), is_program)).map(read).collect()
}

#[test]
fn every_key_is_reported_by_something() {
    let text: String = program(&["mechanism", "harness"]).into_iter().map(|(_, text)| text).collect();
    let used: BTreeSet<String> =
        Regex::new(r"MetricKey::(\w+)").unwrap().captures_iter(&text).map(|found| found[1].to_string()).collect();
    let keys: BTreeSet<String> = MetricKey::ALL.iter().map(|key| format!("{key:?}")).collect();
    let idle: Vec<_> = keys.difference(&used).collect();
    assert!(idle.is_empty(), "no mechanism and no sweep reports {idle:?}");
}

#[test]
fn no_metric_is_made_or_looked_for_by_a_word() {
    let word = Regex::new(
        r#"MetricKey::(Other|from)\b|Metric::(scalar|latencies)\(\s*"|\bof(\(\))?\.as_str\(\) ==|\bof(\(\))? == ""#,
    );
    let word = word.unwrap();
    let rooms = ["mechanism", "harness", "report", "compare", "record", "cli"];
    for (path, text) in program(&rooms) {
        let found: Vec<&str> = text.lines().filter(|line| word.is_match(line)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[test]
fn committed_reports_hold_no_word_that_this_version_does_not_know() {
    let records = files(&root().join("reports"), |path| path.ends_with(FILE));
    let mut known = BTreeSet::new();
    for path in &records {
        for line in read(path).unwrap().benchmarks {
            let Outcome::Measured(measured) = line.outcome else { continue };
            for metric in &measured.metrics {
                assert!(!matches!(metric.of(), MetricKey::Other(_)), "{}: {}: {:?}", path.display(), line.id, metric);
                known.insert(metric.of().to_string());
            }
        }
    }
    assert!(records.len() >= 5 && known.len() >= 35, "{} records, {known:?}", records.len());
}

#[test]
fn the_schema_lists_every_word() {
    let schema = std::fs::read_to_string(root().join("src/record/SCHEMA.md")).unwrap();
    let unlisted: Vec<_> = MetricKey::ALL.iter().filter(|key| !schema.contains(&format!("`{key}`"))).collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

/// The first group of every match of `pattern` in the program of the reports.
fn named_by_charts(pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    let text: String = program(&["report"]).into_iter().map(|(_, text)| text).collect();
    pattern.captures_iter(&text).map(|found| found[1].to_string()).collect()
}

#[test]
fn what_charts_name_exists() {
    let groups: BTreeSet<String> = GROUPS.iter().map(|group| group.name.to_string()).collect();
    let named = named_by_charts(r#"(?:\bgroup(?:\(\))? == |const GROUP: &str = )"(\w+)""#);
    assert!(named.len() >= 2 && named.is_subset(&groups), "groups: {named:?}");

    let descriptors = || registry().iter().map(|mechanism| mechanism.descriptor());
    let ids: BTreeSet<String> = descriptors().map(|descriptor| descriptor.id.to_string()).collect();
    let any_group = groups.iter().cloned().collect::<Vec<_>>().join("|");
    let named = named_by_charts(&format!(r#""((?:{any_group})/\w+)""#));
    assert!(named.len() >= 6 && named.is_subset(&ids), "mechanisms: {:?}", named.difference(&ids).collect::<Vec<_>>());

    let parameters = || descriptors().flat_map(|descriptor| descriptor.parameters);
    let names: BTreeSet<String> = parameters().map(|parameter| parameter.name.to_string()).collect();
    let named = named_by_charts(r#"(?:\bname == |\bamount\(\w+, |\bPlacement::\w+, \()"(\w+)""#);
    assert!(
        named.len() >= 4 && named.is_subset(&names),
        "parameters: {:?}",
        named.difference(&names).collect::<Vec<_>>()
    );

    let words = parameters().flat_map(|parameter| match parameter.domain {
        Domain::Word { words } => words,
        Domain::Number { .. } => &[],
    });
    let words: BTreeSet<String> = words.map(|word| (*word).to_string()).collect();
    let named = named_by_charts(r#"(?:value\.to_string\(\) == |Value::Word\(|\bPlacement::\w+, \("\w+", )"(\w+)""#);
    assert!(named.len() >= 2 && named.is_subset(&words), "values: {:?}", named.difference(&words).collect::<Vec<_>>());
}
