//! The lessons: pages in step with their records and the code, claims that follow, sites that work without network and
//! script, and for each lesson a record in which the effect is reversed.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use switchcost::harness::Choice;
use switchcost::harness::rounds::Profile;
use switchcost::record::{BenchmarkLine, Outcome, Run, Sample, read_only};
use switchcost::report::ReportFile;
use switchcost::report::lessons::{
    ClaimVerdict, Evidence, Lesson, SPEAKERS, beside, claims, outcome, picture, questions, site, speakers, spliced,
};
use switchcost::terms::Metric;
use switchcost::units::Amount;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    root().join("docs/lessons")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What quotations are taken from.
fn file_of_clone(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(root().join(path))
}

struct Material {
    lesson: Lesson,
    runs: BTreeMap<String, Run>,
}

impl Material {
    fn evidence(&self) -> Evidence<'_> {
        Evidence::committed(&self.lesson, &self.runs)
    }
}

/// Every lesson, with the records that are there.
static ALL: LazyLock<Vec<Material>> = LazyLock::new(|| {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let numbered = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(|first: char| first.is_ascii_digit()) && name.ends_with(".md")
    };
    let mut pages: Vec<PathBuf> = entries.filter(numbered).collect();
    pages.sort();
    pages.iter().map(|page| material(page)).collect()
});

fn material(page: &Path) -> Material {
    let name = page.file_stem().unwrap().to_str().unwrap();
    let lesson = Lesson::new(name, text(page), &text(&page.with_extension("toml"))).unwrap();
    let mut runs = BTreeMap::new();
    for (name, source) in lesson.records() {
        let found = match source.folder.strip_prefix('*') {
            None => Some(root().join("reports").join(&source.folder)),
            Some(ending) => {
                let entries = std::fs::read_dir(root().join("reports")).unwrap().map(|entry| entry.unwrap().path());
                entries.filter(|path| path.to_str().unwrap().ends_with(ending)).max()
            }
        };
        if let Some(folder) = found.filter(|folder| folder.join("records.jsonl").is_file()) {
            runs.insert(name.to_string(), read_only(&folder, &lesson.ids(name)).unwrap());
        }
    }
    Material { lesson, runs }
}

#[test]
fn there_are_ten_lessons_and_the_index_lists_them() {
    let numbers: Vec<usize> = ALL.iter().map(|material| material.lesson.number).collect();
    assert_eq!(numbers, (0..=9).collect::<Vec<_>>());
    let index = text(&folder().join("README.md"));
    for Material { lesson, .. } in ALL.iter() {
        let question = lesson.title().split_once(". ").unwrap().1;
        let row = format!("| [{}]({}.md) | {question} |", lesson.number, lesson.name);
        assert!(index.contains(&row), "docs/lessons/README.md has no row `{row}`");
    }
}

#[test]
fn every_page_and_picture_is_in_step_with_its_record_and_the_code() {
    for material in ALL.iter() {
        let (lesson, evidence) = (&material.lesson, material.evidence());
        let filled = spliced(&evidence, &file_of_clone);
        assert_eq!(filled.complaints, Vec::<String>::new(), "{}", lesson.name);
        assert!(filled.page == lesson.page, "{}.md is out of step: run scripts/splice", lesson.name);
        let drawn = picture(&evidence);
        assert!(text(&folder().join(&drawn.path)) == drawn.text, "{} is out of step: run scripts/splice", drawn.path);
    }
    let all: Vec<Evidence> = ALL.iter().map(Material::evidence).collect();
    assert!(speakers(&all) == text(&folder().join("speakers.md")), "speakers.md is out of step: run scripts/splice");
}

#[test]
fn every_claim_follows_from_the_record_that_is_there() {
    let mut judged = 0;
    for material in ALL.iter() {
        for claim in claims(&material.evidence()) {
            let is_absent = matches!(claim.verdict, ClaimVerdict::NotMeasured(_)) && material.runs.is_empty();
            assert!(claim.verdict == ClaimVerdict::Holds || is_absent, "{}: {claim:#?}", material.lesson.name);
            judged += usize::from(!is_absent);
        }
    }
    assert!(judged > 30, "only {judged} claims were judged");
}

