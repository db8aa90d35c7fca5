//! The plan of the house, checked by reading it: which room sees which, where unsafe code and unwraps may stand, how
//! long a file gets, and that nothing is kept in two lists.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use switchcost::mechanism::{GROUPS, registry};

/// The rooms, and which others each may name: whole rooms, without exceptions. ARCHITECTURE.md and `src/lib.rs` show
/// the same arrows.
const ARROWS: &[(&str, &[&str])] = &[
    ("report", &["advise", "compare", "record", "stats", "terms", "units"]),
    ("compare", &["record", "stats", "terms", "units"]),
    ("advise", &["stats", "terms", "units"]),
    ("harness", &["mechanism", "server", "load", "crew", "host", "pmu", "record", "stats", "sys", "terms", "units"]),
    ("mechanism", &["server", "load", "crew", "sys", "terms", "units"]),
    ("server", &["crew", "sys", "terms", "units"]),
    ("load", &["stats", "sys", "terms", "units"]),
    ("crew", &["sys", "terms", "units"]),
    ("host", &["terms", "units"]),
    ("watch", &["pmu", "sys", "terms", "units"]),
    ("pmu", &["sys", "terms", "units"]),
    ("sys", &["terms", "units"]),
    ("record", &["terms", "units"]),
    ("stats", &[]),
    ("terms", &["units"]),
    ("units", &[]),
];

/// Rooms that wire the others together.
const WIRING: &[&str] = &["cli", "lib", "main"];

/// A source file, as the checks see it.
struct Source {
    path: PathBuf,
    /// The lines with their comments blanked out.
    lines: Vec<String>,
}

impl Source {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        let code = |line: &str| line.find("//").map_or(line, |comment| &line[..comment]).to_string();
        Self { lines: text.lines().map(code).collect(), path }
    }

    /// The path below `src` of its crate.
    fn below_src(&self) -> &Path {
        self.path.strip_prefix("core").unwrap_or(&self.path).strip_prefix("src").unwrap()
    }

    /// The first folder or file below `src`.
    fn room(&self) -> String {
        let first = self.below_src().iter().next().unwrap();
        Path::new(first).file_stem().unwrap().to_str().unwrap().into()
    }

    /// How many modules deep its code lies: `crate` is 0.
    fn depth(&self) -> usize {
        let parts = self.below_src().iter().count();
        let stem = self.path.file_stem().unwrap();
        if stem == "mod" { parts - 1 } else { parts }
    }

    /// Whether it is compiled for tests alone.
    fn is_test(&self) -> bool {
        let parent = self.path.parent().unwrap();
        // `#[cfg(test)] mod simulation;` and the like stand in the folder's mod.rs, or in the file named like the
        // folder.
        let declares = [parent.join("mod.rs"), parent.with_extension("rs")];
        let read = |path: &PathBuf| std::fs::read_to_string(root().join(path)).unwrap_or_default();
        let declared: String = declares.iter().map(read).collect();
        let stem = self.path.file_stem().unwrap().to_str().unwrap();
        declared.contains(&format!("#[cfg(test)]\nmod {stem};"))
            || self.path.iter().any(|part| part == "tests")
            || declared.contains(&format!("#[cfg(test)]\npub(crate) mod {stem};"))
    }

    /// The lines before the file's own tests, with their numbers.
    fn program(&self) -> impl Iterator<Item = (usize, &String)> {
        let tests = self.lines.iter().position(|line| line.trim() == "mod tests {").unwrap_or(self.lines.len());
        self.lines.iter().enumerate().take(tests).map(|(index, line)| (index + 1, line))
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).into_iter().flatten() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root()).unwrap().to_path_buf();
        if path.is_dir() {
            files.extend(rust_files(relative.to_str().unwrap()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(relative);
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let files: Vec<PathBuf> = ["core/src", "src"].into_iter().flat_map(rust_files).collect();
    assert!(!files.is_empty(), "no file of Rust was found, so that nothing is checked");
    files.into_iter().map(Source::read).collect()
}

fn fail(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The paths in a file's program that start at the root of the crate: line, room, and the name in it where there is
/// one.
fn paths(source: &Source) -> Vec<(usize, String, Option<String>)> {
    let program: Vec<&str> = source.program().map(|(_, line)| line.as_str()).collect();
    let code = program.join("\n");
    let start = Regex::new(r"\bcrate::|\b(?:super::)+").unwrap();
    let mut found = Vec::new();
    for prefix in start.find_iter(&code) {
        let supers = prefix.as_str().matches("super::").count();
        if supers > 0 && supers != source.depth() {
            continue;
        }
        let line = code[..prefix.start()].matches('\n').count() + 1;
        for (room, name) in names(&code[prefix.end()..]) {
            found.push((line, room, name));
        }
    }
    found
}

/// What follows `crate::`: `room::name`, `room::{name, name::deeper}`, or `{room::name, room}`.
fn names(rest: &str) -> Vec<(String, Option<String>)> {
    branches(rest)
        .into_iter()
        .flat_map(|(room, inner)| {
            let inner: Vec<Option<String>> = match inner {
                None => vec![None],
                Some(inner) => branches(inner).into_iter().map(|(name, _)| Some(name)).collect(),
            };
            inner.into_iter().map(move |name| (room.clone(), name)).collect::<Vec<_>>()
        })
        .collect()
}

/// The first segment of a path, or of each path in braces, with what stands behind its `::`.
fn branches(rest: &str) -> Vec<(String, Option<&str>)> {
    let segment = |text: &'_ str| -> (String, usize) {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(text.len());
        (text[..end].to_string(), end)
    };
    let Some(list) = rest.strip_prefix('{') else {
        let (name, end) = segment(rest);
        return vec![(name, rest[end..].strip_prefix("::"))];
    };
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (index, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[begin..index]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[begin..index]);
                begin = index + 1;
            }
            _ => {}
        }
    }
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, end) = segment(part);
            (name, part[end..].strip_prefix("::"))
        })
        .collect()
}

