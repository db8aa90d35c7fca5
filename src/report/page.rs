//! The report as one HTML page: nothing to load, no script, light and dark, for a phone, a screen and paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::answers::{Answers, of_view};
use super::counters::{self, CounterRow};
use super::figure::{Figure, MARKS, TOKENS};
use super::host;
use super::hosts_table;
use super::metrics_table;
use super::missing::Problem;
use super::run_view::{BenchmarkView, RunView};
use super::sections::{Report, Section};
use super::text;

/// The look of a page around its figures.
const PAGE: &str = include_str!("page.css");

/// A document in the look of all pages: `styles` come behind those that every page has.
pub(super) fn document(title: &str, styles: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Browsers ask the network for an icon unless the page has one.
                link rel="icon" href="data:,";
                title { "switchcost: " (title) }
                style { (PreEscaped(TOKENS)) (PreEscaped(MARKS)) (PreEscaped(PAGE)) (PreEscaped(styles)) }
            }
            body { main { (body) } }
        }
    }
    .into_string()
}

/// The page.
pub(super) fn page(report: &Report) -> String {
    let body = html! {
        (header(report))
        (folded(report, "What each machine says", said(report)))
        (alerts(report))
        (reading(report))
        @if let Some(figure) = &report.pace { section { (show(figure, &[])) } }
        @for section in &report.sections { (group(section, report)) }
        (folded(report, "What each machine cannot tell", missing(report)))
        (folded(report, "The machines in every fact", hosts(report)))
        (folded(report, "How each run was made", origin(report)))
    };
    document(&report.title(), "", &body)
}

fn header(report: &Report) -> Markup {
    html! {
        header {
            p.kicker { "switchcost report" }
            h1 { (text::unbroken(&report.title())) }
            @if report.has_many() { (hosts_table::markup(&report.views)) }
            @for view in report.views.iter().filter(|_| !report.has_many()) {
                @if view.name.is_empty() {
                    p.lead { (overview(view)) }
                } @else {
                    p.lead { b { (view.name) } " " (view.described()) ". " (overview(view)) }
                }
            }
            nav aria-label="Contents" {
                ul {
                    @for section in &report.sections {
                        li { a href=(format!("#{}", text::slug(&section.group))) { (section.group) } }
                    }
                    li { a href="#missing" { "what it cannot tell" } }
                    li { a href="#host" { "the machine" } }
                    li { a href="#origin" { "how it was made" } }
                }
            }
        }
    }
}

/// As it is, or of many runs behind a fold.
fn folded(report: &Report, summary: &str, content: Markup) -> Markup {
    html! {
        @if report.has_many() { details { summary { (summary) } (content) } } @else { (content) }
    }
}

/// What was measured and whether it may be believed, in a few sentences.
pub(super) fn overview(view: &RunView) -> String {
    let when = view.run.hosts.first().map(|host| host::when(host.started_ms));
    let when = when.filter(|_| view.name.is_empty()).map(|when| format!(", {when}")).unwrap_or_default();
    let mut sentences = vec![format!("{}{when}.", measured(view))];
    sentences.extend(verdicts(view));
    match (view.failures().len(), view.unsupported()) {
        (0, 0) => {}
        (0, unsupported) => sentences.push(format!("{} cannot run here.", text::count(unsupported, "benchmark"))),
        (failed, 0) => sentences.push(format!("{failed} failed.")),
        (failed, unsupported) => sentences.push(format!("{failed} failed, {unsupported} cannot run here.")),
    }
    sentences.join(" ")
}

/// How many benchmarks and rounds; pairs of CPUs are parts of a map and no benchmarks by themselves.
fn measured(view: &RunView) -> String {
    let benchmarks = view.in_placements().count();
    let pairs = view.benchmarks.len() - benchmarks;
    let map = format!("map of {} of CPUs", text::count(pairs, "pair"));
    let in_rounds = || format!("{} in {}", text::count(benchmarks, "benchmark"), text::count(view.rounds(), "round"));
    match (benchmarks, pairs) {
        (_, 0) => in_rounds(),
        (0, _) => format!("A {map}"),
        _ => format!("{} and a {map}", in_rounds()),
    }
}

