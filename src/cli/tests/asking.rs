//! The options of `switchcost load`, in the plan that they come to.

use serde_json::{Value, json};

use super::{Row, comes_to};
use crate::cli::load::LoadArgs;

/// The plan, and what is searched for.
pub(super) fn of_load(load: &LoadArgs) -> anyhow::Result<Value> {
    let plan = load.plan()?;
    let search = load.search.search(plan.driver.rate())?.map(|search| format!("{search:?}"));
    let times_ms = [plan.duration, plan.warm_up, plan.timeout].map(|time| time.as_millis() as u64);
    let cpus: Vec<usize> = plan.cpus.iter().map(|cpu| cpu.0).collect();
    Ok(json!({
        "address": plan.address.to_string(),
        "protocol": format!("{:?}", plan.protocol),
        "connections": [plan.connections, plan.idle_connections],
        "driver": format!("{:?}", plan.driver),
        "times_ms": times_ms,
        "requests": plan.requests,
        "precision": plan.precision,
        "engine": plan.engine.name(),
        "threads": plan.threads,
        "cpus": cpus,
        "spin": plan.spin.0,
        "seed": plan.seed,
        "search": search,
        "files": [&load.json, &load.hdr, &load.record],
        "netns": load.netns,
        "quiet": load.quiet,
    }))
}

pub(super) fn rows() -> Vec<Row> {
    const BASE: &str = "load http://127.0.0.1:1/ -d 1s --spin-us 0";
    const OPEN: &str = "load http://127.0.0.1:1/ -d 1s --spin-us 0 -R 10";
    const TCP: &str = "load tcp://127.0.0.1:1 -d 1s --spin-us 0";
    let row = |option, given: &str| Row::added("load", option, BASE, given);
    let text = |option, given: &str| row(option, given).changes("/protocol");
    let searched = |option, given: &str, before: &str| {
        Row::differing("load", option, &format!("{BASE} {before}"), &format!("{BASE} {given}")).changes("/search")
    };
    let me = std::process::id();
    vec![
        Row::differing("load", "url", BASE, "load http://127.0.0.1:2/ -d 1s --spin-us 0")
            .gives("/address", json!("127.0.0.1:2"))
            .changes("/protocol"),
        row("connections", "-c 8").gives("/connections/0", json!(8)).changes("/driver"),
        row("threads", "-t 3").gives("/threads", json!(3)),
        Row::differing("load", "duration", BASE, "load http://127.0.0.1:1/ -z 2s --spin-us 0")
            .gives("/times_ms/0", json!(2000)),
        row("rate", "-q 5").changes("/driver"),
        row("requests", "-n 7").gives("/requests", json!(7)),
        Row::added("load", "arrivals", OPEN, "--arrivals bursts:10ms/90ms").changes("/driver"),
        row("times", "--times /no/such/file").changes("/refused").changes("*"),
        row("outstanding", "--outstanding 3").changes("/driver"),
        row("engine", "-e threads").gives("/engine", json!("threads")),
        row("cpus", "--cpus 0-1").gives("/cpus/0", json!(0)).gives("/cpus/1", json!(1)),
        row("record", "--record r").changes("/files/2"),
        row("netns", "--netns 7").gives("/netns", json!(7)),
        row("timeout", "--timeout 3s").gives("/times_ms/2", json!(3000)),
        row("warm_up", "--warm-up 500ms").gives("/times_ms/1", json!(500)),
        Row::differing("load", "spin_us", BASE, "load http://127.0.0.1:1/ -d 1s --spin-us 7")
            .gives("/spin", json!(7000)),
        row("until_p99", "--until-p99 7%").changes("/precision"),
        row("idle_connections", "--idle-connections 9").gives("/connections/1", json!(9)),
        text("method", "-m HEAD"),
        text("headers", "-H X-A:1"),
        text("body", "--body x"),
        text("disable_keepalive", "--disable-keepalive"),
        Row::added("load", "payload", TCP, "--payload 7").changes("/protocol"),
        row("seed", "--seed 9").gives("/seed", json!(9)),
        row("target_cpu", &format!("--target-cpu 60% --server-pid {me}")).changes("/search").changes("/driver"),
        row("target_p99", "--target-p99 5ms").changes("/search").changes("/driver"),
        searched("probe", "--target-p99 5ms --probe 1s", "--target-p99 5ms"),
        searched(
            "server_pid",
            &format!("--target-cpu 60% --server-pid {me}"),
            &format!("--target-cpu 60% --server-tree {me}"),
        ),
        searched(
            "server_tree",
            &format!("--target-cpu 60% --server-tree {me}"),
            &format!("--target-cpu 60% --server-pid {me}"),
        ),
        Row::differing(
            "load",
            "server_cgroup",
            &format!("{BASE} --target-cpu 60% --server-pid {me}"),
            &format!("{BASE} --target-cpu 60% --server-cgroup /no/such/group"),
        )
        .changes("/refused")
        .changes("*"),
        row("json", "--json there").gives("/files/0", json!("there")),
        row("hdr", "--hdr there").gives("/files/1", json!("there")),
        row("quiet", "--quiet").gives("/quiet", json!(true)),
    ]
}

#[test]
fn each_option_changes_the_plan_as_it_says() {
    rows().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn a_run_without_an_end_ends_when_its_p99_is_known() {
    let plan = |line: &str| comes_to(&format!("load http://127.0.0.1:1/ {line}"));
    assert_eq!((&plan("")["precision"], &plan("")["times_ms"][0]), (&json!(0.05), &json!(30_000)));
    for line in ["-d 10s", "-n 100"] {
        assert_eq!(plan(line)["precision"], Value::Null, "{line}");
    }
}
