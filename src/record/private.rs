//! What a record says of the people and places that it comes from, left out of it before it is sent.
//!
//! A record never holds the machine's host name ([`Host`](crate::terms::Host)). What may name a host, a user or a
//! folder are words of command lines, boot parameters and paths within texts.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::read::Run;
use super::schema::{BenchmarkLine, HostLine, Outcome};
use crate::terms::Shortfall;

/// What stands where a word was.
const LEFT_OUT: &str = "(left out)";

/// Boot parameters that can change a figure, by how they begin (Documentation/admin-guide/kernel-parameters.txt), and
/// whose values name no host, user or disk.
const BOOT_PARAMETERS: &[&str] = &[
    "amd_iommu",
    "amd_pstate",
    "apparmor",
    "audit",
    "cgroup",
    "clocksource",
    "cpufreq",
    "cpuidle",
    "default_hugepagesz",
    "gather_data_sampling",
    "highres",
    "hpet",
    "hugepages",
    "idle",
    "init_on_",
    "intel_idle",
    "intel_iommu",
    "intel_pstate",
    "iommu",
    "irqaffinity",
    "isolcpus",
    "kpti",
    "kvm",
    "l1tf",
    "lsm",
    "maxcpus",
    "mds",
    "mem",
    "mitigations",
    "mmio_stale_data",
    "nmi_watchdog",
    "nohz",
    "nohlt",
    "nopti",
    "nosmt",
    "nospec",
    "nospectre",
    "nowatchdog",
    "nr_cpus",
    "numa",
    "page_",
    "pcie_aspm",
    "preempt",
    "processor",
    "psi",
    "pti",
    "quiet",
    "rcu",
    "reg_file_data_sampling",
    "retbleed",
    "sched",
    "selinux",
    "skew_tick",
    "slab",
    "slub",
    "spec",
    "srbds",
    "swiotlb",
    "threadirqs",
    "transparent_hugepage",
    "tsc",
    "tsx",
    "vsyscall",
];

/// Something that was left out, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What: `words of command lines`.
    pub what: String,
    /// How many.
    pub count: usize,
}

/// Leaves out of records what names a host, a user or a folder, and counts it.
#[derive(Debug)]
pub struct Redaction {
    path: Regex,
    names: Option<Regex>,
    known: Vec<String>,
    left_out: BTreeMap<&'static str, usize>,
}

const WORDS: &str = "words of command lines";
const PARAMETERS: &str = "boot parameters";
const PATHS: &str = "paths";
const NAMES: &str = "host and user names";

impl Redaction {
    /// Leaves out `names` wherever they stand as a word: those of this host and user. Words of command lines that are
    /// among `known` stay, such as the names of verbs and profiles.
    pub fn new(names: &[String], known: Vec<String>) -> Self {
        let named: Vec<String> = names.iter().filter(|name| name.len() > 2).map(|name| regex::escape(name)).collect();
        let names = (!named.is_empty()).then(|| format!(r"\b(?:{})\b", named.join("|")));
        Self {
            // A path of two names or more; `/proc`, `/sys`, `/dev` and `/boot` are the same on every machine.
            path: Regex::new(r#"(?P<before>^|[\s'"`=(:,\[])(?P<path>~?/[^\s'"`,;:()\]/]+[^\s'"`,;:()\]]*)"#)
                .expect("a constant expression"),
            names: names.map(|names| Regex::new(&names).expect("escaped names are an expression")),
            known,
            left_out: BTreeMap::new(),
        }
    }

    /// What a bundle says that was left out of it before, counted as well.
    pub fn before(&mut self, left_out: &[LeftOut]) {
        for left in left_out {
            if let Some(what) = [WORDS, PARAMETERS, PATHS, NAMES].into_iter().find(|what| *what == left.what) {
                *self.left_out.entry(what).or_default() += left.count;
            }
        }
    }

    /// What was left out so far.
    pub fn left_out(&self) -> Vec<LeftOut> {
        let told = self.left_out.iter().filter(|(_, count)| **count > 0);
        told.map(|(what, count)| LeftOut { what: (*what).into(), count: *count }).collect()
    }

    /// Leaves it out of a run.
    pub fn run(&mut self, run: &mut Run) {
        let ids: Vec<String> = run.benchmarks.iter().map(|line| line.id.clone()).collect();
        for host in &mut run.hosts {
            self.host(host, &ids);
        }
        for line in &mut run.benchmarks {
            self.benchmark(line);
        }
    }

    fn host(&mut self, line: &mut HostLine, ids: &[String]) {
        self.words(&mut line.argv, ids);
        let host = &mut line.host;
        if let Some(parameters) = &mut host.kernel.command_line {
            *parameters = self.boot_parameters(parameters);
        }
        let kernel = [&mut host.kernel.release, &mut host.kernel.version];
        for text in kernel.into_iter().chain([&mut host.virtualization.product]).flatten() {
            self.text(text);
        }
        for level in &mut host.cgroups {
            if !level.path.is_empty() {
                level.path = String::new();
                self.count(PATHS);
            }
        }
        for unread in &mut host.unread {
            self.text(&mut unread.path);
            self.text(&mut unread.reason);
        }
    }

    fn benchmark(&mut self, line: &mut BenchmarkLine) {
        match &mut line.outcome {
            Outcome::Failed(reason) => self.text(reason),
            Outcome::Unsupported(unsupported) => self.shortfall(&mut unsupported.0),
            Outcome::Measured(measured) => {
                measured.counted.not_counted.iter_mut().for_each(|shortfall| self.shortfall(shortfall));
                measured.audit.unchecked.iter_mut().for_each(|shortfall| self.shortfall(shortfall));
            }
        }
    }

    fn shortfall(&mut self, shortfall: &mut Shortfall) {
        [&mut shortfall.what, &mut shortfall.why, &mut shortfall.remedy].into_iter().for_each(|text| self.text(text));
    }

    /// Of a command line stay options, numbers, what is part of an `ids`, and what is known.
    pub fn words(&mut self, words: &mut [String], ids: &[String]) {
        // The program's own name comes first, without its folder.
        for word in words.iter_mut().skip(1) {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (Some(option), value),
                _ if word.starts_with('-') && !word.contains('/') => continue,
                _ => (None, word.as_str()),
            };
            let plain = value.trim_matches(['^', '$', '/']);
            let is_number = value.starts_with(|first: char| first.is_ascii_digit()) && !value.contains('/');
            let is_part = plain.is_empty() || ids.iter().any(|id| id.contains(plain));
            if is_number || is_part || value == LEFT_OUT || self.known.iter().any(|known| known == value) {
                continue;
            }
            *word = option.map_or_else(|| LEFT_OUT.into(), |option| format!("{option}={LEFT_OUT}"));
            self.count(WORDS);
        }
    }

