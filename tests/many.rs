//! Many hosts: what `report` and `compare` make of the runs of twelve made-up machines, and of figures that none can
//! have.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use switchcost::record::{Line, Outcome, Run, line_text, read};
use switchcost::terms::Placement;
use switchcost::terms::host::{LogicalCpu, Topology};
use switchcost::units::{Amount, CpuId};
use tempfile::tempdir;

/// A machine: name, processor, architecture, CPUs, threads of a core, kernel, hypervisor, governor, maximum in MHz, and
/// how its figures lie to those of the fixture.
struct Machine(
    &'static str,
    &'static str,
    &'static str,
    usize,
    usize,
    &'static str,
    &'static str,
    &'static str,
    u64,
    f64,
);

const MACHINES: [Machine; 12] = [
    Machine("epyc", "AMD EPYC 9654 96-Core Processor", "x86_64", 384, 2, "6.12.9-amd64", "", "performance", 3707, 1.0),
    Machine(
        "ryzen",
        "AMD Ryzen 9 7950X 16-Core Processor",
        "x86_64",
        32,
        2,
        "6.14.2-arch1-1",
        "",
        "powersave",
        5881,
        0.62,
    ),
    Machine("hybrid", "13th Gen Intel(R) Core(TM) i9-13900K", "x86_64", 24, 1, "6.11.0-9", "", "powersave", 5800, 0.7),
    Machine(
        "xeon",
        "Intel(R) Xeon(R) Platinum 8480+",
        "x86_64",
        224,
        2,
        "5.14.0-503.el9",
        "",
        "performance",
        3800,
        1.15,
    ),
    Machine("old", "Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz", "x86_64", 32, 2, "5.10.0-33", "", "ondemand", 3300, 2.4),
    Machine("altra", "Neoverse-N1", "aarch64", 128, 1, "6.8.0-49-generic", "", "performance", 3000, 1.3),
    Machine("big-little", "Cortex-A55, Cortex-A76", "aarch64", 8, 1, "6.1.75-rockchip", "", "schedutil", 2400, 2.1),
    Machine("graviton", "Neoverse-V1", "aarch64", 4, 1, "6.1.119-129.201.amzn2023", "Amazon EC2", "", 0, 1.2),
    Machine(
        "cloud",
        "Intel(R) Xeon(R) Platinum 8272CL CPU @ 2.60GHz",
        "x86_64",
        2,
        2,
        "6.5.0-azure",
        "Microsoft",
        "",
        0,
        1.9,
    ),
    Machine("pi", "Cortex-A76", "aarch64", 4, 1, "6.6.62+rpt-rpi-2712", "", "ondemand", 2400, 2.0),
    Machine("laptop", "Intel(R) N100", "x86_64", 4, 1, "6.12.1", "", "powersave", 3400, 1.6),
    Machine("riscv", "sophgo,sg2042", "riscv64", 64, 1, "6.12.6", "", "performance", 2000, 3.4),
];

const DAY_MS: u64 = 86_400_000;

/// The run of a machine, so many days after the fixture's, whose figures drifted by a factor.
fn run_of(machine: &Machine, days: u64, drift: f64) -> Run {
    let Machine(name, model, architecture, cpus, threads, kernel, hypervisor, governor, mhz, factor) = *machine;
    let mut run = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/three-rounds")).unwrap();
    let id = format!("{:016x}", name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(byte.into())));
    run.hosts.truncate(1);
    for line in &mut run.hosts {
        line.id.clone_from(&id);
        line.started_ms += days * DAY_MS;
        let host = &mut line.host;
        host.processor.model = Some(model.into());
        host.processor.maximum_khz = (mhz > 0).then_some(mhz * 1000);
        host.kernel.release = Some(kernel.into());
        host.kernel.architecture = Some(architecture.into());
        host.power.governors = (!governor.is_empty()).then(|| governor.to_string()).into_iter().collect();
        host.virtualization.evidence = (!hypervisor.is_empty()).then(|| "made up".to_string()).into_iter().collect();
        host.virtualization.hypervisor = (!hypervisor.is_empty()).then(|| hypervisor.into());
        host.topology = topology(cpus, threads);
    }
    for (index, line) in run.benchmarks.iter_mut().enumerate() {
        line.host_id.clone_from(&id);
        line.started_ms += days * DAY_MS;
        let Outcome::Measured(measured) = &mut line.outcome else { continue };
        // Mechanisms do not all scale alike, and rounds scatter.
        let own = 1.0 + 0.25 * ((line.mechanism.len() % 5) as f64 - 2.0) * (factor - 1.0) / 2.0;
        let scatter = 1.0 + 0.004 * ((index * 7 + name.len()) % 5) as f64;
        for sample in &mut measured.samples {
            sample.amount = Amount((sample.amount.0 as f64 * factor * own * scatter * drift) as u64);
        }
    }
    run
}

fn topology(cpus: usize, threads: usize) -> Topology {
    let cpu = |id: usize| {
        let first = id / threads * threads;
        LogicalCpu {
            id: CpuId(id),
            siblings: (first..first + threads).map(CpuId).collect(),
            core: CpuId(first),
            package: Some(0),
            llc: CpuId(0),
            llc_assumed: false,
            node: 0,
            capacity: None,
            pmu: None,
        }
    };
    Topology { cpus: (0..cpus).map(cpu).collect(), caches: Vec::new() }
}

