//! One word per thing: no two types share a name, no retired word comes back, no line is too long to read.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::{Regex, RegexSet};

/// What was renamed, and what it is called now. As a type or a function's name it would be a second word for one thing.
const RETIRED: &[(&str, &str)] = &[
    (r"\b(Asked|AskedError)\b", "RunPlan, RunPlanError"),
    (r"\b(Standing|Known|Started|Taken|Ran|Outlook)\b\s*[{(<;]", "RunState, BenchmarkState, RoundProcess, BareSample"),
    (r"\b(Witness|Keeper|Recorder)\b", "RunObserver, BenchOutput, RecordingObserver"),
    (r"\b(Roster|Recruiter|Seating|Seat)\b", "InstanceConfig, Spawner, CpuAssignment, CpuMask"),
    (r"\b(Labour|Foreman|Baton)\b", "CpuWork, GateOwner, TurnFlags, BackgroundLoad"),
    (r"\b(Finding|MachineLine|Circumstances)\b", "Metric, HostLine, RunConditions or RefusalContext"),
    (r"\b(Outline|Study|Bench|Subject)\b\s*[{<:]", "Report, RunView, BenchmarkView, ChartInput"),
    (r"\b(roster|recruiter|seating|foreman)\b", "config, spawner, assignment, owner"),
    (r"\b(best_pace|longest_paces|ratio_in_turns)\b", "fastest_probe, SpeedProbe, interleaved_ratio"),
    (r"\b(min_probes|max_probes)\b", "Sample::probe"),
    (r"\b(foreign_load|in_turns|circumstances)\b\s*[:=(]", "interference, interleaved, conditions"),
    (r"\bforeign load\b", "interference"),
    (r"\b(TurnToken|TurnOrder|SampleSink)\b|\bturn_token\b", "InterleaveToken, InterleaveOrder, SampleCollector"),
    (r"\b(Pick|Conclusion)\b\s*[{(<,;]|\bRoundTask::(Introduce|Turns)\b", "BenchmarkSelection, RunOutcome, RoundTask"),
    (r"\b(MADE|SHIPPED)\b|\b(Mode|Step)::Look\b|\btype Look\b", "GENERATED_PROFILES, Mode::DryRun, SpeedProbeFn"),
    (r"\b(lies_still|runs_on|set_apart|is_settled|is_over)\b", "is_idle_…, is_busy_…, stop_interleaving, is_given_up"),
    (r"\b(rewarm|prelude|adopt|in_turn)\b(?:\(|: impl)", "warm_caches, before_set_up, set_policy, round_robin"),
    (r"\bWakeup::(Go|Pause|Stop)\b|\bimpl(<.*>)? Side for\b", "handoff::Command, HandoffHalf"),
    (r"\b(take_turns|take_turns_awake|drop_for_good)\(", "spawn_partner, stop_other"),
    (
        r"\b(?:Visits \{|must_leave_something\b|start_over\b|end_with_the_reader\b)",
        "MatrixPlan, check_plan, exec_for_criterion",
    ),
];

/// Files whose text may name what was retired: this list, and the conversion of records of version 1 with its test.
const MAY_NAME_RETIRED: &[&str] = &["tests/names.rs", "src/record/version1.rs", "tests/version1.rs"];

/// Old words that messages and tests still hold.
const WORDS_LEFT: usize = 0;

/// Names of files that rooms share, because what is in them is the same thing seen from each room.
const SHARED_FILES: &[&str] = &[
    "mod",
    "tests",
    // A verb of the command line is named as what it runs.
    "audit",
    "compare",
    "host",
    "limits",
    "matrix",
    "report",
    "sweep",
    // Counters, the kernel, its scheduler and memory as each room sees them.
    "counters",
    "kernel",
    "kernel_scheduler",
    "memory",
    "names",
    // What `terms` holds of the host, and `host` observes.
    "cgroup",
    "moment",
    "power",
    "privileges",
    "processor",
    "virtualization",
    "placement",
    "rounds",
    "topology",
    "table",
    "process",
    "parts",
    "pairs",
    "clock",
    "poll",
    "signal",
    "benchmark",
    // A server model is named as the call that it is built on.
    "epoll",
    "select",
    "uring",
];

/// Lines that say `nobody` or `whoever` where a thread, a process or a reader has a name. It may only fall.
const PRONOUNS: usize = 4;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).into_iter().flatten() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root()).unwrap().to_path_buf();
        if path.is_dir() {
            found.extend(files(relative.to_str().unwrap(), extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(relative);
        }
    }
    found.sort();
    found
}

/// The files of both crates.
fn program(extension: &str) -> Vec<PathBuf> {
    ["src", "core/src"].into_iter().flat_map(|folder| files(folder, extension)).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests") || path.file_stem().is_some_and(|stem| stem == "tests")
}

