//! Every option of every verb, asserted in what the command line comes to: [`Row`] by row, two command lines that
//! differ in the one option, and everything that differs between what they come to.
//!
//! The list of options is clap's own, and of `cargo bench` that of its help: an option without a row is a red test.

mod advising;
mod asking;
mod bench;
mod filters;
mod others;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{CommandFactory, Parser};
use serde_json::{Value, json};

use super::run_session::Start;
use super::{Arguments, Verb};
use crate::harness::PlannedBenchmark;
use crate::host::Root;
use crate::host::limits::Limits;
use crate::record::AuditRecord;
use crate::sys::affinity::allowed_cpus;
use crate::terms::Unsupported;

/// One option of one verb.
struct Row {
    verb: &'static str,
    /// The option's id, or several that stand together.
    option: &'static str,
    /// The command line without the option, or with its other value.
    base: String,
    /// The command line with it.
    with: String,
    /// Every leaf that changes, with its new value; none is any value. A `*` at the end takes every leaf that begins
    /// so, be it none.
    changed: Vec<(String, Option<Value>)>,
}

impl Row {
    /// `base` and, behind it, `given`.
    fn added(verb: &'static str, option: &'static str, base: &str, given: &str) -> Self {
        Self::differing(verb, option, base, &format!("{base} {given}"))
    }

    fn differing(verb: &'static str, option: &'static str, base: &str, with: &str) -> Self {
        Self { verb, option, base: base.into(), with: with.into(), changed: Vec::new() }
    }

    /// The leaf at `pointer` has this value.
    fn gives(mut self, pointer: &str, value: Value) -> Self {
        self.changed.push((pointer.into(), Some(value)));
        self
    }

    /// The leaf at `pointer` changes, or all that begin with it may.
    fn changes(mut self, pointer: &str) -> Self {
        self.changed.push((pointer.into(), None));
        self
    }

    /// `--cpus` with the last CPU that this process may use, which the CPUs at `pointers` become. Where there is one
    /// CPU, one that no machine has is refused.
    fn cpus(verb: &'static str, base: &str, pointers: &[String]) -> Self {
        let allowed = allowed_cpus().unwrap();
        let Some(last) = allowed[1..].last() else {
            return Self::added(verb, "cpus", base, "--cpus 1023").changes("/refused").changes("*");
        };
        let row = Self::added(verb, "cpus", base, &format!("--cpus {last}"));
        pointers.iter().fold(row, |row, pointer| row.gives(pointer, json!(last)))
    }

    fn check(&self, of: fn(&str) -> Value) {
        let (before, after) = (leaves(&of(&self.base)), leaves(&of(&self.with)));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let null = Value::Null;
        let new = |key: &str| after.get(key).unwrap_or(&null);
        let differing: Vec<&String> = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).collect();
        let named = format!("{} --{}: `{}`", self.verb, self.option, self.with);
        for (pointer, value) in self.changed.iter().filter(|(pointer, _)| !pointer.ends_with('*')) {
            assert!(differing.contains(&pointer), "{named}: {pointer} does not change; what does: {differing:?}");
            if let Some(value) = value {
                assert_eq!(new(pointer), value, "{named}: {pointer}");
            }
        }
        let told = |key: &str| {
            self.changed.iter().any(|(pointer, _)| match pointer.strip_suffix('*') {
                Some(beginning) => key.starts_with(beginning),
                None => key == pointer,
            })
        };
        let untold: Vec<_> = differing.into_iter().filter(|key| !told(key)).map(|key| (key, new(key))).collect();
        assert!(untold.is_empty(), "{named}: changes besides: {untold:?}");
    }
}

