//! The advice as one HTML page, in the look of a run's report.

use maud::{Markup, html};

use super::advice_text::{load, share};
use crate::advise::{Advice, AdviceVerdict, TargetPrediction};
use crate::record::AdviceRecord;
use crate::report::figure::Figure;
use crate::report::{host, page, text};
use crate::units::Quantity;

/// The page.
pub(super) fn page(record: &AdviceRecord, advice: &Advice, figures: &[Figure]) -> String {
    let title = format!("should {} switch to async?", record.observation.command);
    let body = html! {
        header {
            p.kicker { "switchcost advise" }
            h1 { (text::unbroken(&text::capitalised(&title))) }
            p.lead {
                b { (advice.verdict.in_words()) } ": " (text::unbroken(&advice.sentence)) ". "
                (watched(record)) "."
            }
        }
        section.answers {
            h2 { "Why" }
            ul { @for line in &advice.evidence { li { (text::unbroken(&text::capitalised(line))) "." } } }
        }
        (instead(advice))
        (predictions(advice))
        @for figure in figures { section { (page::show(figure, &[])) } }
        (staying(advice))
        (unseen(advice))
        (origin(record))
    };
    page::document(&title, "", &body)
}

fn watched(record: &AdviceRecord) -> String {
    let observation = &record.observation;
    let seconds = text::significant(observation.wall.0 as f64 / 1e9);
    let threads = text::count(usize::try_from(observation.threads_peak).unwrap_or(usize::MAX), "thread");
    format!("Process {} was watched for {seconds} s; it had up to {threads}", observation.pid)
}

fn instead(advice: &Advice) -> Markup {
    html! {
        @if !advice.instead.is_empty() {
            section {
                h2 { @if advice.verdict == AdviceVerdict::No { "What to look at instead" } @else { "What would help" } }
                ul { @for line in &advice.instead { li { (code_in(line)) } } }
            }
        }
    }
}

/// What stands between backquotes is code.
fn code_in(line: &str) -> Markup {
    html! {
        @for (index, part) in line.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn predictions(advice: &Advice) -> Markup {
    let requests = advice.requests.is_some();
    let row = |prediction: &TargetPrediction| {
        let request = prediction.per_request.map_or_else(
            || "–".into(),
            |request| {
                let [low, high] = [request.predicted.low, request.predicted.high].map(text::nanos);
                format!(
                    "{} ({low} to {high}), now {}",
                    text::nanos(request.predicted.estimate),
                    text::nanos(request.now)
                )
            },
        );
        let cost = &prediction.per_switch;
        html! {
            tr {
                th scope="row" { (prediction.target.in_words()) }
                td.num { (share(&prediction.share)) }
                td.num { (text::significant(prediction.predicted.estimate)) }
                td.num {
                    (text::nanos(cost.estimate))
                    small { (text::nanos(cost.low)) " to " (text::nanos(cost.high)) }
                }
                td.num { (prediction.events_per_wake.map_or_else(|| "–".into(), text::significant)) }
                @if requests { td { (request) } }
            }
        }
    };
    html! {
        @if !advice.targets.is_empty() {
            section {
                h2 { "With an event loop" }
                div.scroll tabindex="0" role="region" aria-label="Predictions" {
                    table {
                        thead { tr {
                            th { "loop" } th.num { "CPU time saved" small { "95 % interval" } } th.num { "CPUs in use" }
                            th.num { "saved a wait" } th.num { "events at a wake" }
                            @if requests { th { "CPU time a request" } }
                        } }
                        tbody { @for prediction in &advice.targets { (row(prediction)) } }
                    }
                }
                @for best in advice.targets.iter().filter(|prediction| Some(prediction.target) == advice.target) {
                    p.note { (text::capitalised(&load(best))) "." }
                }
                @if let Some(memory) = &advice.memory {
                    p.note {
                        "Its threads hold " (text::amount(Quantity::Bytes, memory.held)) " in stacks"
                        @if let Some(tasks) = memory.tasks {
                            "; as many tasks would hold " (text::amount(Quantity::Bytes, tasks))
                        }
                        "."
                    }
                }
            }
        }
    }
}

fn staying(advice: &Advice) -> Markup {
    html! {
        @if !advice.staying.is_empty() {
            section {
                h2 { "Waits that would stay" }
                div.scroll tabindex="0" role="region" aria-label="Waits that would stay" {
                    table {
                        thead { tr { th { "call" } th.num { "waits a second" } th.num { "threads at once" } } }
                        tbody {
                            @for wait in &advice.staying {
                                tr {
                                    th scope="row" { (wait.call) }
                                    td.num { (text::rate(wait.switches)) } td.num { (text::significant(wait.threads)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn unseen(advice: &Advice) -> Markup {
    html! {
        section #missing {
            h2 { "What was not seen" }
            @if advice.unseen.is_empty() { p { "Everything that was looked for." } }
            @for gap in &advice.unseen {
                div.gap {
                    p { b { (text::capitalised(&gap.what)) } }
                    p.why { (text::capitalised(&gap.why)) ". " span.remedy { "Remedy: " (code_in(&gap.remedy)) "." } }
                }
            }
        }
    }
}

fn origin(record: &AdviceRecord) -> Markup {
    html! {
        section #host {
            h2 { "The machine" }
            table.facts {
                tbody {
                    @for (name, value) in host::facts(&record.host) { tr { th scope="row" { (name) } td { (value) } } }
                }
            }
        }
        section #origin {
            h2 { "How it was made" }
            pre { (record.host.argv.join(" ")) }
            p.note {
                "The advice is computed from " code { "advice.json" } ": "
                code { "switchcost advise --from FOLDER" } " computes it again."
            }
        }
    }
}
