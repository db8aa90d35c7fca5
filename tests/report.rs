//! The report: whole and well formed from a full run, a run with half of it missing, several runs and none.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use switchcost::record::{BenchmarkLine, Outcome, Run, read};
use switchcost::report::{Catalogue, PAGE, ReportFile, files, pairs_tables};
use switchcost::terms::{Curve, CurveAxis, Metric, MetricKey, Placement, ValueHistogram};
use switchcost::units::{Amount, CpuId, Quantity};

#[path = "report/marked.rs"]
mod marked;
#[path = "report/pipelines.rs"]
mod pipelines;
mod svg;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report").join(name)
}

fn run(name: &str) -> Run {
    read(&fixture(name)).unwrap()
}

fn catalogue() -> Catalogue {
    Catalogue {
        groups: vec![("brigade".into(), "What does a byte cost?".into()), ("handoff".into(), "And a wakeup?".into())],
        mechanisms: vec![("brigade/thread".into(), "a thread per task".into())],
    }
}

/// Every shape a report takes.
fn reports() -> &'static [(&'static str, Vec<ReportFile>)] {
    static REPORTS: LazyLock<Vec<(&'static str, Vec<ReportFile>)>> = LazyLock::new(made);
    &REPORTS
}

fn made() -> Vec<(&'static str, Vec<ReportFile>)> {
    let (whole, half) = (run("three-rounds"), run("half-missing"));
    let machine_only = Run { benchmarks: Vec::new(), ..whole.clone() };
    let no_machine = Run { hosts: Vec::new(), ..half.clone() };
    let mut failed = half.clone();
    failed.benchmarks.retain(|line| !matches!(line.outcome, Outcome::Measured(_)));
    [
        ("whole", vec![whole.clone()]),
        ("half", vec![half.clone()]),
        ("two", vec![whole, half]),
        ("no benchmark", vec![machine_only]),
        ("no machine", vec![no_machine]),
        ("nothing measured", vec![failed]),
    ]
    .map(|(name, runs)| (name, files(&runs, &catalogue())))
    .into()
}

fn text<'a>(files: &'a [ReportFile], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

fn figures(files: &[ReportFile]) -> Vec<&str> {
    let name = |file: &'_ ReportFile| -> Option<(usize, usize)> {
        file.path.strip_prefix("figures/")?.strip_suffix(".svg").map(|name| (8, name.len()))
    };
    files.iter().filter_map(|file| name(file).map(|(start, length)| &file.path[start..start + length])).collect()
}

/// The values of an attribute in a page.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_figure_is_on_the_page_and_beside_it() {
    for (name, files) in reports() {
        let (page, markdown) = (text(files, PAGE), text(files, "report.md"));
        for figure in figures(files) {
            assert!(page.contains(&format!("<figure id=\"{figure}\"")), "{name}: {figure}");
            assert!(page.contains(&format!("href=\"data/{figure}.csv\"")), "{name}: {figure}");
            assert!(markdown.contains(&format!("(figures/{figure}.svg)")), "{name}: {figure}");
            assert!(text(files, &format!("data/{figure}.csv")).lines().count() > 1, "{name}: {figure}");
        }
    }
}

#[test]
fn a_whole_run_has_every_kind_of_figure() {
    let (_, files) = &reports()[0];
    for kind in ["cost-brigade", "parts-brigade", "scaling-tasks-same-cpu-brigade", "rounds-brigade", "cost-creation"] {
        assert!(figures(files).contains(&kind), "{kind}: {:?}", figures(files));
    }
    let (_, two) = &reports()[2];
    for kind in ["runs-brigade", "parts-brigade-a", "rounds-handoff-a", "rounds-handoff-b", "runs-creation"] {
        assert!(figures(two).contains(&kind), "{kind}: {:?}", figures(two));
    }
}

