//! What does not plan rounds: pairs, audits, limits, lists and what reads records.

use std::fs;

use serde_json::json;

use super::{Row, comes_to};
use crate::sys::affinity::allowed_cpus;

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn rows() -> Vec<Row> {
    [matrix(), audit(), limits(), readers(), serve(), lessons(), splice("page.md", "reports", "newer")]
        .into_iter()
        .flatten()
        .collect()
}

fn serve() -> Vec<Row> {
    let base = "serve epoll";
    let row =
        |option, given: &str, pointer: &str, value| Row::added("serve", option, base, given).gives(pointer, value);
    let timeout = Row::added("serve", "timeout", base, "--timeout 2500ms");
    vec![
        Row::differing("serve", "model", base, "serve forking").gives("/model", json!("forking")),
        row("listen", "--listen 127.0.0.9:81", "/config/address", json!("127.0.0.9:81")),
        row("netns", "--netns", "/config/address", json!("0.0.0.0:8080")),
        row("protocol", "--protocol udp-echo", "/config/protocol", json!("udp-echo")),
        row("delay", "--delay 5ms", "/config/delay", json!(5_000_000)),
        row("work", "--work 50us", "/config/work", json!(50_000)),
        row("payload", "--payload 7", "/config/payload", json!(7)),
        row("file", "--file /etc/hostname", "/config/file", json!("/etc/hostname")),
        row("file_way", "--file-way sendfile", "/config/file_way", json!("sendfile")),
        row("backlog", "--backlog 10", "/config/backlog", json!(10)),
        row("pool", "--pool 3", "/config/pool", json!(3)),
        row("workers", "--workers 0", "/config/workers", json!(0)),
        timeout.gives("/config/timeout/secs", json!(2)).gives("/config/timeout/nanos", json!(500_000_000)),
        row("trigger", "--trigger edge", "/config/trigger", json!("edge")),
        row("accept", "--accept single", "/config/accept", json!("single")),
        row("receive", "--receive single", "/config/receive", json!("single")),
        row("buffers", "--buffers 16", "/config/buffers", json!(16)),
        Row::added("serve", "cpus", base, "--cpus 0").gives("/cpus/0", json!(0)).changes("/cpus*"),
    ]
}

fn matrix() -> Vec<Row> {
    let base = "matrix --out there";
    let row = |option, given: &str| Row::added("matrix", option, base, given);
    // One CPU is no pair, and the refusal shows that the list was read.
    let cpu = allowed_cpus().unwrap()[0];
    vec![
        row("mechanism", "--mechanism eventfd")
            .gives("/mechanism", json!("handoff/eventfd"))
            .changes("/pairs*")
            .changes("/setting/parameters*"),
        Row::added("matrix", "set", "matrix --mechanism spin_then_park --out there", "--set spin=3")
            .gives("/setting/parameters/spin", json!(3)),
        row("placement", "--placement same-cpu")
            .gives(
                "/refused",
                json!("--placement: each pair of CPUs is a placement of its own; choose among them by --cpus"),
            )
            .changes("*"),
        row("slice_us", "--slice-us 500").gives("/setting/policy/slice_us", json!(500)).changes("/setting/policy*"),
        row("cpus", &format!("--cpus {cpu}"))
            .gives(
                "/refused",
                json!(format!(
                    "handoff/spin needs two CPUs, and there is only CPU {cpu}; a wider mask helps (taskset, \
                               cpuset, --cpus)"
                )),
            )
            .changes("*"),
        row("ordered", "--ordered")
            .gives("/pairs/1", json!(format!("{}+{cpu}", allowed_cpus().unwrap().get(1).unwrap_or(&cpu))))
            .changes("/pairs*"),
        row("rounds", "--rounds 5").gives("/rounds", json!(5)),
        row("sample_ms", "--sample-ms 7").gives("/sample", json!(7_000_000)),
        row("idle", "--idle spinner").gives("/setting/idle", json!("spinner")),
        row("policy", "--policy batch").gives("/setting/policy/class", json!("batch")).changes("/setting/policy*"),
        row("json", "--json").gives("/json", json!(true)),
        Row::differing("matrix", "out", base, "matrix --out here").gives("/folder", json!("here")),
    ]
}

