//! The report for a repository: Markdown with the figures beside it, and the table that a README shows.

use super::counters;
use super::findings_table;
use super::machine;
use super::outline::{Outline, Section};
use super::page::overview;
use super::study::{Bench, Study};
use super::text;

/// The report.
pub(super) fn markdown(outline: &Outline) -> String {
    let mut out = Lines::default();
    out.line(format!("# switchcost: {}", prose(&outline.title())));
    for study in &outline.studies {
        let name = if study.name.is_empty() {
            String::new()
        } else {
            format!("**{}** {}. ", study.name, prose(&study.described()))
        };
        out.line(format!("{name}{}", prose(&overview(study))));
    }
    trouble(outline, &mut out);
    for section in &outline.sections {
        out.line(format!("## {}: {}", prose(&section.group), prose(&section.question)));
        for (figure, commands) in &section.figures {
            out.line(format!("### {}", prose(&figure.title)));
            out.line(prose(&figure.says));
            out.line(format!("![{}](figures/{}.svg)", prose(&figure.title), figure.id));
            let key = figure.key.as_ref().map(|key| format!("{} ", prose(key))).unwrap_or_default();
            let made = match commands.as_slice() {
                [] => String::new(),
                [only] => format!(", made by {}", code(only)),
                [first, others @ ..] => {
                    let others = text::count(others.len(), "other command");
                    format!(", made by {} and {others} ([below](#how-it-was-made))", code(first))
                }
            };
            out.line(format!("{key}[Data](data/{}.csv){made}.", figure.id));
        }
        for study in &outline.studies {
            let benches = study.of_group(&section.group);
            if !benches.is_empty() {
                out.line(format!("### What a {} does{}", benches[0].line().unit, study.suffix()));
                out.line(counts(&benches));
                void(&benches, &mut out);
                findings(&benches, study, &mut out);
                let file = study.anchor(&format!("counts-{}", text::slug(&section.group)));
                out.line(format!("[Data](data/{file}.csv), with every counted event."));
            }
        }
    }
    missing(outline, &mut out);
    hosts(outline, &mut out);
    origin(outline, &mut out);
    out.text
}

/// The figures for a README: time per operation of every benchmark with default parameters, a column a placement.
pub(super) fn numbers(outline: &Outline) -> String {
    let mut out = Lines::default();
    let Some(study) = outline.studies.first() else { return out.text };
    let mut placements: Vec<(usize, &str)> =
        study.in_placements().map(|bench| (bench.colour(), bench.line().setting.placement.name())).collect();
    placements.sort_unstable();
    placements.dedup();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let of_group = |section: &Section| study.of_group(&section.group);
    let shown: Vec<&Bench> =
        outline.sections.iter().flat_map(of_group).filter(|bench| bench.chosen().is_none()).collect();
    for bench in &shown {
        let name = format!("{} (per {})", code(&bench.line().mechanism), bench.line().unit);
        let index = rows.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            rows.push((name, vec!["–".into(); placements.len()]));
            rows.len() - 1
        });
        if let Some(column) = placements.iter().position(|(colour, _)| *colour == bench.colour()) {
            rows[index].1[column] = number(bench, study.rounds());
        }
    }
    let mut head = vec!["mechanism".to_string()];
    head.extend(placements.iter().map(|(_, name)| (*name).to_string()));
    let body: Vec<Vec<String>> = rows.into_iter().map(|(name, cells)| [vec![name], cells].concat()).collect();
    out.line(table(&head, 1, &body));
    void(&shown, &mut out);
    let fewer = shown.iter().any(|bench| bench.summary.nanos.rounds < study.rounds());
    let fewer = if fewer { ", fewer where it says so," } else { "" };
    let rounds = format!("{}{fewer}", text::count(study.rounds(), "round"));
    let revision = study.run.machines.first().and_then(|machine| machine.suite.revision.as_deref());
    let revision =
        revision.map(|r| format!(", revision {}", r.chars().take(12).collect::<String>())).unwrap_or_default();
    out.line(format!("Median and 95 % interval over {rounds} on {}{}.", prose(&study.described()), prose(&revision)));
    out.text
}

/// A figure with its interval, and the rounds behind it where they are fewer than the `usual` ones.
fn number(bench: &Bench, usual: usize) -> String {
    let counting = bench.summary.nanos.rounds;
    let fewer = if counting < usual { format!(", {}", text::count(counting, "round")) } else { String::new() };
    format!("{} ({}{fewer})", counters::time(bench), counters::interval(bench))
}

/// Paragraphs with an empty line between them.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, text: impl AsRef<str>) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text.as_ref().trim_end());
        self.text.push('\n');
    }
}

/// A table whose columns from `numeric` on are set flush right.
fn table(head: &[String], numeric: usize, rows: &[Vec<String>]) -> String {
    let row =
        |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | "));
    let rule: Vec<&str> = (0..head.len()).map(|column| if column < numeric { "---" } else { "---:" }).collect();
    let mut text = row(head);
    text.push_str(&format!("| {} |\n", rule.join(" | ")));
    text.extend(rows.iter().map(|cells| row(cells)));
    text
}