#[test]
fn submission_and_completion_become_parts_of_a_bar() {
    let mut run = run("three-rounds");
    run.benchmarks.retain(|line| line.id == "handoff/futex/same-cpu");
    for line in &mut run.benchmarks {
        let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
        for (of, nanos) in [(MetricKey::Submission, 500), (MetricKey::Completion, 1500)] {
            let mut values = ValueHistogram::new();
            values.record(nanos);
            measured.metrics.push(Metric::latencies(of, values));
        }
    }
    let files = files(&[run], &catalogue());
    let row = text(&files, "data/submission-handoff.csv").lines().nth(1).unwrap();
    assert_eq!(row, "handoff/futex/same-cpu,500,1500,0.25");
    let drawn = text(&files, "figures/submission-handoff.svg");
    assert!(drawn.contains("blocked in submission") && drawn.contains("until completion"));
    assert!(!figures(&reports()[0].1).iter().any(|figure| figure.starts_with("submission-")));
}

/// Three pairs of CPUs, as `switchcost matrix` adds them to a run.
fn three_pairs(run: &Run) -> Vec<BenchmarkLine> {
    let line = run.benchmarks.iter().find(|line| line.id == "handoff/futex/same-llc").unwrap().clone();
    [(0, 1), (0, 2), (1, 2)]
        .map(|(from, to)| {
            let pair = (CpuId(from), CpuId(to));
            let id = format!("handoff/futex/one-per-cpu/{}", BenchmarkLine::named_cpus(pair));
            let mut line = BenchmarkLine { id, ..line.clone() };
            line.setting.cpus = vec![pair.0, pair.1];
            line.setting.placement = Placement::OnePerCpu;
            line
        })
        .into()
}

#[test]
fn chosen_pairs_of_cpus_become_a_map_and_no_bars() {
    let mut run = run("three-rounds");
    run.benchmarks = three_pairs(&run);
    let files = files(&[run], &catalogue());
    assert!(text(&files, "figures/pairs-handoff-futex.svg").contains("CPU to CPU"));
    assert_eq!(figures(&files), ["pairs-handoff-futex"]);
    assert_eq!(text(&files, "data/pairs-handoff-futex.csv").lines().count(), 4);
    assert!(text(&files, "report.md").contains("A map of 3 pairs of CPUs"), "{}", text(&files, "report.md"));
    // The placements' own pairs are no map.
    assert!(!figures(&reports()[0].1).iter().any(|figure| figure.starts_with("pairs-")));
}

#[test]
fn a_map_that_was_added_to_a_run_leaves_the_rest_of_its_report_alone() {
    let run = run("three-rounds");
    let mut with_map = run.clone();
    with_map.benchmarks.extend(three_pairs(&run));
    let mut matrix = run.hosts[0].clone();
    matrix.argv = ["target/release/switchcost", "matrix", "--into", "x"].map(String::from).to_vec();
    with_map.hosts.push(matrix);
    let (without, with) = (files(&[run], &catalogue()), files(&[with_map], &catalogue()));
    for file in without.iter().filter(|file| file.path != PAGE && file.path != "report.md") {
        assert_eq!(text(&with, &file.path), file.text, "{}", file.path);
    }
    let paths = |files: &[ReportFile]| files.iter().map(|file| file.path.clone()).collect::<BTreeSet<_>>();
    let added: Vec<String> = paths(&with).difference(&paths(&without)).cloned().collect();
    assert_eq!(added, ["data/pairs-handoff-futex.csv", "figures/pairs-handoff-futex.svg"]);
    let told = text(&with, "report.md");
    assert!(told.contains(" and a map of 3 pairs of CPUs"), "{told}");
    assert!(told.contains("(data/pairs-handoff-futex.csv), made by `switchcost matrix --into x`."), "{told}");
    let gone = text(&without, "report.md").lines().filter(|line| !told.lines().any(|other| other == *line)).count();
    assert_eq!(gone, 1, "the overview alone reads otherwise");
}