fn audit() -> Vec<Row> {
    let base = "audit ^handoff/pipe/same-cpu";
    let row = |option, given: &str| Row::added("audit", option, base, given);
    let brigade = "audit ^brigade/one_thread/same-cpu";
    vec![
        Row::differing("audit", "filter", base, "audit ^handoff/eventfd/same-cpu")
            .gives("/ids/0", json!("handoff/eventfd/same-cpu"))
            .changes("/settings/0/parameters*"),
        Row::added("audit", "set", brigade, "--set tasks=8")
            .changes("/ids/0")
            .gives("/settings/0/parameters/tasks", json!(8)),
        Row::differing(
            "audit",
            "placement",
            "audit ^handoff/pipe/ --placement same-cpu",
            "audit ^handoff/pipe/ --placement unpinned",
        )
        .gives("/ids/0", json!("handoff/pipe/unpinned"))
        .changes("/settings/0/placement")
        .changes("/settings/0/cpus*"),
        row("idle", "--idle spinner").changes("/ids/0").gives("/settings/0/idle", json!("spinner")),
        row("policy", "--policy batch").changes("/ids/0").changes("/settings/0/policy*"),
        row("slice_us", "--slice-us 1000").changes("/ids/0").changes("/settings/0/policy*"),
        Row::cpus("audit", base, &["/settings/0/cpus/0".into()]),
        Row::added("audit", "exclude", "audit ^handoff/(pipe|eventfd)/same-cpu", "--exclude eventfd")
            .gives("/ids/0", json!("handoff/pipe/same-cpu"))
            .changes("/ids/1")
            .changes("/settings*"),
        row("json", "--json").gives("/json/0", json!(true)).gives("/json/1", json!(true)),
    ]
}

fn limits() -> Vec<Row> {
    let base = "limits --tasks 20 --mechanism brigade/one_thread";
    let row = |option, given: &str| Row::added("limits", option, base, given);
    vec![
        Row::differing("limits", "tasks", "limits --tasks 20", "limits --tasks 21")
            .gives("/threads", json!(21))
            .gives("/fits", json!(false))
            .changes("/bytes"),
        Row::differing("limits", "mechanism", "limits --tasks 20", base)
            .changes("/descriptors")
            .changes("/threads")
            .changes("/bytes"),
        row("sweep", "--sweep").gives("/descriptors", json!(48)).changes("/bytes").changes("/threads*"),
        row("connections", "--connections 9").gives("/connections", json!(9)),
        row("json", "--json").gives("/json", json!(true)),
    ]
}

fn readers() -> Vec<Row> {
    let (run, other) = (fixture("report/three-rounds"), fixture("record/schema-1"));
    let long = fixture("record/schema-2");
    let target = |option, given: &str, value: &str| {
        let (base, with) = (format!("export --sql - {run}"), format!("export {given} {run}"));
        Row::differing("export", option, &base, &with).gives("/target", json!(value))
    };
    vec![
        Row::differing("list", "filter", "list", "list ^brigade/one_thread$").changes("/lines"),
        Row::added("list", "exclude", "list", "--exclude ^brigade/").changes("/lines"),
        Row::added("list", "json", "list ^brigade/one_thread$", "--json")
            .gives("/json", json!(true))
            .gives("/lines", json!(1)),
        Row::added("host", "json", "host", "--json").gives("/json", json!(true)).changes("/lines"),
        Row::added("list", "details", "list ^brigade/epoll$ ^brigade/poll$", "--details").changes("/lines"),
        Row::added("show", "details", &format!("show {run}"), "--details").changes("/text"),
        Row::differing("show", "run", &format!("show {run}"), &format!("show {other}")).changes("/text"),
        Row::differing("report", "runs", &format!("report {run} --out there"), &format!("report {other} --out there"))
            .changes("/page"),
        Row::added("report", "out", &format!("report {run}"), "--out there").gives("/folder", json!("there")),
        Row::differing("export", "runs", &format!("export --sql - {run}"), &format!("export --sql - {other}"))
            .gives("/runs/0", json!(other)),
        Row::differing("bundle", "run", &format!("bundle {run} --out x"), &format!("bundle {long} --out x"))
            .changes("/booted*")
            .changes("/left_out*"),
        Row::added("bundle", "out", &format!("bundle {run}"), "--out there").gives("/file", json!("there")),
        Row::added("bundle", "no_private", &format!("bundle {long}"), "--no-private")
            .changes("/booted*")
            .changes("/left_out*"),
        Row::differing(
            "bundle",
            "private",
            &format!("bundle {long} --no-private"),
            &format!("bundle {long} --no-private --private"),
        )
        .changes("/booted*")
        .changes("/left_out*"),
        target("sqlite", "--sqlite all.db", "Sqlite(\"all.db\")"),
        target("csv", "--csv tables", "Tables(\"tables\")"),
        target("csv", "--csv rounds.csv", "OneTable(\"rounds.csv\")"),
        target("sql", "--sql there", "Sql(Some(\"there\"))"),
    ]
}

