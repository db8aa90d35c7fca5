//! A lesson beside a reader's own record: the picture with both, and where the conclusion differs.

use maud::{Markup, html};

use super::claim::{ClaimVerdict, JudgedClaim, claims, said};
use super::evidence::Evidence;
use super::{marks, picture, site};
use crate::report::ReportFile;

/// What became of each claim on the reader's machine, a line each.
pub fn outcome(yours: &Evidence) -> Vec<String> {
    let judged = claims(yours);
    let judged = judged.iter().map(|claim| format!("{}: {}", verdict(claim), claim.sentence));
    judged.chain(said_here(yours)).collect()
}

/// The sentences that the reader's own record chooses.
fn said_here(yours: &Evidence) -> Vec<String> {
    // The one for speakers says again what the others say.
    let names = yours.lesson.source.verdicts.keys().filter(|name| *name != "speakers");
    names.map(|name| said(yours, name).unwrap_or_else(|why| format!("no sentence ({why})"))).collect()
}

fn verdict(claim: &JudgedClaim) -> String {
    match &claim.verdict {
        ClaimVerdict::Holds => "holds here".into(),
        ClaimVerdict::Opposite(figures) => format!("DIFFERS here ({figures})"),
        ClaimVerdict::NotTold(figures) => format!("not told here ({figures})"),
        ClaimVerdict::NotMeasured(why) => format!("not measured here ({why})"),
        ClaimVerdict::Wrong(why) => format!("no claim ({why})"),
    }
}

/// The lesson's page with the reader's record beside the committed one.
pub fn beside(committed: &Evidence, yours: &Evidence) -> ReportFile {
    let page = &committed.lesson.page;
    let heading = page.find("\n\n").unwrap_or(page.len());
    // Behind the picture, so that the page still asks for a guess first.
    let behind = page.find("\n## Why").unwrap_or(heading);
    let section = section(committed, yours).into_string();
    let page = format!(
        "{}\n\n**This page has your own figures**: [on your machine](#yours).{}\n{section}\n{}",
        &page[..heading],
        &page[heading..behind],
        &page[behind..]
    );
    let lesson = super::Lesson { page, ..committed.lesson.clone() };
    ReportFile {
        path: "lesson.html".into(),
        text: site::lesson_page(&lesson, picture::figure(committed, Some(yours)), &[]),
    }
}

/// What the record says, in words and figures. Without line breaks: Markdown takes it for one block.
fn section(committed: &Evidence, yours: &Evidence) -> Markup {
    let judged = claims(yours);
    let count = |wanted: fn(&ClaimVerdict) -> bool| judged.iter().filter(|claim| wanted(&claim.verdict)).count();
    let holding = count(|verdict| *verdict == ClaimVerdict::Holds);
    let opposite = count(|verdict| matches!(verdict, ClaimVerdict::Opposite(_)));
    let figures = marks::figures(&committed.lesson.page);
    let in_words = |evidence: &Evidence, how: &str, what: &str| {
        // The interval belongs to the figure.
        let how = if how == "time" { "told" } else { how };
        marks::in_words(evidence, how, what).unwrap_or_else(|_| "–".into())
    };
    html! {
        section.yours #yours {
            h2 { "On your machine" }
            p {
                (yours.source()) ". "
                @if !judged.is_empty() { "Of " (judged.len()) " claims of this page, " (holding) " hold here" }
                @if opposite > 0 { ", and of " (opposite) " the opposite is true" }
                @if !judged.is_empty() { "." }
            }
            ul {
                @for claim in &judged {
                    li.differs[matches!(claim.verdict, ClaimVerdict::Opposite(_))] {
                        b { (verdict(claim)) } ": " (claim.sentence)
                    }
                }
                @for sentence in said_here(yours) { li { (sentence.trim_matches('*')) } }
            }
            div.scroll tabindex="0" role="region" aria-label="The figures of both" {
                table {
                    thead { tr { th { "figure" } th.num { "on this page" } th.num { "here" } } }
                    tbody {
                        @for (how, what) in &figures {
                            tr {
                                th scope="row" { (what.replace('_', " ")) }
                                td.num { (in_words(committed, how, what)) }
                                td.num { (in_words(yours, how, what)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