#[test]
fn a_square_of_many_cpus_is_summed_up_for_a_terminal() {
    let lines = three_pairs(&run("three-rounds"));
    assert!(pairs_tables(&lines).lines().count() == 5, "{}", pairs_tables(&lines));
    let many: Vec<BenchmarkLine> = (1..40)
        .map(|to| {
            let pair = (CpuId(0), CpuId(to));
            let mut line = lines[0].clone();
            line.id = format!("handoff/futex/one-per-cpu/{}", BenchmarkLine::named_cpus(pair));
            line.setting.cpus = vec![pair.0, pair.1];
            line
        })
        .collect();
    let told = pairs_tables(&many);
    assert!(told.contains("of 40 CPUs") && told.contains("the CSV has all") && told.contains("median"), "{told}");
    assert!(told.lines().count() == 4 && told.lines().all(|line| line.chars().count() <= 120), "{told}");
}

/// A benchmark of the group `switch_working_set` whose samples all take `nanos` per operation.
fn working_set(like: &BenchmarkLine, mechanism: &str, touch: u64, sets: Option<&str>, nanos: u64) -> BenchmarkLine {
    let mut line = like.clone();
    let mut parameters = serde_json::json!({ "tasks": 2, "touch": touch, "access": "read" });
    let mut chosen = format!("touch={touch}");
    if let Some(sets) = sets {
        parameters["sets"] = sets.into();
    }
    if sets == Some("every") {
        chosen = format!("sets=every,{chosen}");
    }
    line.mechanism = format!("switch_working_set/{mechanism}");
    line.baseline = "switch_working_set/touching".into();
    line.id = format!("{}/same-cpu/{chosen}", line.mechanism);
    line.setting.parameters = serde_json::from_value(parameters).unwrap();
    let Outcome::Measured(measured) = &mut line.outcome else { panic!("it was measured") };
    for sample in &mut measured.samples {
        sample.amount = Amount(nanos * sample.ops.0);
    }
    line
}

#[test]
fn a_switch_is_a_handoff_less_the_same_touching_with_one_hot_set() {
    let mut run = run("three-rounds");
    let like = run.benchmarks.iter().find(|line| line.id == "handoff/futex/same-cpu").unwrap().clone();
    run.benchmarks = [(0, 1000, 1000, 3000), (16 << 10, 1500, 1700, 3600), (1 << 20, 9000, 20_000, 31_000)]
        .into_iter()
        .flat_map(|(touch, hot, every, switched)| {
            [("touching", Some("one"), hot), ("touching", Some("every"), every), ("thread", None, switched)]
                .map(|(mechanism, sets, nanos)| working_set(&like, mechanism, touch, sets, nanos))
        })
        .collect();
    let files = files(&[run.clone()], &catalogue());
    let data = text(&files, "data/switch-thread-same-cpu-switch-working-set.csv");
    let of = |curve: &str, column: usize| -> Vec<f64> {
        let rows = data.lines().filter(|line| line.starts_with(curve));
        // The label holds a comma and stands in quotes.
        rows.map(|line| line.split('"').nth(2).unwrap().split(',').nth(column).unwrap().parse().unwrap()).collect()
    };
    assert_eq!(of("\"thread, 2 tasks", 2), [2000.0, 2100.0, 22_000.0]);
    assert_eq!(of("\"thread, 2 tasks", 5), [0.0, 100.0, 20_000.0]);
    assert_eq!(of("\"one task, 2 sets", 2), [0.0, 200.0, 11_000.0]);
    let svg = text(&files, "figures/switch-thread-same-cpu-switch-working-set.svg");
    assert!(svg.contains("20.0 µs, is the cost of the caches") && svg.contains("one task, 2 sets"), "{svg}");
    // One size is no curve, and without the baseline there is nothing to take off.
    for gone in [vec!["touch=0", "touch=16384"], vec!["touching"]] {
        let mut less = run.clone();
        less.benchmarks.retain(|line| !gone.iter().any(|part| line.id.contains(part)));
        let files = switchcost::report::files(&[less], &catalogue());
        assert!(!figures(&files).iter().any(|figure| figure.starts_with("switch-")), "{gone:?}");
    }
}