/// The lessons are those of this clone.
fn lessons() -> Vec<Row> {
    let root = env!("CARGO_MANIFEST_DIR");
    let (list, quiz) = (format!("lessons --root {root}"), format!("lessons --root {root} --quiz 1"));
    let lesson = format!("lesson 1 --root {root}");
    let row = |option, given: &str| Row::added("lesson", option, &lesson, given);
    vec![
        Row::differing("lessons", "root", &format!("lessons --root {root}/docs"), &list)
            .changes("/refused")
            .changes("/text")
            .changes("/folder*")
            .changes("/pages*"),
        Row::added("lessons", "quiz", &list, "--quiz 1").changes("/text"),
        Row::added("lessons", "seed", &quiz, "--seed 7").changes("/text"),
        Row::added("lessons", "answers", &quiz, "--answers").changes("/text"),
        Row::added("lessons", "out", &list, "--out there").gives("/folder", json!("there")).changes("/pages"),
        Row::differing("lesson", "lesson", &lesson, &format!("lesson 8 --root {root}"))
            .gives("/ids/0", json!("brigade/epoll/same-cpu"))
            .changes("/ids*")
            .changes("/rounds"),
        row("record", "--record there").gives("/record", json!("there")),
        row("out", "--out there").gives("/folder", json!("there")),
        Row::differing("lesson", "root", &format!("lesson 1 --root {root}/docs"), &lesson)
            .changes("/refused")
            .changes("/budget*")
            .changes("/rounds")
            .changes("/ids*")
            .changes("/folder*")
            .changes("/record*"),
    ]
}

/// `splice` has no plan: `page` is in step with `reports` and not with `other`.
fn splice(page: &str, reports: &str, other: &str) -> Vec<Row> {
    let base = format!("splice {page} --reports {reports} --check");
    vec![
        Row::differing("splice", "page", &base, &base.replacen(page, &format!("{page}.gone"), 1))
            .changes("/refused")
            .changes("/failed"),
        Row::differing("splice", "reports", &base, &base.replacen(reports, other, 1)).gives("/failed", json!(true)),
        // Without it the page is put in step, and only then: the same command checked it before.
        Row::differing(
            "splice",
            "check",
            &base.replacen(reports, other, 1),
            &format!("splice {page} --reports {other}"),
        )
        .gives("/failed", json!(false)),
    ]
}

#[test]
fn the_visits_hold_every_option_of_matrix() {
    let cpus = allowed_cpus().unwrap().len();
    if cpus < 2 {
        println!("not checked: the options of matrix: it needs two CPUs, and this process has {cpus}");
        return;
    }
    matrix().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn what_is_audited_holds_every_option_of_audit() {
    audit().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn the_demand_holds_every_option_of_limits() {
    limits().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn what_is_printed_holds_every_option_of_the_readers() {
    readers().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn the_lessons_hold_every_option_of_theirs() {
    lessons().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn the_page_holds_every_option_of_splice() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, text) in [("reports", "| old |"), ("newer", "| new |")] {
        let dated = folder.path().join(name).join("2026-01-01");
        fs::create_dir_all(&dated).unwrap();
        fs::write(dated.join(crate::report::NUMBERS), text).unwrap();
    }
    fs::write(at("page.md"), "<!-- switchcost:numbers -->\n<!-- /switchcost:numbers -->\n").unwrap();
    comes_to(&format!("splice {} --reports {}", at("page.md"), at("reports")));
    splice(&at("page.md"), &at("reports"), &at("newer")).iter().for_each(|row| row.check(comes_to));
}