/// What came of the audits; nothing of a map alone.
fn verdicts(view: &RunView) -> Option<String> {
    let benchmarks = view.in_placements().count();
    if benchmarks == 0 && !view.benchmarks.is_empty() {
        return None;
    }
    let (ok, differs, not_asked_for) = (view.audited("ok"), view.audited("DIFFERS"), view.not_audited());
    let impossible = view.audited("none").saturating_sub(not_asked_for);
    if ok == benchmarks {
        return Some(format!("All {ok} audits hold."));
    }
    if not_asked_for == benchmarks {
        return Some("No audit was asked for.".into());
    }
    let further = [(differs, "differ"), (impossible, "could not be made"), (not_asked_for, "were not asked for")];
    let further = further.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    Some(format!("{ok} audits hold{}.", further.collect::<String>()))
}

/// What each run answers to the questions that people come with.
fn said(report: &Report) -> Markup {
    let runs: Vec<(String, Answers)> = report.views.iter().map(|view| (view.suffix(), of_view(view))).collect();
    html! {
        @for (run, answers) in runs.iter().filter(|(_, answers)| !answers.said.is_empty()) {
            section.answers {
                h2 { "What this machine says" (run) }
                dl {
                    @for answer in &answers.said {
                        dt { (text::capitalised(answer.question)) }
                        dd { (text::unbroken(&answer.sentence)) }
                    }
                }
                @for unsaid in &answers.unsaid {
                    p.unsaid { (unsaid.described()) }
                }
            }
        }
    }
}

/// What a reader must know before believing a figure.
fn alerts(report: &Report) -> Markup {
    let of_run = |view: &RunView, troubles: Vec<Problem>| -> Vec<(String, String)> {
        let run = view.suffix();
        troubles.into_iter().map(|trouble| (trouble.id, format!("{run}: {}", trouble.what))).collect()
    };
    let differ: Vec<_> = report.views.iter().flat_map(|view| of_run(view, view.differences())).collect();
    let failed: Vec<_> = report.views.iter().flat_map(|view| of_run(view, view.failures())).collect();
    html! {
        @if !differ.is_empty() {
            section.alert.bad #audit {
                h2 { "Audits that differ" }
                p { "These benchmarks did not do per operation what their mechanism states. Do not compare them before \
                     the reason is known." }
                (troubles(&differ))
            }
        }
        @if !failed.is_empty() {
            section.alert.bad #failed {
                h2 { "Benchmarks that failed" }
                (troubles(&failed))
            }
        }
        @if let Some(warning) = report.single_rounds_warning() {
            @let (command, helps) = report.single_rounds_remedy();
            section.alert #rounds { p { (warning) " " code { (command) } " " (helps) } }
        }
        @if report.views.iter().any(|view| view.run.torn) {
            section.alert #torn { p { "The last line of a record was cut short by a kill and is lost." } }
        }
    }
}

fn troubles(troubles: &[(String, String)]) -> Markup {
    html! { ul { @for (id, what) in troubles { li { code { (id) } (what) } } } }
}

fn reading(report: &Report) -> Markup {
    let shown: Vec<&str> =
        report.views.iter().flat_map(|s| s.in_placements()).map(|b| b.line().setting.placement.name()).collect();
    let mut benchmarks = report.views.iter().flat_map(|view| view.in_placements());
    let screened = benchmarks.any(|benchmark| benchmark.summary.discarded > 0.0);
    html! {
        section #reading {
            h2 { "How to read it" }
            ul.reading {
                li {
                    b { "Time" }
                    " is per operation, from samples without counters: the median of the rounds' medians, with a 95 % \
                     interval. Where two intervals overlap, the order of the two is not established."
                }
                li {
                    b { "Counts" }
                    " come from samples of their own, because counting slows what it counts; "
                    i { "counting" }
                    " says by how much."
                }
                li {
                    b { "Audit" }
                    " compares system calls and switches per operation with what the mechanism states: "
                    b.ok { "ok" } ", " b.differs { "DIFFERS" } ", or none where no audit could be made."
                }
                @if screened {
                    li {
                        b { "Discarded" }
                        " is the share of samples during which a CPU ran slower than at its best; "
                        i { "rounds" }
                        " says how many rounds count, and of how many where some do not."
                    }
                }
                @if shown.contains(&"unpinned") && shown.len() > 1 {
                    li {
                        b { "Placement" } " says where the tasks may run. " i { "same-cpu" }
                        " is the switch alone; across CPUs a wakeup has to reach another CPU, which often sleeps."
                    }
                }
            }
        }
    }
}

