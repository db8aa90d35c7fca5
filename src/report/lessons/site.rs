//! The lessons as pages of HTML: nothing to load, no script, light and dark, for a phone, a screen and paper.

use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

use super::evidence::Evidence;
use super::source::Lesson;
use super::{NOT_MEASURED, PICTURES, marks, picture};
use crate::report::ReportFile;
use crate::report::figure::Figure;
use crate::report::page::document;
use crate::report::text;

const LESSONS: &str = include_str!("lessons.css");

/// The page for speakers, beside the lessons.
pub const SPEAKERS: &str = "speakers";

/// The site of all lessons; `index` is the page that lists them.
pub fn site(lessons: &[Evidence], index: &str) -> Vec<ReportFile> {
    let all: Vec<&Lesson> = lessons.iter().map(|evidence| evidence.lesson).collect();
    let file = |name: &str, text: String| ReportFile { path: format!("{name}.html"), text };
    let mut files = vec![
        file(
            "index",
            document("Lessons", LESSONS, &html! { article.lesson { (PreEscaped(rendered(&marks::without(index)))) } }),
        ),
        file(SPEAKERS, document("For speakers", LESSONS, &slides(lessons))),
    ];
    for evidence in lessons {
        let figure = picture::figure(evidence, None);
        files.push(file(&evidence.lesson.name, lesson_page(evidence.lesson, figure, &all)));
    }
    files
}

/// One lesson, with links to those before and behind it among `all`.
pub(super) fn lesson_page(lesson: &Lesson, figure: Option<Figure>, all: &[&Lesson]) -> String {
    let shown = figure.map_or_else(|| html! { p.note { "(" (NOT_MEASURED) ")" } }, |figure| shown(&figure));
    let page = marks::with_block(&lesson.page, "picture", &format!("\n{}\n", shown.into_string()));
    let at = all.iter().position(|other| other.name == lesson.name);
    let before = at.and_then(|at| all.get(at.checked_sub(1)?));
    let behind = at.and_then(|at| all.get(at + 1));
    let body = html! {
        @if at.is_some() {
            nav.lessons aria-label="Lessons" {
                a href="index.html" { "All lessons" }
                a href=(format!("{SPEAKERS}.html")) { "For speakers" }
            }
        }
        article.lesson { (PreEscaped(rendered(&marks::unmarked(&page)))) }
        @if at.is_some() {
            nav.lessons aria-label="Next" {
                @if let Some(before) = before {
                    a href=(format!("{}.html", before.name)) { "← " (before.title()) }
                }
                @if let Some(behind) = behind {
                    a.next href=(format!("{}.html", behind.name)) { (behind.title()) " →" }
                }
            }
        }
    };
    document(lesson.title(), LESSONS, &body)
}

/// What a forge shows for a folder is the site's first page.
const INDEX: &str = "README";

fn shown(figure: &Figure) -> Markup {
    html! {
        figure #(figure.id) {
            p.title { b { (figure.title) } }
            p.subtitle { (text::unbroken(&figure.subtitle)) }
            (figure.inline())
            figcaption { p { @if let Some(key) = &figure.key { (key) " " } (text::capitalised(&figure.basis)) "." } }
        }
    }
}

/// Each picture alone, with its sentence and its command.
fn slides(lessons: &[Evidence]) -> Markup {
    html! {
        nav.lessons aria-label="Lessons" { a href="index.html" { "All lessons" } }
        @for evidence in lessons {
            section.slide #(evidence.lesson.name) {
                h1 { (evidence.lesson.title()) }
                @match picture::figure(evidence, None) {
                    Some(figure) => div.large { (figure.inline()) },
                    None => p.note { (NOT_MEASURED) },
                }
                p.sentence { (text::unbroken(&sentence(evidence.lesson))) }
                p.command { code { (evidence.lesson.command()) } " · " (evidence.source()) }
            }
        }
    }
}

fn sentence(lesson: &Lesson) -> String {
    marks::block(&lesson.page, "sentence").unwrap_or_default()
}

/// The page for speakers in Markdown, from pages that are in step.
pub fn speakers(lessons: &[Evidence]) -> String {
    let mut out = vec![
        "# For speakers".to_string(),
        marks::wrapped(
            "Each lesson's picture alone, with one sentence and the command that makes the figure again. The pictures \
             are SVG files, which programs for slides take; `switchcost lessons --out DIR` makes a page with a slide \
             each. `scripts/splice` writes this page.",
            "",
            "",
        ),
    ];
    for evidence in lessons {
        let lesson = evidence.lesson;
        let picture = &lesson.source.picture;
        out.push(format!("## {}", lesson.title()));
        out.push(format!("![{}. {}]({PICTURES}/{}.svg)", picture.title, picture.shows, lesson.name));
        out.push(marks::wrapped(&sentence(lesson), "", ""));
        out.push(format!("[The lesson]({}.md): `{}`", lesson.name, lesson.command()));
    }
    out.join("\n\n") + "\n"
}

/// Markdown as HTML. A link to a lesson leads to its page; one to another file of the repository, which the site does
/// not hold, names the file.
fn rendered(markdown: &str) -> String {
    let mut elsewhere = Vec::new();
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => match beside(&dest_url) {
            Some(dest_url) => {
                elsewhere.push(false);
                Event::Start(Tag::Link { link_type, dest_url, title, id })
            }
            None => {
                elsewhere.push(true);
                let path = html! { (dest_url.trim_start_matches("../")) }.into_string();
                Event::InlineHtml(CowStr::from(format!("<span class=\"elsewhere\" title=\"{path}\">")))
            }
        },
        Event::End(TagEnd::Link) if elsewhere.pop() == Some(true) => Event::InlineHtml("</span>".into()),
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

/// Where a link leads in the site; `None` where the site does not hold it.
fn beside(target: &str) -> Option<CowStr<'static>> {
    if target.contains("://") || target.starts_with('#') {
        return Some(target.to_string().into());
    }
    let (page, anchor) = target.split_once('#').map_or((target, String::new()), |(page, at)| (page, format!("#{at}")));
    let name = page.strip_suffix(".md").filter(|name| !name.contains('/'))?;
    let name = if name == INDEX { "index" } else { name };
    Some(format!("{name}.html{anchor}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_of_the_site_or_name_the_file() {
        let html = rendered("[a](01-x.md) [b](README.md#c) [d](../../src/x.rs) [e](https://example.org)");
        for part in ["href=\"01-x.html\"", "href=\"index.html#c\"", "title=\"src/x.rs\">d</span>", "href=\"https:"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
