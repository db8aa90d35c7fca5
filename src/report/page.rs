//! The report as one HTML page: nothing to load, no script, light and dark, for a phone, a screen and paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::counters::{self, Row};
use super::figure::{Figure, Frame, MARKS, TOKENS};
use super::findings_table;
use super::machine;
use super::missing::Trouble;
use super::outline::{Outline, Section};
use super::study::{Bench, Study};
use super::text;

const PAGE: &str = include_str!("page.css");

/// The page.
pub(super) fn page(outline: &Outline) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Browsers ask the network for an icon unless the page has one.
                link rel="icon" href="data:,";
                title { "switchcost: " (outline.title()) }
                style { (PreEscaped(TOKENS)) (PreEscaped(MARKS)) (PreEscaped(PAGE)) }
            }
            body {
                main {
                    (header(outline))
                    (alerts(outline))
                    (reading(outline))
                    @for section in &outline.sections { (group(section, outline)) }
                    (missing(outline))
                    (hosts(outline))
                    (origin(outline))
                }
            }
        }
    }
    .into_string()
}

fn header(outline: &Outline) -> Markup {
    html! {
        header {
            p.kicker { "switchcost report" }
            h1 { (text::unbroken(&outline.title())) }
            @for study in &outline.studies {
                @if study.name.is_empty() {
                    p.lead { (overview(study)) }
                } @else {
                    p.lead { b { (study.name) } " " (study.described()) ". " (overview(study)) }
                }
            }
            nav aria-label="Contents" {
                ul {
                    @for section in &outline.sections {
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

/// What was measured and whether it may be believed, in a few sentences.
pub(super) fn overview(study: &Study) -> String {
    let when = study.run.machines.first().map(|machine| machine::when(machine.started_ms));
    let when = when.filter(|_| study.name.is_empty()).map(|when| format!(", {when}")).unwrap_or_default();
    let mut sentences = vec![format!("{}{when}.", measured(study))];
    sentences.extend(verdicts(study));
    match (study.failures().len(), study.unsupported()) {
        (0, 0) => {}
        (0, unsupported) => sentences.push(format!("{} cannot run here.", text::count(unsupported, "benchmark"))),
        (failed, 0) => sentences.push(format!("{failed} failed.")),
        (failed, unsupported) => sentences.push(format!("{failed} failed, {unsupported} cannot run here.")),
    }
    sentences.join(" ")
}

/// How many benchmarks and rounds; pairs of CPUs are parts of a map and no benchmarks by themselves.
fn measured(study: &Study) -> String {
    let benches = study.in_placements().count();
    let pairs = study.benches.len() - benches;
    let map = format!("map of {} of CPUs", text::count(pairs, "pair"));
    let in_rounds = || format!("{} in {}", text::count(benches, "benchmark"), text::count(study.rounds(), "round"));
    match (benches, pairs) {
        (_, 0) => in_rounds(),
        (0, _) => format!("A {map}"),
        _ => format!("{} and a {map}", in_rounds()),
    }
}

/// What came of the audits; nothing of a map alone.
fn verdicts(study: &Study) -> Option<String> {
    let benches = study.in_placements().count();
    if benches == 0 && !study.benches.is_empty() {
        return None;
    }
    let (ok, differs, not_asked_for) = (study.audited("ok"), study.audited("DIFFERS"), study.not_audited());
    let impossible = study.audited("none").saturating_sub(not_asked_for);
    if ok == benches {
        return Some(format!("All {ok} audits hold."));
    }
    if not_asked_for == benches {
        return Some("No audit was asked for.".into());
    }
    let further = [(differs, "differ"), (impossible, "could not be made"), (not_asked_for, "were not asked for")];
    let further = further.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    Some(format!("{ok} audits hold{}.", further.collect::<String>()))
}

/// What a reader must know before believing a figure.
fn alerts(outline: &Outline) -> Markup {
    let of_study = |study: &Study, troubles: Vec<Trouble>| -> Vec<(String, String)> {
        let run = study.suffix();
        troubles.into_iter().map(|trouble| (trouble.id, format!("{run}: {}", trouble.what))).collect()
    };
    let differ: Vec<_> = outline.studies.iter().flat_map(|study| of_study(study, study.differences())).collect();
    let failed: Vec<_> = outline.studies.iter().flat_map(|study| of_study(study, study.failures())).collect();
    html! {
        @if !differ.is_empty() {
            section.alert.bad #audit {
                h2 { "Audits that differ" }
                p { "These benchmarks did something else per operation than their mechanism says. Do not compare them before that is understood." }
                (troubles(&differ))
            }
        }
        @if !failed.is_empty() {
            section.alert.bad #failed {
                h2 { "Benchmarks that failed" }
                (troubles(&failed))
            }
        }
        @if let Some(warning) = outline.single_rounds_warning() {
            @let (command, helps) = outline.single_rounds_remedy();
            section.alert #rounds { p { (warning) " " code { (command) } " " (helps) } }
        }
        @if outline.studies.iter().any(|study| study.run.torn) {
            section.alert #torn { p { "The last line of a record was cut short by a kill and is lost." } }
        }
    }
}

fn troubles(troubles: &[(String, String)]) -> Markup {
    html! { ul { @for (id, what) in troubles { li { code { (id) } (what) } } } }
}

fn reading(outline: &Outline) -> Markup {
    let shown: Vec<&str> =
        outline.studies.iter().flat_map(|s| s.in_placements()).map(|b| b.line().setting.placement.name()).collect();
    let mut benches = outline.studies.iter().flat_map(|study| study.in_placements());
    let screened = benches.any(|bench| bench.summary.set_aside > 0.0);
    html! {
        section #reading {
            h2 { "How to read it" }
            ul.reading {
                li { b { "Time" } " is per operation, from samples without counters: the median of the rounds' medians, with a 95 % interval. Where two intervals overlap, the order of the two is not established." }
                li { b { "Counts" } " come from samples of their own, because counting slows what it counts; " i { "counting" } " says by how much." }
                li { b { "Audit" } " compares system calls and switches per operation with what the mechanism says it does: " b.ok { "ok" } ", " b.differs { "DIFFERS" } ", or none where it could not be made." }
                @if screened {
                    li {
                        b { "Set aside" } " is what was measured while a CPU ran slower than at its best; " i { "rounds" }
                        " says how many count, and of how many where some do not."
                    }
                }
                @if shown.contains(&"unpinned") && shown.len() > 1 {
                    li { b { "Placement" } " says where the tasks may run. " i { "same-cpu" } " is the switch alone; across CPUs a wakeup has to reach another CPU, which often sleeps." }
                }
            }
        }
    }
}

fn group(section: &Section, outline: &Outline) -> Markup {
    let anchor = text::slug(&section.group);
    html! {
        section.group #(anchor) {
            h2 { span.kicker { (section.group) } (section.question) }
            @if section.figures.is_empty() { p { "Nothing of this group could be measured; " a href="#missing" { "why" } "." } }
            @for (figure, commands) in &section.figures { (show(figure, commands)) }
            @for study in &outline.studies {
                @let benches = study.of_group(&section.group);
                @if !benches.is_empty() { (tables(&section.group, study, &benches)) }
            }
            (glossary(section, outline))
        }
    }
}

fn show(figure: &Figure, commands: &[String]) -> Markup {
    html! {
        figure #(figure.id) {
            h3 { a href=(format!("#{}", figure.id)) { (figure.title) } }
            p.says { (text::unbroken(&figure.says)) }
            (figure.inline(Frame::WIDE))
            (figure.inline(Frame::NARROW))
            figcaption {
                @if let Some(key) = &figure.key { p { (key) } }
                p {
                    a href=(data_url(&figure.csv)) download=(format!("{}.csv", figure.id)) { "Data (CSV)" }
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
                details { summary { "and " (text::count(rest.len(), "other command")) } ul { @for command in rest { li { code { (command) } } } } }
            }
        }
    }
}

/// The data inside the page, so that the page alone is enough.
fn data_url(csv: &str) -> String {
    let mut url = String::from("data:text/csv;charset=utf-8,");
    for byte in csv.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b',' | b':' => {
                url.push(byte.into())
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

fn tables(group: &str, study: &Study, benches: &[&Bench]) -> Markup {
    let unit = benches[0].line().unit.name();
    let events = counters::events(benches);
    let anchor = study.anchor(&format!("counts-{}", text::slug(group)));
    html! {
        section.tables #(anchor) {
            h3 { a href=(format!("#{anchor}")) { "What a " (unit) " does" (study.suffix()) } }
            div.scroll tabindex="0" role="region" aria-label=(format!("Times and counts per {unit}")) {
                table {
                    thead { tr {
                        th { "benchmark" } th.num { (text::noun(benches[0].quantity())) small { "95 % interval" } } th.num { "CPU time" }
                        th.num { "switches" small { "vol. + invol." } } th { "system calls" } th { "audit" }
                        th.num { "counting" } th.num { "rounds" }
                    } }
                    tbody { @for bench in benches { (main_row(&counters::row(bench))) } }
                }
            }
            @if let Some(note) = counters::void_note(benches) { p.note { (note) "." } }
            (findings(study, benches))
            @if !events.is_empty() {
                details {
                    summary { "Counted events per " (unit) " (" (events.len()) ")" }
                    div.scroll tabindex="0" role="region" aria-label=(format!("Counted events per {unit}")) {
                        table {
                            thead { tr { th { "benchmark" } @for event in &events { th.num { (event) } } } }
                            tbody {
                                @for bench in benches {
                                    tr {
                                        th scope="row" { (bench.name()) small { (bench.detail()) } }
                                        @for value in counters::event_rates(bench, &events) { td.num { (value) } }
                                    }
                                }
                            }
                        }
                    }
                    p.note { "≈: the event had a counter part of the time, and the rest is estimated. –: not counted." }
                }
            }
            p.note { a href=(data_url(&counters::csv(benches))) download=(format!("{anchor}.csv")) { "Data (CSV)" } }
        }
    }
}

/// What was found out beyond the figures, where anything was.
fn findings(study: &Study, benches: &[&Bench]) -> Markup {
    let found = findings_table::rows(benches.iter().map(|bench| bench.line().id.as_str()), &study.run.benchmarks);
    let tables: [(&[&str], _); 2] =
        [(&findings_table::PERCENTILES, found.distributions), (&findings_table::FIGURES, found.figures)];
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

fn main_row(row: &Row) -> Markup {
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
            td.num { (row.rounds) @if let Some(set_aside) = &row.set_aside { small { (set_aside) } } }
        }
    }
}

fn glossary(section: &Section, outline: &Outline) -> Markup {
    let prefix = format!("{}/", section.group);
    let mut ids: Vec<&str> = outline
        .studies
        .iter()
        .flat_map(|study| &study.run.benchmarks)
        .map(|line| line.mechanism.as_str())
        .filter(|id| id.starts_with(&prefix))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let known: Vec<(&str, &str)> =
        ids.into_iter().filter_map(|id| Some((id, outline.catalogue.isolates(id)?))).collect();
    html! {
        @if !known.is_empty() {
            details {
                summary { "What each mechanism isolates" }
                dl { @for (id, isolates) in known { dt { (id.strip_prefix(&prefix).unwrap_or(id)) } dd { (isolates) } } }
            }
        }
    }
}

fn missing(outline: &Outline) -> Markup {
    html! {
        section #missing {
            h2 { "What this machine cannot tell you" }
            @for study in &outline.studies {
                @let gaps = study.gaps();
                @if !study.name.is_empty() { h3 { "Run " (study.name) } }
                @if gaps.is_empty() { p { "Everything that was asked for was measured, counted and audited." } }
                @for gap in gaps {
                    div.gap {
                        p { b { (text::capitalised(gap.kind.name())) ": " } (text::list(&gap.what)) }
                        p.why { (text::capitalised(&gap.reason)) ". " span.remedy { "Remedy: " (gap.remedy) "." } }
                    }
                }
            }
        }
    }
}

fn hosts(outline: &Outline) -> Markup {
    let machines: Vec<_> = outline.studies.iter().map(|study| study.run.machines.first()).collect();
    let facts: Vec<_> = machines.iter().map(|machine| machine.map(machine::facts).unwrap_or_default()).collect();
    let names: Vec<&str> = facts
        .iter()
        .max_by_key(|facts| facts.len())
        .map(|facts| facts.iter().map(|(name, _)| *name).collect())
        .unwrap_or_default();
    let several = outline.studies.len() > 1;
    html! {
        section #host {
            h2 { "The machine" @if several { "s" } }
            div.scroll tabindex="0" role="region" aria-label="The machines" {
                table.facts {
                    @if several { thead { tr { th {} @for study in &outline.studies { th { (study.name) } } } } }
                    tbody {
                        @for (index, name) in names.iter().enumerate() {
                            @let values: Vec<&str> = facts.iter().map(|facts| facts.get(index).map_or("–", |(_, value)| value.as_str())).collect();
                            tr.apart[values.windows(2).any(|pair| pair[0] != pair[1])] {
                                th scope="row" { (name) }
                                @for value in values { td { (value) } }
                            }
                        }
                    }
                }
            }
            @if several { p.note { "Rows in bold differ." } }
            @for study in &outline.studies {
                @let warnings = study.warnings();
                @if !warnings.is_empty() {
                    h3 #(study.anchor("noise")) { "What makes it noisy" (study.suffix()) }
                    ul.noise {
                        @for warning in warnings {
                            li { b { (text::capitalised(&warning.what)) } ": " (warning.why) ". " span.remedy { "Remedy: " (warning.remedy) "." } }
                        }
                    }
                }
            }
        }
    }
}

fn origin(outline: &Outline) -> Markup {
    html! {
        section #origin {
            h2 { "How it was made" }
            @for study in &outline.studies {
                @if !study.name.is_empty() { h3 { "Run " (study.name) } }
                pre { @for command in study.commands() { (command) "\n" } }
                @if let Some(machine) = study.run.machines.first() {
                    p {
                        "switchcost " (machine.suite.version)
                        @if let Some(revision) = &machine.suite.revision { ", revision " code { (revision) } }
                        @if machine.suite.changed == Some(true) { " with uncommitted changes" }
                        ", " (machine.suite.rustc) ". Host " code { (machine.id) } "."
                    }
                }
            }
            p { "The pictures lie beside this page in " code { "figures/" } ", the data in " code { "data/" } ", a version for repositories in " code { "report.md" } "." }
        }
    }
}
