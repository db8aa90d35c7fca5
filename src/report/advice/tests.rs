use std::path::Path;

use super::*;
use crate::advise::AdviceVerdict;
use crate::advise::made_up_program::{blocking_server, calibrations, observed, wait};
use crate::terms::{Shortfall, WaitKind};

fn record() -> AdviceRecord {
    AdviceRecord::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/advice")).unwrap()
}

fn file<'a>(files: &'a [ReportFile], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

#[test]
fn the_page_has_the_verdict_first_and_every_picture_with_its_data() {
    let files = advice_files(&record());
    let page = file(&files, PAGE);
    let lead = page.find("p class=\"lead\"").unwrap();
    assert!(page[lead..lead + 80].contains("YES"), "{}", &page[lead..lead + 80]);
    for id in ["cpu-by-cause", "cpu-against-load", "depth"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        assert!(file(&files, &format!("figures/{id}.svg")).starts_with("<svg"), "{id}");
        assert!(file(&files, &format!("data/{id}.csv")).lines().count() > 3, "{id}");
    }
    assert_eq!(file(&files, "advice.txt"), advice_text(&advice_of(&record())));
}

#[test]
fn the_text_begins_with_the_verdict_and_its_number() {
    let text = advice_text(&advice_of(&record()));
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("YES: epoll would save 24 % of its CPU time (1"), "{first}");
    for word in ["evidence", "saving", "load", "elsewhere", "memory", "watching", "crossover"] {
        assert_eq!(text.contains(&format!("\n  {word}")), word != "crossover", "{word}: {text}");
    }
    assert!(text.contains("below 0.371 times it epoll costs more"), "{text}");
}

#[test]
fn a_program_that_a_loop_does_not_help_is_told_what_to_look_at() {
    let locks = observed(vec![wait(WaitKind::Lock, "futex", 32, 400_000.0)]);
    let record = AdviceRecord { observation: locks, ..record() };
    assert_eq!(advice_of(&record).verdict, AdviceVerdict::No);
    let files = advice_files(&record);
    let page = file(&files, PAGE);
    assert!(page.contains("What to look at instead") && page.contains("perf lock contention"));
    assert!(page.contains("Waits that would stay"));
}

#[test]
fn names_and_reasons_are_text_and_no_markup() {
    let mut observation = blocking_server();
    observation.command = "<img>&\"'".into();
    observation.waits[0].call = "<i>".into();
    observation.unseen = vec![Shortfall::new("<u>", "`<s>`", "run `<em>`")];
    let record = AdviceRecord { observation, calibrations: calibrations(7000.0), ..record() };
    let files = advice_files(&record);
    for file in files.iter().filter(|file| file.path.ends_with(".svg") || file.path == PAGE) {
        for tag in ["<img>", "<i>", "<u>", "<s>", "<em>"] {
            assert!(!file.text.contains(tag), "{tag} in {}", file.path);
        }
    }
}