/// The record with each cost `c` in place of its reciprocal: whatever was more is less.
fn reversed(run: &Run) -> Run {
    /// In the middle of what costs are, so that reciprocals are no fractions of a nanosecond.
    const MIDDLE: f64 = 1e5;
    let mut run = run.clone();
    for line in &mut run.benchmarks {
        let Outcome::Measured(measured) = &mut line.outcome else { continue };
        for sample in &mut measured.samples {
            let per_op = MIDDLE * MIDDLE / sample.per_op().max(1.0);
            *sample = Sample { amount: Amount((per_op * sample.ops.0 as f64) as u64), probe: None, ..*sample };
        }
        for metric in &mut measured.metrics {
            if let Metric::Scalar(scalar) = metric {
                scalar.value = 1.0 / scalar.value;
                scalar.interval = scalar.interval.map(|(low, high)| (1.0 / high, 1.0 / low));
            }
        }
    }
    run
}

/// A made-up record of a lesson whose own is not there: `costs` by the beginning of a figure's id, each in six rounds.
fn made_up(lesson: &Lesson, template: &BenchmarkLine, costs: &[(&str, u64)]) -> Run {
    let names: Vec<&str> = lesson.records().map(|(name, _)| name).collect();
    let mut run = Run::default();
    for id in names.iter().flat_map(|name| lesson.ids(name)) {
        let cost = costs.iter().find(|(known, _)| *known == id).map_or(5000, |(_, cost)| *cost);
        for round in 0..6 {
            let mut line = template.clone();
            (line.id, line.round) = (id.into(), round);
            let Outcome::Measured(measured) = &mut line.outcome else { panic!("not measured") };
            let sample = measured.samples[0];
            // Rounds differ by a thousandth.
            let amount = cost * sample.ops.0 * (1000 + u64::from(round)) / 1000;
            measured.samples = vec![Sample { amount: Amount(amount), probe: None, ..sample }; 10];
            measured.metrics.clear();
            run.benchmarks.push(line);
        }
    }
    run
}

fn template() -> &'static BenchmarkLine {
    let runs = ALL.iter().flat_map(|material| material.runs.values());
    let mut lines = runs.flat_map(|run| &run.benchmarks);
    lines.find(|line| matches!(line.outcome, Outcome::Measured(_))).unwrap()
}

/// A record in which the effect is reversed is noticed on each page, by its claims or the sentences that it chooses.
#[test]
fn a_reversed_effect_is_noticed_in_each_lesson() {
    for material in ALL.iter().filter(|material| !material.runs.is_empty()) {
        let runs: BTreeMap<String, Run> =
            material.runs.iter().map(|(name, run)| (name.clone(), reversed(run))).collect();
        let judged = claims(&Evidence::committed(&material.lesson, &runs));
        // Where the record chooses every sentence, `sentences_that_the_record_chooses_follow_it` reverses it.
        if judged.is_empty() && CHOSEN.iter().any(|chosen| chosen.lesson == material.lesson.number) {
            continue;
        }
        let opposite = judged.iter().filter(|claim| matches!(claim.verdict, ClaimVerdict::Opposite(_))).count();
        assert!(opposite > 0, "{}: every claim survives the opposite record: {judged:#?}", material.lesson.name);
    }
}

/// A sentence that a page has when one figure is more than another, and when it is less.
struct ChosenSentence {
    lesson: usize,
    dear: &'static str,
    cheap: &'static str,
    said: &'static str,
    opposite: &'static str,
}

const CHOSEN: [ChosenSentence; 3] = [
    ChosenSentence {
        lesson: 5,
        dear: "server/threaded/same-llc/connections=256",
        cheap: "server/epoll/same-llc/connections=256",
        said: "The threads take",
        opposite: "async would save nothing",
    },
    ChosenSentence {
        lesson: 6,
        dear: "pipeline/thread_std/unpinned/capacity=1,pipelines=128",
        cheap: "pipeline/thread_std/unpinned/pipelines=128",
        said: "largely “narrow channels collapse”",
        opposite: "More room in the channels makes it slower here",
    },
    ChosenSentence {
        lesson: 7,
        dear: "server/prethreaded/same-llc/connections=256",
        cheap: "server/epoll/same-llc/connections=256",
        said: "times as much",
        opposite: "a request costs the pool less CPU time",
    },
];