fn group(section: &Section, report: &Report) -> Markup {
    let anchor = text::slug(&section.group);
    html! {
        section.group #(anchor) {
            h2 { span.kicker { (section.group) } (section.question) }
            @if section.figures.is_empty() {
                p { "Nothing of this group could be measured; " a href="#missing" { "why" } "." }
            }
            @for (figure, commands) in &section.figures { (show(figure, commands)) }
            (folded(report, "Times and counts of each run", html! {
                @for view in &report.views {
                    @let benchmarks = view.of_group(&section.group);
                    @if !benchmarks.is_empty() { (tables(&section.group, view, &benchmarks)) }
                }
            }))
            (glossary(section, report))
        }
    }
}

pub(super) fn show(figure: &Figure, commands: &[String]) -> Markup {
    html! {
        figure #(figure.id) {
            h3 { a href=(format!("#{}", figure.id)) { (figure.title) } }
            p.subtitle { (text::unbroken(&figure.subtitle)) }
            (figure.inline())
            figcaption {
                @if let Some(key) = &figure.key { p { (key) } }
                p {
                    a href=(format!("data/{}.csv", figure.id)) { "Data (CSV)" }
                    " · " a href=(format!("figures/{}.svg", figure.id)) { "picture (SVG)" }
                    @if !commands.is_empty() { " · made by " (commands_list(commands)) }
                }
            }
        }
    }
}

/// The first command; the others behind a fold when there are many.
fn commands_list(commands: &[String]) -> Markup {
    html! {
        @match commands {
            [] => {}
            [only] => code { (only) }
            [first, rest @ ..] => {
                code { (first) }
                details {
                    summary { "and " (text::count(rest.len(), "other command")) }
                    ul { @for command in rest { li { code { (command) } } } }
                }
            }
        }
    }
}

fn tables(group: &str, view: &RunView, benchmarks: &[&BenchmarkView]) -> Markup {
    let unit = benchmarks[0].line().unit.name();
    let events = counters::events(benchmarks);
    let anchor = view.anchor(&format!("counts-{}", text::slug(group)));
    html! {
        section.tables #(anchor) {
            h3 { a href=(format!("#{anchor}")) { "What a " (unit) " does" (view.suffix()) } }
            div.scroll tabindex="0" role="region" aria-label=(format!("Times and counts per {unit}")) {
                table {
                    thead { tr {
                        th { "benchmark" }
                        th.num { (text::noun(benchmarks[0].quantity())) small { "95 % interval" } }
                        th.num { "CPU time" }
                        th.num { "switches" small { "vol. + invol." } } th { "system calls" } th { "audit" }
                        th.num { "counting" } th.num { "rounds" }
                    } }
                    tbody { @for benchmark in benchmarks { (main_row(&counters::row(benchmark))) } }
                }
            }
            @if let Some(note) = counters::invalid_note(benchmarks) { p.note { (note) "." } }
            (metrics(view, benchmarks))
            @if !events.is_empty() {
                details {
                    summary { "Counted events per " (unit) " (" (events.len()) ")" }
                    div.scroll tabindex="0" role="region" aria-label=(format!("Counted events per {unit}")) {
                        table {
                            thead { tr { th { "benchmark" } @for event in &events { th.num { (event) } } } }
                            tbody {
                                @for benchmark in benchmarks {
                                    tr {
                                        th scope="row" { (benchmark.name()) small { (benchmark.detail()) } }
                                        @for value in counters::event_rates(benchmark, &events) { td.num { (value) } }
                                    }
                                }
                            }
                        }
                    }
                    p.note { "≈: the event was counted for part of the time, and the count is an estimate. –: not \
                              counted." }
                }
            }
            p.note { a href=(format!("data/{anchor}.csv")) { "Data (CSV)" } }
        }
    }
}

/// What was found out beyond the figures, where anything was.
fn metrics(view: &RunView, benchmarks: &[&BenchmarkView]) -> Markup {
    let pooled =
        metrics_table::rows(benchmarks.iter().map(|benchmark| benchmark.line().id.as_str()), &view.run.benchmarks);
    let tables: [(&[&str], _); 2] =
        [(&metrics_table::PERCENTILES, pooled.distributions), (&metrics_table::FIGURES, pooled.figures)];
    html! {
        @for (head, rows) in tables.iter().filter(|(_, rows)| !rows.is_empty()) {
            div.scroll tabindex="0" role="region" aria-label="What was found out" {
                table {
                    thead { tr { @for (column, word) in head.iter().enumerate() { th.num[column > 2] { (word) } } } }
                    tbody { @for row in rows { tr {
                        @for (column, cell) in row.iter().enumerate() { td.num[column > 2] { (cell) } }
                    } } }
                }
            }
        }
    }
}

