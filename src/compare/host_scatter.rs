//! How far runs scatter between which nothing changed: from which runs it is known, and what is assumed otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{BenchmarkLine, Build, Run};
use crate::stats::{Replication, RunFigure, Scatter};

use super::by_id;
use super::side::screened;

/// From what the scatter between runs is known, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScatterSource {
    /// Both sides were measured in one run, side by side: nothing lies between them.
    SideBySide,
    /// From several runs of one program on the host.
    Replicates,
    /// From runs of one program on the host that were compared before.
    Stored,
    /// From all ratios of the two runs together, because few benchmarks can really differ.
    AllRatios,
    /// Nothing is known of the host.
    Assumed,
}

/// A self-comparison that is kept for later ones of the same host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredScatter {
    /// The version of this file.
    pub version: u32,
    /// The host, as the lines of records name it.
    pub host_id: String,
    /// How many runs it is from.
    pub runs: usize,
    /// The programs that measured them.
    pub builds: Vec<Build>,
    /// What they show.
    pub replication: Replication,
}

/// The version of [`StoredScatter`] that is written and read.
const VERSION: u32 = 1;

impl StoredScatter {
    /// What `runs` show of the scatter of their host: one file for each host that has several runs of one program.
    pub fn of(runs: &[&Run]) -> Vec<Self> {
        let mut by_host: BTreeMap<String, Self> = BTreeMap::new();
        for group in groups(runs, |_| true) {
            let Some((host_id, build)) = identity(group[0]) else { continue };
            let stored = by_host.entry(host_id.clone()).or_insert_with(|| Self {
                version: VERSION,
                host_id,
                runs: 0,
                builds: Vec::new(),
                replication: Replication::default(),
            });
            add(&mut stored.replication, &group);
            stored.runs += group.len();
            stored.builds.push(build);
        }
        by_host.into_values().filter(|stored| stored.replication.is_enough()).collect()
    }

    /// The name of the file for the host with this id.
    pub fn file_name(host_id: &str) -> String {
        format!("scatter-{host_id}.json")
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// In words, when it is none of this version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let stored: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if stored.version == VERSION { Ok(stored) } else { Err(format!("version {}", stored.version)) }
    }
}

/// What is known of the scatter of hosts.
#[derive(Debug, Clone, Default)]
pub struct ScatterKnowledge {
    replicates: BTreeMap<String, Replication>,
    stored: BTreeMap<String, Replication>,
}

impl ScatterKnowledge {
    /// From the runs that are compared, from `further` runs of the same programs, and from what was stored.
    ///
    /// Further runs of one build are taken as they are given, and then the compared ones tell nothing: what they are
    /// compared for may be in no record. Without any, those of the compared runs are taken for replicates that one
    /// build measured on one host, from a checkout without changes: two builds with changes may differ though their
    /// revision is the same.
    pub fn new(compared: &[&Run], further: &[&Run], stored: Vec<StoredScatter>) -> Self {
        let mut known = Self::default();
        let unchanged = |build: &Build| build.changed == Some(false);
        let groups = if further.is_empty() { groups(compared, unchanged) } else { groups(further, |_| true) };
        for group in groups {
            let Some((host_id, _)) = identity(group[0]) else { continue };
            add(known.replicates.entry(host_id).or_default(), &group);
        }
        known.replicates.retain(|_, replication| replication.is_enough());
        known.stored = stored.into_iter().map(|stored| (stored.host_id, stored.replication)).collect();
        known
    }

    /// Of a host whose runs hardly scatter.
    #[cfg(test)]
    pub(super) fn quiet(host_id: &str, ids: &[&str]) -> Self {
        let mut replication = Replication::default();
        for id in ids {
            let figure = |log| RunFigure { log, variance: 0.0, degrees: 2.0 };
            replication.add(id, &[0.0, 1e-4, -1e-4, 2e-4, -2e-4, 0.0].map(figure));
        }
        Self { replicates: [(host_id.into(), replication)].into(), ..Self::default() }
    }

    /// The scatter of the ratio of `id` between a run on each of two hosts, and from what it is known. `all_ratios` is
    /// that of the bulk of both runs.
    pub(super) fn of(&self, hosts: [&str; 2], id: &str, all_ratios: Option<Scatter>) -> (Scatter, ScatterSource) {
        let [first, other] = hosts;
        if first != other {
            let of = |host: &str| {
                let replicates = self.replicates.get(host).and_then(|known| known.of(id));
                let stored = || self.stored.get(host).and_then(|known| known.of(id));
                replicates
                    .map(|scatter| (scatter, ScatterSource::Replicates))
                    .or_else(|| Some((stored()?, ScatterSource::Stored)))
                    .unwrap_or((Scatter::ASSUMED, ScatterSource::Assumed))
            };
            let ((a, from_a), (b, from_b)) = (of(first), of(other));
            return (a.plus(b), from_a.max(from_b));
        }
        let (one, source) = self.on_one_host(first, id, all_ratios);
        (one.of_two_runs(), source)
    }

    fn on_one_host(&self, host: &str, id: &str, all_ratios: Option<Scatter>) -> (Scatter, ScatterSource) {
        if let Some(scatter) = self.replicates.get(host).and_then(|known| known.of(id)) {
            return (scatter, ScatterSource::Replicates);
        }
        let stored = self.stored.get(host).and_then(|known| known.of(id));
        match (stored, all_ratios) {
            // What was stored knows the benchmark, and the ratios know the day: the wider one holds.
            (Some(stored), Some(bulk)) if bulk.variance <= stored.variance => (stored, ScatterSource::Stored),
            (_, Some(bulk)) => (bulk, ScatterSource::AllRatios),
            (Some(stored), None) => (stored, ScatterSource::Stored),
            (None, None) => (Scatter::ASSUMED, ScatterSource::Assumed),
        }
    }
}

/// The host and the build of a run that has one of each.
fn identity(run: &Run) -> Option<(String, Build)> {
    let first = run.hosts.first()?;
    let same = run.hosts.iter().all(|host| host.id == first.id && host.build == first.build);
    same.then(|| (first.id.clone(), first.build.clone()))
}

/// The runs that one build measured on one host, two or more, of builds that are `known`.
fn groups<'a>(runs: &[&'a Run], known: impl Fn(&Build) -> bool) -> Vec<Vec<&'a Run>> {
    let mut groups: Vec<((String, Build), Vec<&Run>)> = Vec::new();
    for run in runs {
        let Some(identity) = identity(run).filter(|(_, build)| known(build)) else { continue };
        match groups.iter_mut().find(|(of, _)| *of == identity) {
            // A run that is named twice is one run.
            Some((_, group)) if group.iter().any(|other| other.benchmarks == run.benchmarks) => {}
            Some((_, group)) => group.push(run),
            None => groups.push((identity, vec![run])),
        }
    }
    groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect()
}

fn add(replication: &mut Replication, group: &[&Run]) {
    let mut figures: BTreeMap<&str, Vec<RunFigure>> = BTreeMap::new();
    for run in group {
        for (id, lines) in by_id(run) {
            figures.entry(id).or_default().extend(figure(&lines));
        }
    }
    for (id, figures) in figures {
        replication.add(id, &figures);
    }
}

fn figure(lines: &[&BenchmarkLine]) -> Option<RunFigure> {
    RunFigure::of(&screened(lines).kept())
}