/// The leaves by JSON pointer.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn walk(value: &Value, at: &str, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(object) => {
                object.iter().for_each(|(name, inner)| walk(inner, &format!("{at}/{name}"), found))
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, inner)| walk(inner, &format!("{at}/{index}"), found));
            }
            leaf => {
                found.insert(at.into(), leaf.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(value, "", &mut found);
    found
}

/// What a command line comes to; a refusal is one too.
fn comes_to(line: &str) -> Value {
    let words = std::iter::once("switchcost").chain(line.split_whitespace());
    let verb = Arguments::try_parse_from(words).unwrap_or_else(|told| panic!("`{line}`: {told}")).verb;
    of_verb(verb).unwrap_or_else(|refused| json!({ "refused": format!("{refused:#}") }))
}

fn of_verb(verb: Verb) -> anyhow::Result<Value> {
    Ok(match verb {
        Verb::Run(run) => {
            let mut value = of_start(run.start()?);
            if let Some(bundle) = run.bundle_file() {
                value["bundle"] = json!(bundle);
            }
            value
        }
        Verb::Sweep(sweep) => sweep.start()?.map_or_else(|| json!({ "measures": false }), of_start),
        Verb::Compare(compare) if compare.paired || compare.resume.is_some() => of_start(compare.start()?),
        Verb::Compare(compare) => {
            let mut out = Vec::new();
            let material = super::paired::ComparisonInput {
                runs: compare.read()?,
                matching: crate::compare::Matching::Ids,
                settings: Vec::new(),
                complete: true,
            };
            if compare.confirm {
                return Ok(compare.confirmation(&material)?.map_or(Value::Null, of_start));
            }
            let status = compare.conclude(material, &mut out)?;
            let text = String::from_utf8(out)?;
            json!({ "status": status, "json": serde_json::from_str::<Value>(&text).ok(), "text": text })
        }
        Verb::Matrix(matrix) => {
            let visits = matrix.plan()?;
            json!({
                "mechanism": visits.mechanism.descriptor().id,
                "cpus": visits.cpus,
                "pairs": visits.pairs.iter().map(|(a, b)| format!("{a}+{b}")).collect::<Vec<_>>(),
                "rounds": visits.sampling.rounds,
                "sample": visits.sampling.sample,
                "setting": visits.setting,
                "folder": visits.folder,
                "json": matrix.numbers(&visits, &[]).is_some_and(|text| is_json(text.as_bytes())),
            })
        }
        Verb::Load(load) => asking::of_load(&load)?,
        Verb::Advise(advise) => advising::of_advise(&advise)?,
        Verb::Audit(audit) => {
            let planned = audit.planned()?;
            let unsupported = Unsupported::new("a", "b", "c");
            let (mut audited, mut refused) = (Vec::new(), Vec::new());
            audit.print("x", Ok(&AuditRecord::default()), &mut audited)?;
            audit.print("x", Err(&unsupported), &mut refused)?;
            json!({
                "ids": planned.iter().map(PlannedBenchmark::id).collect::<Vec<_>>(),
                "settings": planned.iter().map(PlannedBenchmark::setting).collect::<Vec<_>>(),
                "json": [is_json(&audited), is_json(&refused)],
            })
        }
        Verb::Limits(limits) => {
            let mut out = Vec::new();
            let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host/vm-2cpu");
            let fits = limits.print(&Limits::observe(&Root::at(tree)), &mut out)?;
            let demand = limits.demand()?;
            json!({
                "fits": fits,
                "descriptors": demand.descriptors,
                "connections": demand.connections,
                "threads": demand.threads,
                "bytes": demand.bytes,
                "json": is_json(&out),
            })
        }
        Verb::List(list) => listed(|out| list.print(out))?,
        Verb::Host(host) => listed(|out| host.print(out))?,
        Verb::Show(show) => {
            let mut out = Vec::new();
            show.print(&mut out)?;
            json!({ "text": String::from_utf8(out)? })
        }
        Verb::Report(report) => {
            let (folder, files) = report.files()?;
            let page = files.iter().find(|file| file.path.ends_with(crate::report::PAGE));
            json!({ "folder": folder, "page": page.map(|page| page.text.len()) })
        }
        Verb::Bundle(bundle) => {
            let content = bundle.content()?;
            let booted = &content.runs[0].hosts[0].host.kernel.command_line;
            json!({ "file": bundle.file(), "booted": booted, "left_out": content.left_out })
        }
        Verb::Export(export) => {
            let runs: Vec<String> = export.read()?.into_iter().map(|(name, _)| name).collect();
            json!({ "target": format!("{:?}", export.target()), "runs": runs })
        }
        Verb::Serve(serve) => {
            let super::serve::ServePlan { model, config, cpus } = serve.plan()?;
            json!({ "model": model.name(), "config": config, "cpus": cpus })
        }
        Verb::Lessons(lessons) => {
            let mut out = Vec::new();
            lessons.print(&mut out)?;
            let pages = lessons.folder().map(|_| lessons.site()).transpose()?;
            json!({
                "text": String::from_utf8(out)?,
                "folder": lessons.folder(),
                "pages": pages.map(|pages| pages.len()),
            })
        }
        Verb::Lesson(lesson) => {
            let (plan, folder, record) = lesson.asked()?;
            json!({
                "ids": plan.entries.iter().map(|entry| &entry.id).collect::<Vec<_>>(),
                "rounds": plan.rounds,
                "budget": plan.budget.map(|budget| budget.as_secs()),
                "folder": folder,
                "record": record,
            })
        }
        Verb::Splice(splice) => {
            let status = splice.run()?;
            json!({ "failed": status != std::process::ExitCode::SUCCESS })
        }
    })
}

fn of_start(start: Start) -> Value {
    match start {
        Start::Begin(asked, folder) => json!({ "begin": *asked, "folder": folder }),
        Start::Resume(folder) => json!({ "resume": folder }),
    }
}

/// How many lines, and whether they are JSON.
fn listed(print: impl FnOnce(&mut Vec<u8>) -> anyhow::Result<()>) -> anyhow::Result<Value> {
    let mut out = Vec::new();
    print(&mut out)?;
    Ok(json!({ "json": is_json(&out), "lines": String::from_utf8(out)?.lines().count() }))
}

/// Whether it is one JSON value, or one a line.
fn is_json(text: &[u8]) -> bool {
    let all: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(text).into_iter().collect();
    all.is_ok_and(|values| !values.is_empty())
}

/// Options that stand in every verb and are clap's own.
const CLAPS: [&str; 2] = ["help", "version"];

#[test]
fn every_option_of_every_verb_has_a_row() {
    let command = Arguments::command();
    let mut options = BTreeSet::new();
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let ids = verb.get_arguments().map(|argument| argument.get_id().as_str());
        options.extend(ids.filter(|id| !CLAPS.contains(id)).map(|id| format!("{} {id}", verb.get_name())));
    }
    let rows = running::rows().into_iter().chain(others::rows()).chain(asking::rows()).chain(advising::rows());
    let rows: BTreeSet<String> = rows.map(|row| format!("{} {}", row.verb, row.option)).collect();
    let without: Vec<&String> = options.difference(&rows).collect();
    assert!(without.is_empty(), "options whose effect nobody asserts; src/cli/tests wants a row of each: {without:?}");
    let gone: Vec<&String> = rows.difference(&options).collect();
    assert!(gone.is_empty(), "rows of options that there are not: {gone:?}");
}
