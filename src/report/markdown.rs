//! The report for a repository: Markdown with the figures beside it, and the table that a README shows.

use super::answers::of_view;
use super::counters;
use super::figure::Figure;
use super::host;
use super::hosts_table;
use super::metrics_table;
use super::page::overview;
use super::run_view::{BenchmarkView, RunView};
use super::sections::{Report, Section};
use super::text;

/// The report.
pub(super) fn markdown(report: &Report) -> String {
    let mut out = Paragraphs::default();
    out.line(format!("# switchcost: {}", prose(&report.title())));
    if report.has_many() {
        out.line(hosts_lines(report));
    }
    for view in report.views.iter().filter(|_| !report.has_many()) {
        let name = if view.name.is_empty() {
            String::new()
        } else {
            format!("**{}** {}. ", view.name, prose(&view.described()))
        };
        out.line(format!("{name}{}", prose(&overview(view))));
    }
    said(report, &mut out);
    trouble(report, &mut out);
    if let Some(figure) = &report.pace {
        picture(figure, &[], &mut out);
    }
    for section in &report.sections {
        out.line(format!("## {}: {}", prose(&section.group), prose(&section.question)));
        for (figure, commands) in &section.figures {
            picture(figure, commands, &mut out);
        }
        for view in &report.views {
            let benchmarks = view.of_group(&section.group);
            if !benchmarks.is_empty() {
                out.line(format!("### What a {} does{}", benchmarks[0].line().unit, view.suffix()));
                out.line(counts(&benchmarks));
                invalid(&benchmarks, &mut out);
                metrics(&benchmarks, view, &mut out);
                let file = view.anchor(&format!("counts-{}", text::slug(&section.group)));
                out.line(format!("[Data](data/{file}.csv), with every counted event."));
            }
        }
    }
    missing(report, &mut out);
    hosts(report, &mut out);
    origin(report, &mut out);
    out.text
}

/// A line for each host.
fn hosts_lines(report: &Report) -> String {
    let row =
        |cells: &[String]| format!("| {} |", cells.iter().map(|cell| prose(cell)).collect::<Vec<_>>().join(" | "));
    let head = format!("| {} |", hosts_table::COLUMNS.join(" | "));
    let rule = format!("|{}", " --- |".repeat(hosts_table::COLUMNS.len()));
    let rows = hosts_table::rows(&report.views);
    [head, rule].into_iter().chain(rows.iter().map(|cells| row(cells))).collect::<Vec<_>>().join("\n")
}

/// A figure, where its data are, and what made it.
fn picture(figure: &Figure, commands: &[String], out: &mut Paragraphs) {
    out.line(format!("### {}", prose(&figure.title)));
    out.line(prose(&figure.subtitle));
    out.line(format!("![{}](figures/{}.svg)", prose(&figure.title), figure.id));
    let key = figure.key.as_ref().map(|key| format!("{} ", prose(key))).unwrap_or_default();
    let made = match commands {
        [] => String::new(),
        [only] => format!(", made by {}", code(only)),
        [first, others @ ..] => {
            let others = text::count(others.len(), "other command");
            format!(", made by {} and {others} ([below](#how-it-was-made))", code(first))
        }
    };
    out.line(format!("{key}[Data](data/{}.csv){made}.", figure.id));
}

/// The figures for a README: time per operation of every benchmark with default parameters, a column a placement.
pub(super) fn numbers(report: &Report) -> String {
    let mut out = Paragraphs::default();
    let Some(view) = report.views.first() else { return out.text };
    let mut placements: Vec<(usize, &str)> =
        view.in_placements().map(|benchmark| (benchmark.colour(), benchmark.line().setting.placement.name())).collect();
    placements.sort_unstable();
    placements.dedup();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let of_group = |section: &Section| view.of_group(&section.group);
    let shown: Vec<&BenchmarkView> =
        report.sections.iter().flat_map(of_group).filter(|benchmark| benchmark.chosen().is_none()).collect();
    for benchmark in &shown {
        let name = format!("{} (per {})", code(&benchmark.line().mechanism), benchmark.line().unit);
        let index = rows.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            rows.push((name, vec!["–".into(); placements.len()]));
            rows.len() - 1
        });
        if let Some(column) = placements.iter().position(|(colour, _)| *colour == benchmark.colour()) {
            rows[index].1[column] = number(benchmark, view.rounds());
        }
    }
    let mut head = vec!["mechanism".to_string()];
    head.extend(placements.iter().map(|(_, name)| (*name).to_string()));
    let body: Vec<Vec<String>> = rows.into_iter().map(|(name, cells)| [vec![name], cells].concat()).collect();
    out.line(table(&head, 1, &body));
    invalid(&shown, &mut out);
    let fewer = shown.iter().any(|benchmark| benchmark.summary.per_op.rounds < view.rounds());
    let fewer = if fewer { ", fewer where it says so," } else { "" };
    let rounds = format!("{}{fewer}", text::count(view.rounds(), "round"));
    let revision = view.run.hosts.first().and_then(|host| host.build.revision.as_deref());
    let revision =
        revision.map(|r| format!(", revision {}", r.chars().take(12).collect::<String>())).unwrap_or_default();
    out.line(format!("Median and 95 % interval over {rounds} on {}{}.", prose(&view.described()), prose(&revision)));
    out.text
}