fn main_row(row: &CounterRow) -> Markup {
    html! {
        tr {
            th scope="row" { (row.name) small { (row.detail) } }
            td.num { (row.time) small { (row.interval) } } td.num { (row.cpu) } td.num { (row.switches) }
            td.calls { (row.calls) }
            td { @match row.audit {
                "ok" => b.ok { "ok" },
                "DIFFERS" => a.differs href="#audit" { "DIFFERS" },
                other => (other),
            } }
            td.num { (row.counting) }
            td.num { (row.rounds) @if let Some(discarded) = &row.discarded { small { (discarded) } } }
        }
    }
}

fn glossary(section: &Section, report: &Report) -> Markup {
    let prefix = format!("{}/", section.group);
    let mut ids: Vec<&str> = report
        .views
        .iter()
        .flat_map(|view| &view.run.benchmarks)
        .map(|line| line.mechanism.as_str())
        .filter(|id| id.starts_with(&prefix))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let known: Vec<(&str, &str)> =
        ids.into_iter().filter_map(|id| Some((id, report.catalogue.isolates(id)?))).collect();
    html! {
        @if !known.is_empty() {
            details {
                summary { "What each mechanism isolates" }
                dl {
                    @for (id, isolates) in known {
                        dt { (id.strip_prefix(&prefix).unwrap_or(id)) } dd { (isolates) }
                    }
                }
            }
        }
    }
}

fn missing(report: &Report) -> Markup {
    html! {
        section #missing {
            h2 { "What this machine cannot tell you" }
            @for view in &report.views {
                @let gaps = view.gaps();
                @if !view.name.is_empty() { h3 { "Run " (view.name) } }
                @if gaps.is_empty() { p { "Everything that was asked for was measured, counted and audited." } }
                @for gap in gaps {
                    div.gap {
                        p { b { (text::capitalised(gap.kind.name())) ": " } (text::list(&gap.what)) }
                        p.why { (text::capitalised(&gap.why)) ". " span.remedy { "Remedy: " (gap.remedy) "." } }
                    }
                }
            }
        }
    }
}

fn hosts(report: &Report) -> Markup {
    let hosts: Vec<_> = report.views.iter().map(|view| view.run.hosts.first()).collect();
    let facts: Vec<_> = hosts.iter().map(|host| host.map(host::facts).unwrap_or_default()).collect();
    let names: Vec<&str> = facts
        .iter()
        .max_by_key(|facts| facts.len())
        .map(|facts| facts.iter().map(|(name, _)| *name).collect())
        .unwrap_or_default();
    let several = report.views.len() > 1;
    html! {
        section #host {
            h2 { "The machine" @if several { "s" } }
            div.scroll tabindex="0" role="region" aria-label="The machines" {
                table.facts {
                    @if several { thead { tr { th {} @for view in &report.views { th { (view.name) } } } } }
                    tbody {
                        @for (index, name) in names.iter().enumerate() {
                            @let cells = facts.iter().map(|facts| facts.get(index).map(|(_, value)| value.as_str()));
                            @let values: Vec<&str> = cells.map(|cell| cell.unwrap_or("–")).collect();
                            tr.apart[values.windows(2).any(|pair| pair[0] != pair[1])] {
                                th scope="row" { (name) }
                                @for value in values { td { (value) } }
                            }
                        }
                    }
                }
            }
            @if several { p.note { "Rows in bold differ." } }
            @for view in &report.views {
                @let warnings = view.warnings();
                @if !warnings.is_empty() {
                    h3 #(view.anchor("noise")) { "What makes it noisy" (view.suffix()) }
                    ul.noise {
                        @for warning in warnings {
                            li {
                                b { (text::capitalised(&warning.what)) } ": " (warning.why) ". "
                                span.remedy { "Remedy: " (warning.remedy) "." }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn origin(report: &Report) -> Markup {
    html! {
        section #origin {
            h2 { "How it was made" }
            @for view in &report.views {
                @if !view.name.is_empty() { h3 { "Run " (view.name) } }
                pre { @for command in view.commands() { (command) "\n" } }
                @if let Some(host) = view.run.hosts.first() {
                    p {
                        "switchcost " (host.build.version)
                        @if let Some(revision) = &host.build.revision { ", revision " code { (revision) } }
                        @if host.build.changed == Some(true) { " with uncommitted changes" }
                        ", " (host.build.rustc) ". Host " code { (host.id) } "."
                    }
                }
            }
            p {
                "The charts are beside this page in " code { "figures/" } ", the data in " code { "data/" }
                ", a version for repositories in " code { "report.md" } "."
            }
        }
    }
}