fn fail(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The types that a file declares before its tests, each with its line and whether other files can see it.
fn types(text: &str) -> Vec<(String, usize, bool)> {
    let declaration = Regex::new(r"^(pub(?:\([a-z ]+\))? )?(?:struct|enum|trait|type|union) ([A-Z]\w*)").unwrap();
    let program = text.lines().take_while(|line| !line.starts_with("mod tests {"));
    let found = program.enumerate().filter_map(|(index, line)| {
        let found = declaration.captures(line)?;
        Some((found[2].to_string(), index + 1, found.get(1).is_some()))
    });
    found.collect()
}

/// Mechanisms of a group are alternatives, each in a file: what only that file sees may be named as in its siblings.
fn is_private_to_a_mechanism(path: &Path, public: bool) -> bool {
    !public && path.starts_with("core/src/mechanism") && path.iter().count() == 5 && !path.ends_with("mod.rs")
}

#[test]
fn no_two_types_share_a_name() {
    let mut declared: BTreeMap<String, Vec<(PathBuf, usize, bool)>> = BTreeMap::new();
    for path in program("rs").into_iter().filter(|path| !is_test(path)) {
        for (name, line, public) in types(&read(&path)) {
            declared.entry(name).or_default().push((path.clone(), line, public));
        }
    }
    assert!(declared.len() > 300, "only {} types were found", declared.len());
    let mut complaints = Vec::new();
    for (name, places) in declared.iter().filter(|(_, places)| places.len() > 1) {
        if !places.iter().all(|(path, _, public)| is_private_to_a_mechanism(path, *public)) {
            let places = places.iter().map(|(path, line, _)| format!("{}:{line}", path.display()));
            complaints.push(format!("{name}: {}", places.collect::<Vec<_>>().join(", ")));
        }
    }
    fail(&complaints);
}

#[test]
fn retired_words_stay_retired() {
    let retired: Vec<(Regex, &str)> = RETIRED.iter().map(|(word, now)| (Regex::new(word).unwrap(), *now)).collect();
    // All at once over a whole file, which is many times faster than each over every line.
    let any = RegexSet::new(RETIRED.iter().map(|(word, _)| format!("(?m){word}"))).unwrap();
    let mut complaints = Vec::new();
    for path in ["src", "core", "tests", "benches"].into_iter().flat_map(|folder| files(folder, "rs")) {
        let text = read(&path);
        if !any.is_match(&text) {
            continue;
        }
        if MAY_NAME_RETIRED.iter().any(|may| path == Path::new(may)) {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            for (_, now) in retired.iter().filter(|(word, _)| word.is_match(line)) {
                complaints.push(format!("{}:{}: now {now}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    if complaints.len() > WORDS_LEFT {
        fail(&complaints);
    }
}

#[test]
fn lines_fit_in_120_columns() {
    const COLUMNS: usize = 120;
    let mut complaints = Vec::new();
    for path in
        ["src", "core", "tests", "benches", "examples", "scripts"].into_iter().flat_map(|folder| files(folder, "rs"))
    {
        for (index, line) in read(&path).lines().enumerate() {
            if line.chars().count() > COLUMNS {
                complaints.push(format!("{}:{}: {} columns", path.display(), index + 1, line.chars().count()));
            }
        }
    }
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from);
    for path in
        pages.into_iter().chain(["docs", "src", "core", "tests"].into_iter().flat_map(|folder| files(folder, "md")))
    {
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        let mut code = false;
        for (index, line) in text.lines().enumerate() {
            code ^= line.starts_with("```");
            // No reader sees a lesson's marks, and what stands between them changes with the record.
            let free = code || line.starts_with('|') || line.contains("<!--") || line.contains("](");
            if !free && line.chars().count() > COLUMNS {
                complaints.push(format!("{}:{}: {} columns", path.display(), index + 1, line.chars().count()));
            }
        }
    }
    fail(&complaints);
}

#[test]
fn the_one_that_acts_has_a_name() {
    let pronoun = Regex::new(r"(?i)\b(?:whoever|whomever|somebody|anybody|nobody)\b").unwrap();
    let mut found = Vec::new();
    for path in program("rs") {
        for (index, line) in read(&path).lines().enumerate().filter(|(_, line)| pronoun.is_match(line)) {
            found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
        }
    }
    assert!(found.len() <= PRONOUNS, "{} of at most {PRONOUNS}:\n{}", found.len(), found.join("\n"));
}

/// `/// Where it lies.` says what the name says already.
#[test]
fn no_public_item_has_a_doc_of_three_words() {
    let item = Regex::new(r"^\s*pub (?:const |unsafe )*(?:struct|enum|trait|type|fn|const|static|mod) ").unwrap();
    let mut short = Vec::new();
    for path in program("rs").into_iter().filter(|path| !is_test(path)) {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (index, _) in lines.iter().enumerate().filter(|(_, line)| item.is_match(line)) {
            let above = lines[..index].iter().rev().skip_while(|line| line.trim().starts_with("#["));
            let docs: Vec<&str> = above.map_while(|line| line.trim().strip_prefix("///")).collect();
            let words = docs.iter().flat_map(|line| line.split_whitespace()).count();
            if !docs.is_empty() && words <= 3 {
                short.push(format!("{}:{}: {}", path.display(), index + 1, docs[0].trim()));
            }
        }
    }
    fail(&short);
}

#[test]
fn no_two_rooms_have_a_file_of_one_name_for_different_things() {
    let mut rooms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in program("rs").into_iter().filter(|path| !is_test(path)) {
        let mechanism = path.starts_with("core/src/mechanism") && path.iter().count() == 5;
        let below: Vec<_> = path.iter().skip_while(|part| *part != "src").skip(1).collect();
        let Some(room) = below.first().filter(|_| below.len() > 1 && !mechanism) else { continue };
        let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
        let place = rooms.entry(stem).or_default();
        if !place.iter().any(|known| *room == known.as_str()) {
            place.push(room.to_str().unwrap().into());
        }
    }
    let twice = rooms.iter().filter(|(stem, rooms)| rooms.len() > 1 && !SHARED_FILES.contains(&stem.as_str()));
    fail(&twice.map(|(stem, rooms)| format!("{stem}.rs in {}", rooms.join(", "))).collect::<Vec<_>>());
}