#[test]
fn latencies_become_percentile_curves_and_p99_follows_what_is_swept() {
    let mut run = run("three-rounds");
    for line in &mut run.benchmarks {
        if let Outcome::Measured(measured) = &mut line.outcome {
            let mut values = ValueHistogram::new();
            (1..=1000).for_each(|value| values.record(value * 1000));
            // The response time is what a chart shows, wherever a mechanism reports it.
            let service = Metric::latencies(MetricKey::ServiceTime, values.clone());
            measured.metrics = vec![service, Metric::latencies(MetricKey::ResponseTime, values)];
        }
    }
    let files = files(&[run], &catalogue());
    let curves = text(&files, "figures/latency-response-time-same-cpu-brigade.svg");
    assert!(curves.contains("99.9 %") && curves.contains("<polyline"), "{curves}");
    let told = text(&files, "data/latency-response-time-same-cpu-brigade.csv");
    assert!(told.lines().any(|line| line.ends_with(",response time,90,900095")), "{told}");
    let data = text(&files, "data/p99-tasks-same-cpu-brigade.csv");
    let p99 = data.lines().nth(1).and_then(|line| line.rsplit(',').next());
    assert!(p99.is_some_and(|p99| p99.starts_with("990")), "{data}");
    // Where nothing was found out there is nothing to draw.
    assert!(!figures(&reports()[0].1).iter().any(|figure| figure.starts_with("latency-")));
}

#[test]
fn the_speed_after_a_call_is_a_curve_and_so_are_instructions_per_cycle_where_they_were_counted() {
    let curve = |of: MetricKey, y: &str, quantity, heights: [f64; 3]| {
        let axis = |of: &str, quantity| CurveAxis { of: of.into(), quantity };
        let points = [1.0, 2.0, 3.0].into_iter().zip(heights).collect();
        let (x, y) = (axis("block after the call", Quantity::Number), axis(y, quantity));
        Metric::Curve(Curve { of, x, y, points })
    };
    let drawn = |counted: bool| {
        let mut run = run("three-rounds");
        run.benchmarks.retain(|line| line.id == "handoff/futex/same-cpu");
        for line in &mut run.benchmarks {
            let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
            measured.metrics = vec![
                Metric::scalar(MetricKey::LostAfterCall, Quantity::Nanoseconds, 320.0),
                curve(MetricKey::SpeedAfterCall, "speed", Quantity::Share, [0.5, 0.9, 1.0]),
                curve(MetricKey::BlocksAfterCall, "time per block", Quantity::Nanoseconds, [200.0, 110.0, 100.0]),
            ];
            if counted {
                let of = MetricKey::IpcAfterCall;
                measured.metrics.push(curve(of, "instructions per cycle", Quantity::Number, [0.7, 1.3, 1.4]));
            }
        }
        files(&[run], &catalogue())
    };
    let kinds = |files: &[ReportFile]| -> Vec<String> {
        figures(files).into_iter().filter(|figure| figure.starts_with("recovery-")).map(String::from).collect()
    };
    let files = drawn(true);
    let [speed, counted] = &kinds(&files)[..] else { panic!("{:?}", figures(&files)) };
    let row = |of: &str| text(&files, &format!("data/{of}.csv")).lines().nth(1).unwrap().to_string();
    assert_eq!(row(speed), "futex same-cpu,1,0.5,handoff/futex/same-cpu");
    assert_eq!(row(counted), "futex same-cpu,1,0.7,handoff/futex/same-cpu");
    assert!(text(&files, &format!("figures/{counted}.svg")).contains("instructions per cycle"));
    assert_eq!(kinds(&drawn(false)), [speed.as_str()]);
}

