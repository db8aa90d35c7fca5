//! The floor: how much of the catalogue a run of the tests must really have looked at.
//!
//! A machine that lacks io_uring, ptrace or a disk runs fewer mechanisms, and tests that print this and pass would not
//! notice that it was lost. With `SWITCHCOST_TEST_FLOOR=full` every mechanism in every setting must have been audited
//! in one placement at least, except where `SWITCHCOST_MAY_LACK` names what is lacking, as words of the reasons
//! separated by commas: `io_uring,ptrace`.

use std::collections::BTreeMap;

/// What no machine has: the mechanism and its setting, and why it is in the catalogue.
const NOWHERE: &[(&str, &str)] = &[
    ("file/epoll", "epoll on a regular file"),
    ("file/tokio_fs", "a buffer aligned to blocks, for O_DIRECT"),
    ("pipeline/smol_channel", "a channel with rendezvous"),
    ("pipeline/tokio_mpsc", "a channel with rendezvous"),
];

/// What was audited, and why other things were not.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    /// Mechanism and setting, with the reasons; no reasons are kept for what was audited.
    seen: BTreeMap<String, Result<(), Vec<String>>>,
}

impl Floor {
    /// `what` was audited somewhere.
    pub(crate) fn audited(&mut self, what: &str) {
        self.seen.insert(what.into(), Ok(()));
    }

    /// `what` was not audited, in one placement, because of `reason`.
    pub(crate) fn lacking(&mut self, what: &str, reason: String) {
        if let Err(reasons) = self.seen.entry(what.into()).or_insert(Err(Vec::new())) {
            reasons.push(reason);
        }
    }

    /// How many were audited, out of how many.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.seen.values().filter(|seen| seen.is_ok()).count(), self.seen.len())
    }

    /// What was audited nowhere, with its first reason, unless one of `may_lack` is a word of it.
    pub(crate) fn missing(&self, may_lack: &[&str]) -> Vec<String> {
        let excused = |what: &str, reason: &str| {
            may_lack.iter().any(|word| !word.is_empty() && reason.contains(word))
                || NOWHERE.iter().any(|(id, why)| what.starts_with(id) && reason.contains(why))
        };
        let mut missing = Vec::new();
        for (what, seen) in &self.seen {
            if let Err(reasons) = seen
                && !reasons.iter().any(|reason| excused(what, reason))
            {
                missing.push(format!("{what}: {}", reasons.first().map_or("for no reason", String::as_str)));
            }
        }
        missing
    }

    /// Prints what was audited nowhere, and returns what of it the environment does not allow.
    pub(crate) fn check(&self) -> Vec<String> {
        let (audited, all) = self.count();
        println!("{audited} of {all} mechanisms and settings audited");
        let every = self.missing(&[]);
        for missing in &every {
            println!("audited nowhere: {missing}");
        }
        match std::env::var("SWITCHCOST_TEST_FLOOR").ok().as_deref() {
            None | Some("") => Vec::new(),
            Some("full") => {
                let may_lack = std::env::var("SWITCHCOST_MAY_LACK").unwrap_or_default();
                self.missing(&may_lack.split(',').map(str::trim).collect::<Vec<_>>())
            }
            Some(other) => vec![format!("SWITCHCOST_TEST_FLOOR={other}: `full` is all that it may be")],
        }
    }
}
