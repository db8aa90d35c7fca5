//! A record in whose every text stands what HTML, Markdown and spreadsheets take for theirs.

use std::collections::BTreeSet;

use serde_json::Value;
use switchcost::compare::{Matching, compare, csv, markdown};
use switchcost::record::Line;

use super::sample::lines;
use super::*;

const NASTY: &str = "<nasty>&\"'|`x";

/// `line` with every free text replaced by `changed`: what a reader refuses to have changed is one of few words.
/// A field that is added to the schema later is found without being named here.
fn spoiled(line: &Line, changed: &dyn Fn(&str) -> String) -> Line {
    let mut whole = serde_json::to_value(line).unwrap();
    let mut places = BTreeSet::new();
    gather(&whole, "", &mut places);
    let mut changes = 0;
    for place in &places {
        let mut tried = whole.clone();
        change(&mut tried, "", place, changed);
        if serde_json::from_value::<Line>(tried.clone()).is_ok_and(|read| serde_json::to_value(read).unwrap() == tried)
        {
            whole = tried;
            changes += 1;
        }
    }
    assert!(changes >= 3, "{changes} texts: {whole}");
    serde_json::from_value(whole).unwrap()
}

/// Where texts stand; all items of a list are one place. A name in an object is a place of its own, marked by `#`.
fn gather(value: &Value, at: &str, places: &mut BTreeSet<String>) {
    match value {
        Value::String(_) => drop(places.insert(at.into())),
        Value::Array(items) => items.iter().for_each(|item| gather(item, &format!("{at}/*"), places)),
        Value::Object(fields) => {
            for (name, value) in fields {
                places.insert(format!("{at}/{name}#"));
                gather(value, &format!("{at}/{name}"), places);
            }
        }
        _ => {}
    }
}

/// Changes the texts at `place`.
fn change(value: &mut Value, at: &str, place: &str, changed: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) if at == place => *text = changed(text),
        Value::Array(items) => items.iter_mut().for_each(|item| change(item, &format!("{at}/*"), place, changed)),
        Value::Object(fields) => {
            let renamed = std::mem::take(fields).into_iter().map(|(name, mut value)| {
                change(&mut value, &format!("{at}/{name}"), place, changed);
                (if format!("{at}/{name}#") == place { changed(&name) } else { name }, value)
            });
            *fields = renamed.collect();
        }
        _ => {}
    }
}

fn spoiled_run(changed: &dyn Fn(&str) -> String) -> Run {
    let mut run = Run::default();
    for line in lines() {
        match spoiled(&line, changed) {
            Line::Host(machine) => run.hosts.push(*machine),
            Line::Benchmark(line) => run.benchmarks.push(*line),
        }
    }
    run
}

/// Every way in which a text of a record is spoiled: at its end, and at its beginning as a formula.
fn runs() -> Vec<(String, Run)> {
    let mut runs = vec![("at the end".to_string(), spoiled_run(&|text| format!("{text}{NASTY}")))];
    for sign in ["=", "+", "-", "@"] {
        runs.push((format!("{sign} before it"), spoiled_run(&|text| format!("{sign}1{NASTY}{text}"))));
    }
    runs
}

/// What of a page or picture is markup that came from the record.
fn raw_markup(text: &str) -> Vec<String> {
    let around = |at: usize| text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
    let found = |bad: &str| text.match_indices(bad).map(|(at, _)| at).collect::<Vec<_>>();
    let mut raw: Vec<String> = found("<nasty").into_iter().map(around).collect();
    // The ampersand and the quotation mark behind it, wherever the angle brackets were escaped.
    let begun = found("nasty&gt;").into_iter().filter(|at| !text[at + "nasty&gt;".len()..].starts_with("&amp;&quot;"));
    raw.extend(begun.map(around));
    raw
}

/// What of a Markdown text is markup that came from the record: code is left out, where nothing is markup.
fn raw_markdown(text: &str) -> Vec<String> {
    let mut raw = Vec::new();
    let (mut fenced, mut columns) = (false, None);
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        let prose = without_code(line);
        if prose.replace("\\<", "").contains("<nasty") || prose.replace("\\`", "").contains('`') {
            raw.push(line.to_string());
        }
        if !line.starts_with("| ") {
            columns = None;
            continue;
        }
        let pipes = line.replace("\\|", "").matches('|').count();
        if *columns.get_or_insert(pipes) != pipes {
            raw.push(format!("{pipes} pipes: {line}"));
        }
    }
    raw
}

