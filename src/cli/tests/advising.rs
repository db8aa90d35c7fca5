//! The options of `switchcost advise`, in what they come to.

use serde_json::{Value, json};

use super::{Row, comes_to};
use crate::cli::advise::AdviseArgs;

/// The plan, and whom it is about.
pub(super) fn of_advise(advise: &AdviseArgs) -> anyhow::Result<Value> {
    let plan = advise.plan()?;
    Ok(json!({
        "duration_ms": plan.duration.map(|time| time.as_millis() as u64),
        "targets": plan.targets.iter().map(|target| target.name()).collect::<Vec<_>>().join("+"),
        "requests": plan.counter.map(|counter| counter.name().to_string()),
        "cpus": plan.cpus,
        "without": plan.without,
        "pid": advise.pid,
        "command": advise.command.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "from": advise.from,
        "out": advise.out,
        "calibrate_ms": advise.calibrate_for.as_millis() as u64,
        "flags": [advise.watch_only, advise.calibrate, advise.json, advise.quiet],
    }))
}

pub(super) fn rows() -> Vec<Row> {
    const BASE: &str = "advise --pid 1";
    const FROM: &str = "advise --from there";
    let row = |option, given: &str| Row::added("advise", option, BASE, given);
    vec![
        Row::differing("advise", "pid", BASE, "advise --pid 2").gives("/pid", json!(2)),
        row("watch_for", "--for 3s").gives("/duration_ms", json!(3000)),
        row("target", "--target tokio --target epoll").gives("/targets", json!("epoll+tokio")),
        row("requests_from", "--requests-from 12/s").gives("/requests", json!("12/s")),
        row("calibrate_for", "--calibrate-for 7s").gives("/calibrate_ms", json!(7000)),
        row("calibrate_cpus", "--calibrate-cpus 3").gives("/cpus/0", json!(3)).gives("/cpus", Value::Null),
        row("watch_only", "--watch-only").gives("/flags/0", json!(true)),
        Row::differing("advise", "from", FROM, "advise --from here").gives("/from", json!("here")),
        Row::added("advise", "calibrate", FROM, "--calibrate").gives("/flags/1", json!(true)),
        row("without", "--without burst").gives("/without/0", json!("burst")),
        row("json", "--json").gives("/flags/2", json!(true)),
        row("out", "--out there").gives("/out", json!("there")),
        row("quiet", "--quiet").gives("/flags/3", json!(true)),
        Row::differing("advise", "command", "advise -- true", "advise -- true 5").gives("/command/1", json!("5")),
    ]
}

#[test]
fn each_option_changes_what_is_watched_as_it_says() {
    rows().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn a_process_is_watched_for_a_while_and_a_command_until_it_ends() {
    assert_eq!(comes_to("advise --pid 1")["duration_ms"], json!(10_000));
    assert_eq!(comes_to("advise -- true")["duration_ms"], Value::Null);
    assert_eq!(comes_to("advise --for 2s -- true")["duration_ms"], json!(2000));
}