fn write(folder: &Path, run: &Run) {
    std::fs::create_dir_all(folder).unwrap();
    let hosts = run.hosts.iter().map(|host| Line::Host(Box::new(host.clone())));
    let lines = hosts.chain(run.benchmarks.iter().map(|line| Line::Benchmark(Box::new(line.clone()))));
    let text: String = lines.map(|line| line_text(&line).unwrap() + "\n").collect();
    std::fs::write(folder.join("records.jsonl"), text).unwrap();
}

/// The folders of all machines' runs below `root`.
fn written(root: &Path) -> Vec<PathBuf> {
    let folders = MACHINES.iter().map(|machine| {
        let folder = root.join(machine.0);
        write(&folder, &run_of(machine, 0, 1.0));
        folder
    });
    folders.collect()
}

fn ran(verb: &str, folders: &[PathBuf], more: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_switchcost")).arg(verb).args(folders).args(more).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_report_of_twelve_hosts_has_a_line_for_each_and_a_chart_for_each_question() {
    // It stays there, to be looked at in a browser.
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("twelve-hosts");
    let mut folders = written(&root);
    // The first host again, three days and a week later, slower by then.
    for (days, drift) in [(3, 1.02), (7, 1.3)] {
        let folder = root.join(format!("epyc-{days}-days-later"));
        write(&folder, &run_of(&MACHINES[0], days, drift));
        folders.push(folder);
    }
    let out = root.join("report");
    let (status, _, told) = ran("report", &folders, &["--out", out.to_str().unwrap()]);
    assert_eq!((status, told.as_str()), (0, ""));
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    let table = page.split("<table class=\"hosts\">").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(table.matches("<tr>").count(), 1 + folders.len());
    for Machine(_, model, ..) in &MACHINES {
        let shown = model.replace('<', "&lt;");
        assert!(table.contains(&shown), "{shown} is not in the table");
    }
    assert!(table.contains("384 on 192 cores") && table.contains("Amazon EC2"), "{table}");
    let groups = page.matches("<section class=\"group\"").count();
    assert_eq!(page.matches("the runs side by side").count() / 2, groups.max(1), "one chart a question, and its label");
    assert!(page.contains("One host over time: runs A, M, N"), "no line over time");
    assert!(!page.contains(" over A: the ratio of each"), "of many runs no picture for each pair");
    let markdown = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| ")).take(14).count(), 14);
    let data = std::fs::read_dir(out.join("data")).unwrap().flatten().map(|entry| entry.file_name());
    let over_time: Vec<_> = data.filter(|name| name.to_string_lossy().starts_with("over-time-")).collect();
    assert_eq!(over_time.len(), groups, "{over_time:?}");
    let csv = std::fs::read_to_string(out.join("data").join(&over_time[0])).unwrap();
    assert!(csv.lines().any(|line| line.contains(",7,1.3")), "{csv}");
}

#[test]
fn a_comparison_of_ten_runs_fits_a_screen() {
    let root = tempdir().unwrap();
    let folders = &written(root.path())[..10];
    let (status, text, told) = ran("compare", folders, &[]);
    assert_eq!((status, told.as_str()), (0, ""));
    assert!(text.lines().count() <= 45, "{} lines:\n{text}", text.lines().count());
    for line in text.lines().filter(|line| !line.contains(root.path().to_str().unwrap())) {
        assert!(line.chars().count() <= 120, "{line}");
    }
    let letters = text.lines().filter(|line| line.as_bytes().get(1) == Some(&b':')).count();
    assert_eq!(letters, 10, "{text}");
    let head = text.lines().find(|line| line.starts_with("benchmark")).unwrap();
    assert_eq!(head.split_whitespace().skip(3).collect::<String>(), "BCDEFGHIJ");
    assert!(text.contains('*'), "nothing is told beyond doubt:\n{text}");
}

#[test]
fn what_no_machine_can_have_is_in_no_table_and_says_why() {
    let root = tempdir().unwrap();
    let mut run = run_of(&MACHINES[0], 0, 1.0);
    let measured = run.benchmarks.iter().filter(|line| matches!(line.outcome, Outcome::Measured(_)));
    let id = measured.map(|line| line.id.clone()).next().unwrap();
    for line in run.benchmarks.iter_mut().filter(|line| line.id == id) {
        let Outcome::Measured(measured) = &mut line.outcome else { continue };
        measured.samples.iter_mut().for_each(|sample| sample.amount = Amount(0));
    }
    let folder = root.path().join("void");
    write(&folder, &run);
    let (status, text, _) = ran("show", std::slice::from_ref(&folder), &["--details"]);
    assert_eq!(status, 0);
    assert!(text.contains("void: 0 ns per operation"), "{text}");
    let other = root.path().join("other");
    write(&other, &run_of(&MACHINES[1], 0, 1.0));
    let (status, text, _) = ran("compare", &[folder.clone(), other], &["--format", "csv"]);
    assert_eq!(status, 0);
    assert!(!text.lines().any(|line| line.starts_with(&format!("{id},"))), "{text}");
    let out = root.path().join("report");
    assert_eq!(ran("report", std::slice::from_ref(&folder), &["--out", out.to_str().unwrap()]).0, 0);
    let page = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(page.contains("void: 0 ns per operation"), "{page}");
    // The record itself is as it was.
    let (status, text, _) = ran("export", &[folder], &["--sql", "-"]);
    assert!(status == 0 && text.contains(&id) && !text.contains("void: "));
    assert!(run.benchmarks.iter().any(|line| line.setting.placement == Placement::SameCpu));
}
