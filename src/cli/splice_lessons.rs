//! `switchcost splice docs/lessons`: fills the marks of the lessons, draws their pictures, and judges their claims.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::FAILED;
use super::lessons::{Material, PAGES, lessons, with_records};
use super::terminal::errln;
use crate::report::ReportFile;
use crate::report::lessons::{ClaimVerdict, Evidence, SPEAKERS, claims, picture, speakers, spliced};

/// What became of the lessons.
#[derive(Debug, Default)]
struct SpliceOutcome {
    /// Files as they should be.
    files: Vec<ReportFile>,
    /// Sentences that do not follow, and marks that could not be filled.
    complaints: Vec<String>,
    /// Records that are not there yet.
    absent: Vec<String>,
}

/// The clone of the repository whose lessons `page` is; `None` where it is a page.
pub(super) fn root_of(page: &Path) -> Option<PathBuf> {
    let root = page.ancestors().nth(2).filter(|_| page.is_dir() && page.ends_with(PAGES))?;
    Some(if root.as_os_str().is_empty() { ".".into() } else { root.into() })
}

/// Puts the lessons of the clone at `root` in step with their records; where they are only to be checked, fails when
/// one is not. Fails as well when a sentence does not follow from its record. A record that is not there is told of.
pub(super) fn splice_lessons(root: &Path, check: bool) -> anyhow::Result<ExitCode> {
    let all: anyhow::Result<Vec<Material>> =
        lessons(root)?.into_iter().map(|lesson| with_records(root, lesson)).collect();
    let outcome = outcome(root, all?);
    let folder = root.join(PAGES);
    let mut failed = !outcome.complaints.is_empty();
    outcome.complaints.iter().for_each(|complaint| errln!("{complaint}"));
    let mut out = std::io::stdout().lock();
    for absent in &outcome.absent {
        writeln!(out, "{absent}")?;
    }
    for file in &outcome.files {
        let path = folder.join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|old| old == file.text) {
            continue;
        }
        if check {
            errln!("{} is out of step with its record or the code; run scripts/splice", path.display());
            failed = true;
        } else {
            let failed = || format!("writing {}", path.display());
            fs::create_dir_all(path.parent().unwrap_or(&folder)).with_context(failed)?;
            fs::write(&path, &file.text).with_context(failed)?;
        }
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn outcome(root: &Path, mut all: Vec<Material>) -> SpliceOutcome {
    let mut outcome = SpliceOutcome::default();
    let file = |path: &str| fs::read_to_string(root.join(path));
    for material in &mut all {
        let name = format!("{PAGES}/{}.md", material.lesson.name);
        let filled = spliced(&material.evidence(), &file);
        outcome.complaints.extend(filled.complaints.iter().map(|why| format!("{name}: {why}")));
        material.lesson.page = filled.page;
        let evidence = material.evidence();
        outcome.complaints.extend(unfounded(&evidence).into_iter().map(|why| format!("{name}: {why}")));
        for (_, source) in evidence.absent() {
            let folder = source.folder.replacen('*', "<date>-<host>", 1);
            outcome.absent.push(format!("{name}: not measured yet: reports/{folder}: {}", source.fill));
        }
        outcome.files.push(picture(&evidence));
        outcome
            .files
            .push(ReportFile { path: format!("{}.md", material.lesson.name), text: material.lesson.page.clone() });
    }
    let text = speakers(&all.iter().map(Material::evidence).collect::<Vec<_>>());
    outcome.files.push(ReportFile { path: format!("{SPEAKERS}.md"), text });
    outcome
}

/// The sentences that do not follow from the records that are there.
fn unfounded(evidence: &Evidence) -> Vec<String> {
    let judged = claims(evidence).into_iter();
    let unfounded = judged.filter_map(|claim| {
        let why = match &claim.verdict {
            ClaimVerdict::Holds | ClaimVerdict::NotMeasured(_) => return None,
            ClaimVerdict::Opposite(figures) => format!("the record says the opposite ({figures})"),
            ClaimVerdict::NotTold(figures) => format!("the record does not tell ({figures})"),
            ClaimVerdict::Wrong(why) => why.clone(),
        };
        Some(format!("this does not follow from `{}`, {why}: {}", claim.condition, claim.sentence))
    });
    unfounded.collect()
}