/// Text of a record that begins no markup: neither an element nor code (CommonMark 0.31, 2.4).
fn prose(text: &str) -> String {
    text.replace('<', "\\<").replace('`', "\\`").replace('\n', " ")
}

/// A code span.
fn code(text: &str) -> String {
    let text = text.replace('\n', " ");
    if !text.contains('`') {
        return format!("`{text}`");
    }
    let fence = fence(&text, 1);
    format!("{fence} {text} {fence}")
}

/// More backticks than `text` has in a row, and `least` of them: what ends code (CommonMark 0.31, 4.5 and 6.1).
fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(least.max(longest + 1))
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ")
}

fn trouble(outline: &Outline, out: &mut Lines) {
    for study in &outline.studies {
        for trouble in study.differences() {
            out.line(format!("**Audit differs**{}: {} {}.", study.suffix(), code(&trouble.id), prose(&trouble.what)));
        }
        for trouble in study.failures() {
            out.line(format!("**Failed**{}: {} {}.", study.suffix(), code(&trouble.id), prose(&trouble.what)));
        }
    }
    if let Some(warning) = outline.single_rounds_warning() {
        let (command, helps) = outline.single_rounds_remedy();
        out.line(format!("> {warning} `{command}` {helps}"));
    }
}

/// What was found out beyond the figures, where anything was.
fn findings(benches: &[&Bench], study: &Study, out: &mut Lines) {
    let found = findings_table::rows(benches.iter().map(|bench| bench.line().id.as_str()), &study.run.benchmarks);
    let tables: [(&[&str], _); 2] =
        [(&findings_table::PERCENTILES, found.distributions), (&findings_table::FIGURES, found.figures)];
    for (head, rows) in tables.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| prose(cell)).collect()).collect();
        out.line(table(&head.iter().map(|word| (*word).to_string()).collect::<Vec<_>>(), 3, &rows));
    }
}

fn void(benches: &[&Bench], out: &mut Lines) {
    if let Some(note) = counters::void_note(benches) {
        out.line(format!("{note}."));
    }
}

fn counts(benches: &[&Bench]) -> String {
    let noun = benches.first().map_or("time", |bench| text::noun(bench.quantity()));
    let switches = "switches (vol. + invol.)";
    let head =
        ["benchmark", "system calls", "audit", noun, "95 %", "CPU time", switches, "counting", "rounds", "set aside"];
    let rows: Vec<Vec<String>> = benches
        .iter()
        .map(|bench| {
            let row = counters::row(bench);
            vec![
                prose(&format!("{} {}", row.name, row.detail)),
                prose(&row.calls),
                if row.audit == "DIFFERS" { "**DIFFERS**".into() } else { row.audit.into() },
                row.time,
                row.interval,
                row.cpu,
                row.switches,
                row.counting,
                row.rounds,
                row.set_aside.unwrap_or("–".into()),
            ]
        })
        .collect();
    table(&head.map(String::from), 3, &rows)
}

fn missing(outline: &Outline, out: &mut Lines) {
    out.line("## What this machine cannot tell you");
    for study in &outline.studies {
        let gaps = study.gaps();
        if gaps.is_empty() {
            out.line(format!("Everything that was asked for was measured, counted and audited{}.", study.suffix()));
        }
        for gap in gaps {
            let (kind, reason) = (text::capitalised(gap.kind.name()), text::capitalised(&gap.reason));
            let what = prose(&text::list(&gap.what));
            out.line(format!(
                "- **{kind}**{}: {what}. {}. Remedy: {}.",
                study.suffix(),
                prose(&reason),
                prose(&gap.remedy)
            ));
        }
    }
}

fn hosts(outline: &Outline, out: &mut Lines) {
    for study in &outline.studies {
        out.line(format!("## The machine{}", study.suffix()));
        if let Some(machine) = study.run.machines.first() {
            let rows: Vec<Vec<String>> = machine::facts(machine)
                .into_iter()
                .map(|(name, value)| vec![name.to_string(), prose(&value)])
                .collect();
            out.line(table(&["what".into(), "value".into()], 2, &rows));
        }
        for warning in study.warnings() {
            out.line(format!(
                "- **{}**: {}. Remedy: {}.",
                prose(&text::capitalised(&warning.what)),
                prose(&warning.why),
                prose(&warning.remedy)
            ));
        }
    }
}

fn origin(outline: &Outline, out: &mut Lines) {
    out.line("## How it was made");
    for study in &outline.studies {
        let commands = study.commands().join("\n");
        let fence = fence(&commands, 3);
        out.line(format!("{fence}sh\n{commands}\n{fence}"));
        out.line(made_by(study));
    }
}

fn made_by(study: &Study) -> String {
    let Some(machine) = study.run.machines.first() else { return String::new() };
    let suite = &machine.suite;
    let revision = suite.revision.as_ref().map(|revision| format!(", revision {}", code(revision))).unwrap_or_default();
    let changed = if suite.changed == Some(true) { " with uncommitted changes" } else { "" };
    format!(
        "switchcost {}{revision}{changed}, {}. Host {}.",
        prose(&suite.version),
        prose(&suite.rustc),
        code(&machine.id)
    )
}