    fn boot_parameters(&mut self, text: &str) -> String {
        let kept = |word: &&str| BOOT_PARAMETERS.iter().any(|name| word.starts_with(name)) && !word.contains('/');
        let (kept, gone): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(kept);
        gone.iter().filter(|word| **word != LEFT_OUT).for_each(|_| self.count(PARAMETERS));
        let mut kept = kept.join(" ");
        self.text(&mut kept);
        kept
    }

    /// Paths and names within a text.
    fn text(&mut self, text: &mut String) {
        let mut paths = 0;
        let replaced = self.path.replace_all(text, |found: &regex::Captures| {
            let (before, path) = (&found["before"], &found["path"]);
            if is_of_every_machine(path) {
                return found[0].to_string();
            }
            paths += 1;
            format!("{before}(path)")
        });
        if paths > 0 {
            *text = replaced.into_owned();
            (0..paths).for_each(|_| self.count(PATHS));
        }
        let Some(names) = &self.names else { return };
        let found = names.find_iter(text).count();
        if found > 0 {
            *text = names.replace_all(text, "(name)").into_owned();
            (0..found).for_each(|_| self.count(NAMES));
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }
}

/// Whether a path tells nothing: the kernel's own, but for the folders of control groups, which are named after
/// services and users, and what programs put into shared memory.
fn is_of_every_machine(path: &str) -> bool {
    let within = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ["/proc", "/sys", "/dev", "/boot"].iter().any(|folder| within(folder))
        && !["/sys/fs/cgroup", "/dev/shm", "/dev/disk", "/dev/mapper"].iter().any(|folder| within(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> (String, usize) {
        let mut redaction = Redaction::new(&["erika".into(), "db7.example".into(), "me".into()], Vec::new());
        let mut text = text.to_string();
        redaction.text(&mut text);
        (text, redaction.left_out().iter().map(|left| left.count).sum())
    }

    #[test]
    fn paths_and_names_go_and_what_every_machine_has_stays() {
        assert_eq!(cleaned("reading /home/x/run/a.json: gone"), ("reading (path): gone".into(), 1));
        assert_eq!(cleaned("open('~/secret')"), ("open('(path)')".into(), 1));
        assert_eq!(cleaned("/sys/fs/cgroup/user.slice/a: no"), ("(path): no".into(), 1));
        for stays in ["needs /proc/sys/kernel/pid_max at 9", "7 ns/op, a / b", "handoff/pipe", "/dev/kvm", "/"] {
            assert_eq!(cleaned(stays), (stays.into(), 0));
        }
        assert_eq!(cleaned("6.1.0-erika on db7.example"), ("6.1.0-(name) on (name)".into(), 2));
        assert_eq!(cleaned("some erikas"), ("some erikas".into(), 0), "no word of its own");
    }

    #[test]
    fn of_a_command_line_stay_options_numbers_and_parts_of_ids() {
        let mut redaction = Redaction::new(&[], vec!["run".into(), "default".into()]);
        let given = "switchcost run ^handoff/pipe --rounds 5 --profile default --out /home/erika/x --profile my.toml \
                     --set=tasks=7 --out=erika -q";
        let mut words: Vec<String> = given.split_whitespace().map(String::from).collect();
        redaction.words(&mut words, &["handoff/pipe/same-cpu/tasks=7".into()]);
        let kept = "switchcost run ^handoff/pipe --rounds 5 --profile default --out (left out) --profile (left out) \
                    --set=tasks=7 --out=(left out) -q";
        assert_eq!(words.join(" "), kept);
        assert_eq!(redaction.left_out(), [LeftOut { what: WORDS.into(), count: 3 }]);
    }

    #[test]
    fn boot_parameters_that_change_no_figure_go() {
        let mut redaction = Redaction::new(&[], Vec::new());
        let kept = redaction.boot_parameters(
            "BOOT_IMAGE=/boot/vmlinuz root=UUID=6a1c ro ip=10.0.0.2:::255.255.255.0:db7 mitigations=off isolcpus=2-3 \
             nohz_full=2 systemd.hostname=db7 idle=poll",
        );
        assert_eq!(kept, "mitigations=off isolcpus=2-3 nohz_full=2 idle=poll");
        assert_eq!(redaction.left_out(), [LeftOut { what: PARAMETERS.into(), count: 5 }]);
    }
}