/// The lessons whose sentences the record chooses, by made-up records: what is said is the opposite.
#[test]
fn sentences_that_the_record_chooses_follow_it() {
    for ChosenSentence { lesson: number, dear, cheap, said, opposite } in CHOSEN {
        let material = ALL.iter().find(|material| material.lesson.number == number).unwrap();
        let page = |costs: &[(&str, u64)]| {
            let run = made_up(&material.lesson, template(), costs);
            let names = material.lesson.records().map(|(name, _)| (name.to_string(), run.clone()));
            let runs: BTreeMap<String, Run> = names.collect();
            let page = spliced(&Evidence::committed(&material.lesson, &runs), &file_of_clone).page;
            page.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let as_it_is = page(&[(dear, 9000), (cheap, 3000)]);
        let (reversed, alike) = (page(&[(dear, 3000), (cheap, 9000)]), page(&[]));
        assert!(as_it_is.contains(said) && !as_it_is.contains(opposite), "{number}: {as_it_is}");
        assert!(reversed.contains(opposite) && !reversed.contains(said), "{number}: {reversed}");
        assert!(!alike.contains(opposite), "{number}: two that are equal are told apart: {alike}");
    }
}

/// A number that lies in a file beside the record, with its interval.
#[test]
fn a_prediction_in_a_file_is_held_against_what_was_measured() {
    let material = ALL.iter().find(|material| material.lesson.number == 5).unwrap();
    let run = made_up(&material.lesson, template(), &[("server/epoll/same-llc/connections=256", 3000)]);
    let runs: BTreeMap<String, Run> = material.lesson.records().map(|(name, _)| (name.into(), run.clone())).collect();
    let page = |file: Option<[f64; 3]>| {
        let json = file.map(|[low, estimate, high]| {
            let interval = serde_json::json!({ "low": low, "estimate": estimate, "high": high, "confidence": 0.95 });
            let advice = serde_json::json!({ "targets": [{ "per_request": { "predicted": interval } }] });
            (String::from("pairs/advice.json"), advice)
        });
        let evidence = Evidence::committed(&material.lesson, &runs).with_files(json.into_iter().collect());
        let filled = spliced(&evidence, &file_of_clone);
        assert_eq!(filled.complaints, Vec::<String>::new());
        filled.page.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(page(Some([2500.0, 2900.0, 3300.0])).contains("2.90 µs (±14 %) of CPU time per request"));
    assert!(page(Some([2500.0, 2900.0, 3300.0])).contains("within what was predicted"));
    assert!(page(Some([5000.0, 6000.0, 7000.0])).contains("the prediction missed"));
    assert!(page(None).contains("*Not measured yet: whether the CPU time that `switchcost advise` predicts"));
}

/// A page whose record is not there says so itself, and claims nothing.
#[test]
fn a_lesson_without_its_record_says_so() {
    for material in ALL.iter() {
        let nothing = BTreeMap::new();
        let evidence = Evidence::committed(&material.lesson, &nothing);
        let filled = spliced(&evidence, &file_of_clone);
        assert!(filled.page.contains("**Not measured yet.**"), "{}", material.lesson.name);
        assert_eq!(filled.complaints, Vec::<String>::new(), "{}", material.lesson.name);
        assert!(picture(&evidence).text.contains("not measured yet"), "{}", material.lesson.name);
        assert_eq!(evidence.absent().len(), material.lesson.records().count());
        let judged = claims(&evidence);
        assert!(judged.iter().all(|claim| matches!(claim.verdict, ClaimVerdict::NotMeasured(_))), "{judged:#?}");
    }
}

/// A figure with a unit in the prose that no record stands behind.
#[test]
fn no_measured_number_is_written_by_hand() {
    let marks = Regex::new(r"(?s)<!--= .+? -->.*?<!--/-->").unwrap();
    let blocks = Regex::new(r"(?s)<!-- lesson:(status|picture|verdict|questions|code).*?<!-- /lesson:\w+ -->").unwrap();
    let code = Regex::new(r"(?s)```.*?```|`[^`]+`").unwrap();
    let number = Regex::new(r"\d+(\.\d+)? ?(ns|µs|ms|%|KiB|MiB|times)").unwrap();
    for Material { lesson, .. } in ALL.iter() {
        let page = blocks.replace_all(&lesson.page, "");
        let page = code.replace_all(&page, "");
        let page = marks.replace_all(&page, "");
        let found: Vec<&str> = number.find_iter(&page).map(|found| found.as_str()).collect();
        assert!(found.is_empty(), "{}.md: by hand: {found:?}", lesson.name);
    }
}

/// Each lesson has what a reader is promised, and three questions with variants.
#[test]
fn every_lesson_has_its_parts_and_questions_follow_from_the_seed() {
    for material in ALL.iter() {
        let lesson = &material.lesson;
        for part in ["## Guess first", "<details>", "## What was measured", "## Why", "## The code", "lesson:code"] {
            assert!(lesson.page.contains(part), "{}.md has no `{part}`", lesson.name);
        }
        for part in ["## What the figure cannot tell", "## Make it again", "bare metal", "virtual machine", "CPU"] {
            assert!(lesson.page.contains(part), "{}.md has no `{part}`", lesson.name);
        }
        assert!(lesson.page.contains(&format!("```sh\n{}\n```", lesson.command())), "{}", lesson.name);
        let asked = |seed| questions(&material.evidence(), seed).unwrap();
        assert_eq!(asked(7).len(), 3, "{}", lesson.name);
        assert_eq!(asked(7), asked(7), "{}", lesson.name);
        let variants: BTreeSet<String> = (0..12).map(|seed| format!("{:?}", asked(seed))).collect();
        assert!(variants.len() > 2, "{}: the questions do not vary", lesson.name);
    }
}

/// What a lesson measures of its own: everything that its page needs, in two minutes.
#[test]
fn every_lesson_measures_what_it_needs_in_two_minutes() {
    for Material { lesson, .. } in ALL.iter() {
        let path = folder().join(format!("{}.profile.toml", lesson.name));
        let profile = Profile::named(path.to_str().unwrap(), &[]).unwrap();
        let planned = profile.plan(&Choice::default(), |_| true).unwrap();
        let ids: Vec<String> = planned.iter().map(|planned| planned.id()).collect();
        // Counted samples come on top of the others, and processes have to start.
        let one = profile.timing.warm_up + profile.timing.measure.mul_f64(1.5) + Duration::from_millis(400);
        let all = one * (planned.len() as u32) * profile.rounds;
        assert!(all <= Duration::from_secs(120), "{}: {all:?}", lesson.name);
        let mechanism = |id: &str| id.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
        let measured: BTreeSet<String> = ids.iter().map(|id| mechanism(id)).collect();
        for (name, _) in lesson.records() {
            for id in lesson.ids(name) {
                assert!(measured.contains(&mechanism(id)), "{}: its profile does not measure {id}", lesson.name);
            }
        }
    }
}

fn whole_site() -> Vec<ReportFile> {
    let all: Vec<Evidence> = ALL.iter().map(Material::evidence).collect();
    site(&all, &text(&folder().join("README.md")))
}

#[test]
fn the_site_loads_nothing_and_its_links_lead_somewhere() {
    let files = whole_site();
    assert_eq!(files.len(), ALL.len() + 2);
    let names: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert!(names.contains("index.html") && names.contains(format!("{SPEAKERS}.html").as_str()));
    let link = Regex::new("href=\"([^\"]+)\"").unwrap();
    let loads = Regex::new(r#"<script|<img|<iframe|<object|\ssrc=|@import|url\("#).unwrap();
    for file in &files {
        assert!(file.text.len() < 300_000, "{}: {} bytes", file.path, file.text.len());
        assert!(!loads.is_match(&file.text), "{}: {:?}", file.path, loads.find(&file.text));
        assert!(!file.text.contains("<!--"), "{}: a mark is left", file.path);
        for target in link.captures_iter(&file.text).map(|found| found.get(1).unwrap().as_str()) {
            let leads = names.contains(target) || target == "data:," || target.starts_with("https://");
            assert!(leads, "{}: {target}", file.path);
        }
    }
    let of = |name: &str| &files.iter().find(|file| file.path == name).unwrap().text;
    // A median of all reads has no interval, so the picture must not promise one.
    assert!(of("09-files.html").contains("Medians of 5 rounds.") && !of("09-files.html").contains("95 % interval"));
    assert!(of("06-pipelines.html").contains("rounds with 95 % intervals"));
    let slides = of("speakers.html");
    assert_eq!(slides.matches("<section class=\"slide\"").count(), ALL.len());
    for Material { lesson, runs } in ALL.iter() {
        let drawn = of(&format!("{}.html", lesson.name)).contains("<svg class=\"chart");
        assert_eq!(drawn, !runs.is_empty(), "{}: its picture", lesson.name);
        assert!(slides.contains(&lesson.command()), "{}", lesson.name);
    }
}

/// A reader's record beside the committed one: the same one agrees, a reversed one differs, and the page shows both.
#[test]
fn a_readers_record_is_shown_beside_the_committed_one() {
    let material = ALL.iter().find(|material| material.lesson.number == 1).unwrap();
    let run = &material.runs["parts"];
    let (same, other) = (Evidence::readers(&material.lesson, run), reversed(run));
    let other = Evidence::readers(&material.lesson, &other);
    assert!(outcome(&same).iter().all(|line| line.starts_with("holds here")), "{:#?}", outcome(&same));
    assert!(outcome(&other).iter().any(|line| line.starts_with("DIFFERS here")), "{:#?}", outcome(&other));
    let page = beside(&material.evidence(), &other).text;
    assert!(page.contains("On your machine") && page.contains("… here"), "no picture with both");
    assert!(page.contains("of 7 the opposite is true") || page.contains("the opposite is true"), "no verdict");
    let nothing = Run::default();
    let lines = outcome(&Evidence::readers(&material.lesson, &nothing));
    assert!(lines.iter().all(|line| line.starts_with("not measured here")), "{lines:#?}");
}

fn switchcost(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchcost")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn wrong_arguments_get_one_line_with_the_remedy() {
    let elsewhere = tempfile::tempdir().unwrap();
    for (arguments, folder, told) in [
        (vec!["lesson", "17"], root(), "there is no lesson 17; there are 0, 1, 2"),
        (vec!["lessons"], elsewhere.path(), "run it in a clone of the repository, or name one by --root"),
        (vec!["lesson", "1", "--record", "/nowhere"], root(), "/nowhere"),
        (vec!["lessons", "--answers"], root(), "--quiz"),
        (vec!["lessons", "--quiz", "x"], root(), "invalid value 'x'"),
    ] {
        let refused = switchcost(&arguments, folder);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

/// The check in a clone of its own: in step, then with a figure changed by hand, then with a record that says the
/// opposite.
#[test]
fn the_check_fails_for_a_changed_figure_and_for_an_opposite_record() {
    let clone = tempfile::tempdir().unwrap();
    let at = |path: &str| clone.path().join(path);
    let record = "reports/2026-11-21-epyc-2cpu-vm-answers/parts";
    for folder in ["docs/lessons/pictures", record, "core/src/mechanism/brigade"] {
        std::fs::create_dir_all(at(folder)).unwrap();
    }
    let quoted = ["core/src/mechanism/brigade/blocking.rs", "core/src/mechanism/brigade/asynchronous.rs"];
    let page = "docs/lessons/01-pinning.md";
    let record = format!("{record}/records.jsonl");
    for file in quoted.iter().copied().chain([page, "docs/lessons/01-pinning.toml", &record]) {
        std::fs::copy(root().join(file), at(file)).unwrap();
    }
    let check = |options: &[&str]| {
        let done = switchcost(&[&["splice", "docs/lessons"], options].concat(), clone.path());
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    assert_eq!(check(&[]), (Some(0), String::new()));
    assert_eq!(check(&["--check"]), (Some(0), String::new()));
    let figure = Regex::new("(<!--= told threads -->)[^<]+").unwrap();
    let by_hand = figure.replace(&text(&at(page)), "${1}1 ns").into_owned();
    std::fs::write(at(page), by_hand).unwrap();
    let (status, said) = check(&["--check"]);
    assert!(status == Some(1) && said.contains("01-pinning.md is out of step"), "{status:?}: {said}");
    // Pinned threads under the name of those that the kernel places, and the other way round.
    let swapped = text(&at(&record)).replace("\"brigade/thread/unpinned\"", "\"here\"");
    let swapped = swapped.replace("\"brigade/thread/same-cpu\"", "\"brigade/thread/unpinned\"");
    std::fs::write(at(&record), swapped.replace("\"here\"", "\"brigade/thread/same-cpu\"")).unwrap();
    let (status, said) = check(&["--check"]);
    let told = "this does not follow from `threads > threads_pinned`, the record says the opposite";
    assert!(status == Some(1) && said.contains(told), "{status:?}: {said}");
}