/// A figure with its interval, and the rounds behind it where they are fewer than the `usual` ones.
fn number(benchmark: &BenchmarkView, usual: usize) -> String {
    let counting = benchmark.summary.per_op.rounds;
    let fewer = if counting < usual { format!(", {}", text::count(counting, "round")) } else { String::new() };
    format!("{} ({}{fewer})", counters::time(benchmark), counters::interval(benchmark))
}

/// Paragraphs with an empty line between them.
#[derive(Default)]
struct Paragraphs {
    text: String,
}

impl Paragraphs {
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

/// What each run answers to the questions that people come with.
fn said(report: &Report, out: &mut Paragraphs) {
    for view in &report.views {
        let answers = of_view(view);
        if answers.said.is_empty() {
            continue;
        }
        out.line(format!("## What this machine says{}", view.suffix()));
        let said = answers.said.iter().map(|a| format!("- **{}**: {}", text::capitalised(a.question), a.sentence));
        let unsaid = answers.unsaid.iter().map(|unsaid| format!("- {}", unsaid.described()));
        out.line(said.chain(unsaid).map(|line| prose(&line)).collect::<Vec<_>>().join("\n"));
    }
}

fn trouble(report: &Report, out: &mut Paragraphs) {
    for view in &report.views {
        for trouble in view.differences() {
            out.line(format!("**Audit differs**{}: {} {}.", view.suffix(), code(&trouble.id), prose(&trouble.what)));
        }
        for trouble in view.failures() {
            out.line(format!("**Failed**{}: {} {}.", view.suffix(), code(&trouble.id), prose(&trouble.what)));
        }
    }
    if let Some(warning) = report.single_rounds_warning() {
        let (command, helps) = report.single_rounds_remedy();
        out.line(format!("> {warning} `{command}` {helps}"));
    }
}

/// What was found out beyond the figures, where anything was.
fn metrics(benchmarks: &[&BenchmarkView], view: &RunView, out: &mut Paragraphs) {
    let pooled =
        metrics_table::rows(benchmarks.iter().map(|benchmark| benchmark.line().id.as_str()), &view.run.benchmarks);
    let tables: [(&[&str], _); 2] =
        [(&metrics_table::PERCENTILES, pooled.distributions), (&metrics_table::FIGURES, pooled.figures)];
    for (head, rows) in tables.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| prose(cell)).collect()).collect();
        out.line(table(&head.iter().map(|word| (*word).to_string()).collect::<Vec<_>>(), 3, &rows));
    }
}

fn invalid(benchmarks: &[&BenchmarkView], out: &mut Paragraphs) {
    if let Some(note) = counters::invalid_note(benchmarks) {
        out.line(format!("{note}."));
    }
}

fn counts(benchmarks: &[&BenchmarkView]) -> String {
    let noun = benchmarks.first().map_or("time", |benchmark| text::noun(benchmark.quantity()));
    let switches = "switches (vol. + invol.)";
    let head =
        ["benchmark", "system calls", "audit", noun, "95 %", "CPU time", switches, "counting", "rounds", "discarded"];
    let rows: Vec<Vec<String>> = benchmarks
        .iter()
        .map(|benchmark| {
            let row = counters::row(benchmark);
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
                row.discarded.unwrap_or("–".into()),
            ]
        })
        .collect();
    table(&head.map(String::from), 3, &rows)
}

fn missing(report: &Report, out: &mut Paragraphs) {
    out.line("## What this machine cannot tell you");
    for view in &report.views {
        let gaps = view.gaps();
        if gaps.is_empty() {
            out.line(format!("Everything that was asked for was measured, counted and audited{}.", view.suffix()));
        }
        for gap in gaps {
            let (kind, reason) = (text::capitalised(gap.kind.name()), text::capitalised(&gap.why));
            let what = prose(&text::list(&gap.what));
            out.line(format!(
                "- **{kind}**{}: {what}. {}. Remedy: {}.",
                view.suffix(),
                prose(&reason),
                prose(&gap.remedy)
            ));
        }
    }
}

fn hosts(report: &Report, out: &mut Paragraphs) {
    for view in &report.views {
        out.line(format!("## The machine{}", view.suffix()));
        if let Some(host) = view.run.hosts.first() {
            let rows: Vec<Vec<String>> =
                host::facts(host).into_iter().map(|(name, value)| vec![name.to_string(), prose(&value)]).collect();
            out.line(table(&["what".into(), "value".into()], 2, &rows));
        }
        for warning in view.warnings() {
            out.line(format!(
                "- **{}**: {}. Remedy: {}.",
                prose(&text::capitalised(&warning.what)),
                prose(&warning.why),
                prose(&warning.remedy)
            ));
        }
    }
}

fn origin(report: &Report, out: &mut Paragraphs) {
    out.line("## How it was made");
    for view in &report.views {
        let commands = view.commands().join("\n");
        let fence = fence(&commands, 3);
        out.line(format!("{fence}sh\n{commands}\n{fence}"));
        out.line(made_by(view));
    }
}

fn made_by(view: &RunView) -> String {
    let Some(host) = view.run.hosts.first() else { return String::new() };
    let build = &host.build;
    let revision = build.revision.as_ref().map(|revision| format!(", revision {}", code(revision))).unwrap_or_default();
    let changed = if build.changed == Some(true) { " with uncommitted changes" } else { "" };
    format!(
        "switchcost {}{revision}{changed}, {}. Host {}.",
        prose(&build.version),
        prose(&build.rustc),
        code(&host.id)
    )
}