/// The line without its code spans: as many backticks as begin one end it (CommonMark 0.31, 6.1).
fn without_code(line: &str) -> String {
    let (mut kept, mut rest) = (String::new(), line);
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].chars().take_while(|c| *c == '`').count();
        if rest[..start].ends_with('\\') {
            kept.push_str(&rest[..start + 1]);
            rest = &rest[start + 1..];
            continue;
        }
        let (fence, inside) = (&rest[start..start + ticks], &rest[start + ticks..]);
        let end = inside
            .match_indices(fence)
            .map(|(at, _)| at)
            .find(|at| !inside[..*at].ends_with('`') && !inside[at + ticks..].starts_with('`'));
        let Some(end) = end else { break };
        kept.push_str(&rest[..start]);
        rest = &inside[end + ticks..];
    }
    kept + rest
}

/// The fields that a spreadsheet would compute (OWASP, "CSV Injection").
fn formulas(csv: &str) -> Vec<String> {
    let begins = |field: &String| field.starts_with(['=', '+', '-', '@', '\t', '\r']) && field.parse::<f64>().is_err();
    fields(csv).into_iter().flatten().filter(begins).collect()
}

fn none(what: &str, raw: &[String]) {
    assert!(raw.is_empty(), "{what}: {} raw, the first: {:?}", raw.len(), &raw[..raw.len().min(12)]);
}

fn all_files() -> Vec<(String, Vec<ReportFile>)> {
    let one = |(name, run): (String, Run)| (name, files(&[run], &Catalogue::default()));
    let mut all: Vec<(String, Vec<ReportFile>)> = runs().into_iter().map(one).collect();
    let [(_, a), (_, b), ..] = &runs()[..] else { panic!("two runs") };
    all.push(("two".into(), files(&[a.clone(), b.clone()], &Catalogue::default())));
    all
}

#[test]
fn no_text_of_a_record_is_markup_in_a_page_or_picture() {
    for (name, files) in all_files() {
        let page = text(&files, PAGE);
        assert!(page.matches("&lt;nasty&gt;").count() > 40, "{name}: hardly any text of the record is shown");
        none(&format!("{name}, page"), &raw_markup(page));
        for file in files.iter().filter(|file| file.path.ends_with(".svg")) {
            roxmltree::Document::parse(&file.text).unwrap_or_else(|error| panic!("{name} {}: {error}", file.path));
            // What stands before a mechanism's id is the group, which pictures do not name.
            assert!(name != "at the end" || file.text.contains("&lt;nasty&gt;"), "{name} {}", file.path);
            none(&format!("{name}, {}", file.path), &raw_markup(&file.text));
        }
    }
}

#[test]
fn no_text_of_a_record_is_markup_in_markdown() {
    for (name, files) in all_files() {
        for path in ["report.md", "numbers.md"] {
            none(&format!("{name}, {path}"), &raw_markdown(text(&files, path)));
        }
    }
}

#[test]
fn no_text_of_a_record_is_a_formula() {
    for (name, files) in all_files() {
        for file in files.iter().filter(|file| file.path.ends_with(".csv")) {
            none(&format!("{name}, {}", file.path), &formulas(&file.text));
        }
    }
}

#[test]
fn no_text_of_a_record_is_markup_or_a_formula_in_a_comparison() {
    for (name, run) in runs() {
        let mut other = run.clone();
        other.hosts[0].build.rustc.push_str(NASTY);
        let comparison = compare(&[(format!("={NASTY}"), run), (format!("@{NASTY}"), other)], &Matching::Ids, 0.01);
        assert!(!comparison.rows.is_empty() && !comparison.differences.is_empty());
        none(&format!("{name}, Markdown"), &raw_markdown(&markdown(&comparison)));
        none(&format!("{name}, CSV"), &formulas(&csv(&comparison)));
    }
}