#[test]
fn the_parts_of_a_cost_add_up_to_it() {
    let (_, files) = &reports()[0];
    let of = |path: &str, id: &str, column: usize| -> Vec<f64> {
        let rows = text(files, path).lines().filter(|line| line.split(',').next() == Some(id));
        rows.map(|line| line.split(',').nth(column).unwrap().parse().unwrap()).collect()
    };
    for id in ["brigade/thread/same-llc", "brigade/tokio_multi_thread/unpinned"] {
        let parts = of("data/parts-brigade.csv", id, 2);
        let whole = of("data/cost-brigade.csv", id, 3)[0];
        assert!(parts.len() > 2 && (parts.iter().sum::<f64>() - whole).abs() < 0.01, "{id}: {parts:?} {whole}");
    }
    // The same placement was measured with idle CPUs that poll: what idle costs stands apart.
    assert!(text(files, "data/parts-handoff.csv").contains("leaving idle"));
}

#[test]
fn pictures_are_well_formed_and_stay_on_their_canvas() {
    let mut drawn = BTreeSet::new();
    for (name, files) in reports() {
        for figure in figures(files) {
            drawn.insert(*name);
            let svg = text(files, &format!("figures/{figure}.svg"));
            let picture = svg::Svg::read(svg);
            let (width, height) = (picture.size.0 - 16.0, picture.size.1 - 16.0);
            for shape in &picture.shapes {
                for (value, most) in [(shape.x, width), (shape.y, height)] {
                    let inside = value.iter().all(|value| (-16.1..=most + 0.1).contains(value));
                    assert!(inside, "{name} {figure}: {shape:?}, {most}");
                }
            }
        }
    }
    assert_eq!(drawn, BTreeSet::from(["half", "no machine", "two", "whole"]), "reports that have pictures");
}

#[test]
fn the_page_is_well_formed_and_loads_nothing() {
    for (name, files) in reports() {
        let page = text(files, PAGE);
        balanced(page).unwrap_or_else(|error| panic!("{name}: {error}"));
        for forbidden in ["<script", "http://", "https://", "url(", "@import", "<iframe", "<img", " onload"] {
            assert!(!page.contains(forbidden), "{name}: {forbidden}");
        }
        let ids = attributes(page, "id");
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{name}: an id twice: {ids:?}");
        for href in attributes(page, "href") {
            let known = href.strip_prefix('#').is_some_and(|anchor| unique.contains(anchor));
            let beside = files.iter().any(|file| file.path == href);
            assert!(known || beside || href == "data:,", "{name}: {href}");
        }
    }
}

/// Every element that begins ends, in order.
fn balanced(page: &str) -> Result<(), String> {
    const VOID: [&str; 5] = ["!DOCTYPE", "meta", "link", "br", "hr"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').ok_or_else(|| format!("no end: {tag}"))?;
        let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap_or_default();
        match tag.strip_prefix('/') {
            Some(_) if open.pop() != Some(name) => return Err(format!("</{name}> within {open:?}")),
            None if !VOID.contains(&name) && !tag.ends_with('/') => open.push(name),
            _ => {}
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("still open: {open:?}")) }
}

#[test]
fn troubles_are_told_first_and_gaps_with_their_remedy() {
    let (_, files) = &reports()[1];
    for path in [PAGE, "report.md"] {
        let text = text(files, path);
        for words in ["brigade/thread/same-cpu", "read: 2.0000 per op, expected exactly 1", "did not finish within 10s"]
        {
            assert!(text.contains(words), "{path}: {words}");
        }
        let differs = text.find("expected exactly 1").unwrap();
        assert!(differs < text.find("What does a byte cost?").unwrap(), "{path}: it stands behind the figures");
        assert!(text.contains("run on a machine with several"), "{path}");
        assert!(text.contains("for that process only"), "{path}: one round is labelled");
    }
    assert!(text(files, PAGE).contains("&lt;different&gt; caches &amp; "));
    let (_, whole) = &reports()[0];
    assert!(text(whole, PAGE).contains("No PMU of the CPU cores") && text(whole, PAGE).contains("Remedy: "));
}

#[test]
fn every_figure_says_what_made_it() {
    let (_, files) = &reports()[0];
    assert!(text(files, PAGE).contains("cargo bench --bench handoff -- --measurement-time 0.3"));
    assert!(text(files, "report.md").contains("`cargo bench --bench brigade -- --measurement-time 0.3"));
}