#[test]
fn paths_are_read() {
    let read = |text| {
        let told = |(room, name): (String, Option<String>)| format!("{room}/{}", name.unwrap_or("-".into()));
        names(text).into_iter().map(told).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(read("sys::SysError;"), "sys/SysError");
    assert_eq!(read("sys::{SysError, channel::{pipe, Ends}};"), "sys/SysError sys/channel");
    assert_eq!(read("{units::Ops, sys::{a, b}, crew};"), "units/Ops sys/a sys/b crew/-");
    assert_eq!(read("{\n    units,\n};"), "units/-");
}

#[test]
fn arrows_point_one_way() {
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        let room = source.room();
        if WIRING.contains(&room.as_str()) {
            continue;
        }
        let Some((_, sees)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            complaints.push(format!("{}: tests/architecture.rs gives the room `{room}` no arrows", source.at(1)));
            continue;
        };
        for (line, other, name) in paths(&source) {
            let known = ARROWS.iter().any(|(name, _)| *name == other) || WIRING.contains(&other.as_str());
            if known && other != room && !sees.contains(&other.as_str()) {
                let name = name.map_or(String::new(), |name| format!("::{name}"));
                complaints.push(format!("{}: {room} must not see {other}{name}", source.at(line)));
            }
        }
    }
    fail(&complaints);
}

/// The rooms of `core` are named like those of `src`, so that one look at `crate::` sees every arrow.
#[test]
fn rooms_of_core_are_named_by_one_path() {
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| source.path != Path::new("src/lib.rs")) {
        for (line, _) in source.program().filter(|(_, text)| text.contains("switchcost_core")) {
            complaints.push(format!("{}: say crate::, which src/lib.rs makes the same", source.at(line)));
        }
    }
    fail(&complaints);
}