#[test]
fn the_table_for_a_readme_has_a_column_for_each_placement() {
    let (_, files) = &reports()[0];
    let numbers = text(files, "numbers.md");
    assert!(numbers.starts_with("| mechanism | unpinned | same-cpu | same-llc |\n| --- | ---: |"), "{numbers}");
    assert!(numbers.contains("| `brigade/one_thread` (per hop) | ") && numbers.contains("µs (±"), "{numbers}");
    assert!(!numbers.contains("tasks="), "{numbers}");
}

fn switchcost(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchcost")).args(arguments).output().unwrap()
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn the_command_writes_a_folder_and_names_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let done = switchcost(&["report", fixture("three-rounds").to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(status(&done), Some(0), "{done:?}");
    assert_eq!(String::from_utf8(done.stdout).unwrap().trim(), out.join(PAGE).to_str().unwrap());
    for path in [PAGE, "report.md", "figures/cost-brigade.svg", "data/counts-handoff.csv"] {
        assert!(out.join(path).is_file(), "{path}");
    }
    let missing = switchcost(&["report", folder.path().to_str().unwrap()]);
    assert_eq!((status(&missing), missing.stdout.len()), (Some(2), 0), "{missing:?}");
}

#[test]
fn a_readme_is_spliced_checked_and_found_out_of_step() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path).to_str().unwrap().to_string();
    for (name, table) in [("2026-01-31-old", "| old |"), ("2026-02-01-new", "| new |")] {
        std::fs::create_dir_all(at(&format!("reports/{name}"))).unwrap();
        std::fs::write(at(&format!("reports/{name}/numbers.md")), format!("{table}\n")).unwrap();
    }
    let page = "# x\n\n<!-- switchcost:numbers -->\n<!-- /switchcost:numbers -->\n\ntext\n\n\
                <!-- switchcost:mechanisms -->\n<!-- /switchcost:mechanisms -->\n";
    std::fs::write(at("README.md"), page).unwrap();
    let (page, reports) = (at("README.md"), at("reports"));
    let splice = |check: &[&str]| switchcost(&[&["splice", &page, "--reports", &reports], check].concat());
    assert_eq!(status(&splice(&["--check"])), Some(1));
    assert_eq!(status(&splice(&[])), Some(0));
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("| new |") && !text.contains("| old |") && text.contains("`brigade/thread`"), "{text}");
    assert!(text.starts_with("# x\n") && text.contains("\n\ntext\n\n"), "{text}");
    assert_eq!(status(&splice(&["--check"])), Some(0));
    std::fs::write(at("reports/2026-02-01-new/numbers.md"), "| newer |\n").unwrap();
    let out_of_step = splice(&["--check"]);
    assert_eq!(status(&out_of_step), Some(1));
    assert!(String::from_utf8(out_of_step.stderr).unwrap().contains("scripts/splice"));
}

/// A browser says what no parser does: styles that do not apply, and whatever it complains about.
#[test]
fn a_browser_finds_every_figure_and_complains_about_nothing() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let Some(browser) = names.iter().find(runs) else {
        println!("not checked: none of {} is here", names.join(", "));
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (index, (name, files)) in reports().iter().enumerate().take(3) {
        let page = folder.path().join(format!("{index}.html"));
        std::fs::write(&page, text(files, PAGE)).unwrap();
        let profile = format!("--user-data-dir={}", folder.path().join(format!("profile-{index}")).display());
        let output = Command::new("timeout")
            .args(["90", browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--enable-logging=stderr", "--window-size=390,844", &profile, "--dump-dom"])
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && dom.len() > 10_000, "{name}: {:?} {log}", output.status);
        for figure in figures(files) {
            assert!(dom.contains(&format!("<figure id=\"{figure}\"")), "{name}: {figure}");
        }
        let complaints: Vec<&str> = log.lines().filter(|line| line.contains(":CONSOLE")).collect();
        assert!(complaints.is_empty(), "{name}: {complaints:?}");
    }
}