/// The arrows that the picture in `text` shows: a line `room -> other, other` for each room that has any to show. Rooms
/// that wire the others together see every one of them, which the picture says in words.
fn drawn(text: &str) -> BTreeSet<(String, String)> {
    let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
    let picture = lines.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```");
    let shown = picture.filter_map(|line| line.split_once("->")).map(|(room, others)| (room.trim(), others.trim()));
    let shown = shown.filter(|(room, others)| !WIRING.contains(room) && *others != "(nothing)");
    shown.flat_map(|(room, others)| others.split(',').map(|other| (room.into(), other.trim().into()))).collect()
}

#[test]
fn the_pictures_show_the_arrows_that_are_checked() {
    let arrows =
        ARROWS.iter().flat_map(|(room, others)| others.iter().map(|other| (room.to_string(), other.to_string())));
    let arrows: BTreeSet<(String, String)> = arrows.collect();
    let mut complaints = Vec::new();
    for path in ["ARCHITECTURE.md", "src/lib.rs"] {
        let drawn = drawn(&std::fs::read_to_string(root().join(path)).unwrap());
        for (room, other) in drawn.difference(&arrows) {
            complaints.push(format!("{path}: it draws {room} -> {other}, which tests/architecture.rs does not allow"));
        }
        for (room, other) in arrows.difference(&drawn) {
            complaints.push(format!("{path}: it does not draw {room} -> {other}"));
        }
    }
    fail(&complaints);
}

/// Records say that the C library's allocator allocates (`Build::allocator`).
#[test]
fn no_other_allocator_is_put_in_place_of_the_c_librarys() {
    let replacing = |source: Source| {
        let found = source.lines.iter().position(|line| line.contains("#[global_allocator]"));
        found.map(|line| format!("{}: records would name another allocator", source.at(line + 1)))
    };
    fail(&sources().into_iter().filter_map(replacing).collect::<Vec<_>>());
}

/// An arrow that no file needs is a door that was left open.
#[test]
fn every_arrow_is_used() {
    let sources: Vec<Source> = sources().into_iter().filter(|source| !source.is_test()).collect();
    let used: BTreeSet<(String, String)> = sources
        .iter()
        .flat_map(|source| paths(source).into_iter().map(|(_, other, _)| (source.room(), other)))
        .collect();
    let mut complaints = Vec::new();
    for (room, others) in ARROWS {
        for other in others.iter().filter(|other| !used.contains(&(room.to_string(), other.to_string()))) {
            complaints.push(format!("tests/architecture.rs: no file of {room} names {other}"));
        }
    }
    fail(&complaints);
}

/// A library that runs while time is taken, and is compiled as those are that draw charts, is measured at its worst.
#[test]
fn what_is_measured_is_optimised() {
    // They run before and after, or leave no code of their own.
    const NOT_TIMED: &[&str] = &["aya", "base64", "flate2", "libc", "linkme", "perf-event2", "thiserror"];
    let read = |path: &str| -> toml::Table { std::fs::read_to_string(root().join(path)).unwrap().parse().unwrap() };
    let profile = read("Cargo.toml")["profile"]["release"]["package"].clone();
    let level = |name: &str| profile.get(name).and_then(|package| package.get("opt-level")?.as_integer());
    assert_eq!(level("switchcost-core"), Some(3));
    let core = read("core/Cargo.toml")["dependencies"].clone();
    let timed = core.as_table().unwrap().keys().filter(|name| !NOT_TIMED.contains(&name.as_str()));
    let slow = timed.filter(|name| level(name) != Some(3));
    let complaints: Vec<String> =
        slow.map(|name| format!("Cargo.toml: profile.release.package has no opt-level = 3 for {name}")).collect();
    fail(&complaints);
}

/// Terms are data and pure functions over it: no file, no clock, no process, no system call.
#[test]
fn terms_touch_nothing() {
    const PURE: &[&str] = &["cmp", "collections", "fmt", "hash", "iter", "ops", "str"];
    let outside = Regex::new(r"\b(?:std::(\w+|\{)|(nix|libc|rustix)\b)").unwrap();
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| source.room() == "terms") {
        for (line, text) in source.program() {
            for found in outside.captures_iter(text) {
                let name = found.get(1).or(found.get(2)).map_or("", |name| name.as_str());
                if !PURE.contains(&name) {
                    complaints.push(format!("{}: terms are data, and name no {}", source.at(line), &found[0]));
                }
            }
        }
    }
    fail(&complaints);
}

/// Starting a driver is running a mechanism.
#[test]
fn only_the_harness_runs_mechanisms() {
    let runs = Regex::new(r"\bDriver::start\b|\.set_up\(.*crew\)|\bInstanceConfig \{").unwrap();
    let mut complaints = Vec::new();
    let elsewhere = |source: &Source| !["harness", "crew"].contains(&source.room().as_str()) && !source.is_test();
    for source in sources().into_iter().filter(elsewhere) {
        for (line, _) in source.program().filter(|(_, text)| runs.is_match(text)) {
            complaints.push(format!("{}: only src/harness runs mechanisms", source.at(line)));
        }
    }
    fail(&complaints);
}

#[test]
fn unsafe_code_lives_in_sys() {
    let block = Regex::new(r"\bunsafe\b").unwrap();
    let allowed = Regex::new(r"unsafe_code|allow\(unsafe").unwrap();
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| source.room() != "sys") {
        for (index, text) in source.lines.iter().enumerate() {
            if block.is_match(text) || (allowed.is_match(text) && source.path != Path::new("core/src/mechanism/mod.rs"))
            {
                complaints.push(format!("{}: unsafe code belongs in core/src/sys", source.at(index + 1)));
            }
        }
    }
    fail(&complaints);
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut complaints = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        for (line, _) in source.program().filter(|(_, text)| text.contains(".unwrap()")) {
            complaints.push(format!("{}: name the invariant with expect, or return the error", source.at(line)));
        }
    }
    fail(&complaints);
}

#[test]
fn files_stay_short() {
    const MOST: usize = 500;
    let mut complaints = Vec::new();
    for path in ["core", "src", "tests", "benches", "scripts"].into_iter().flat_map(rust_files) {
        let lines = Source::read(path.clone()).lines.len();
        if lines > MOST {
            complaints.push(format!("{}: {lines} lines; over {MOST} a file holds two things", path.display()));
        }
    }
    fail(&complaints);
}

/// A file that the group's module does not name is not compiled, and one that does not register is a helper of those
/// that do.
#[test]
fn every_file_of_a_mechanism_is_in_the_registry() {
    let mut complaints = Vec::new();
    for group in GROUPS {
        let folder = format!("core/src/mechanism/{}", group.name);
        let mut registering = 0;
        for source in rust_files(&folder).into_iter().map(Source::read) {
            let stem = source.path.file_stem().unwrap().to_str().unwrap().to_string();
            let module = source.path.with_file_name("mod.rs");
            let named = std::fs::read_to_string(root().join(&module)).unwrap_or_default();
            if stem != "mod" && !named.contains(&format!("mod {stem};\n")) {
                complaints.push(format!("{}: {} does not name it", source.at(1), module.display()));
            }
            let entries = source.lines.iter().filter(|line| line.trim_start().starts_with("register!(")).count();
            if entries > 1 {
                complaints.push(format!("{}: one mechanism, one file", source.at(1)));
            }
            let id = format!("id: \"{}/{stem}\"", group.name);
            if entries == 1 && !source.lines.iter().any(|line| line.contains(&id)) {
                complaints.push(format!("{}: the file is named after its mechanism: {id}", source.at(1)));
            }
            registering += entries;
        }
        let entries = registry().iter().filter(|m| m.descriptor().group() == group.name).count();
        if entries != registering {
            complaints.push(format!("{folder}: {registering} files register, {entries} are in the registry"));
        }
    }
    let folders: BTreeSet<String> = std::fs::read_dir(root().join("core/src/mechanism"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let groups: BTreeSet<String> = GROUPS.iter().map(|group| group.name.to_string()).collect();
    assert_eq!(folders, groups, "folders of core/src/mechanism, and GROUPS");
    fail(&complaints);
}

#[test]
fn every_mechanism_says_what_is_timed_and_what_distorts_it() {
    let mut complaints = Vec::new();
    for mechanism in registry() {
        let path = format!("core/src/mechanism/{}.rs", mechanism.descriptor().id);
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        let opening: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        for word in ["Timed:", "Distortions:"] {
            if !opening.iter().any(|line| line.contains(word)) {
                complaints.push(format!("{path}:1: it does not open with `{word}`"));
            }
        }
    }
    fail(&complaints);
}

#[test]
fn every_group_has_a_bench_target() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut complaints = Vec::new();
    for group in GROUPS.iter().map(|group| group.name) {
        let text = std::fs::read_to_string(root().join(format!("benches/{group}.rs"))).unwrap_or_default();
        if !text.contains(&format!("start::go_on_as(\"{group}\")")) {
            complaints.push(format!("benches/{group}.rs: it runs the group {group}, and nothing else"));
        }
        if !manifest.contains(&format!("[[bench]]\nname = \"{group}\"\nharness = false\nbench = false")) {
            complaints.push(format!("Cargo.toml: [[bench]] name = \"{group}\", harness = false, bench = false"));
        }
    }
    fail(&complaints);
}
