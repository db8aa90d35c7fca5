//! What a filter means: the one place where an expression meets an id, for every verb, for `cargo bench` and for
//! profiles.

use std::fmt;

use regex::Regex;

use crate::mechanism::group;

/// A regular expression over ids, such as `handoff/futex/same-cpu/idle=poll`. It is searched
///
/// - in the id, and in its first two parts alone, so that `handoff/futex$` means that mechanism in every placement;
/// - with one restriction: a match that begins with a group's name and the slash begins the id, so that `handoff/` is
///   that group, without `after_syscall/handoff`. What names no group, such as `futex`, is found anywhere.
#[derive(Debug, Clone)]
pub struct IdPattern(Regex);

impl IdPattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(text).map(Self)
    }

    /// Whether `id` is meant.
    pub fn matches(&self, id: &str) -> bool {
        self.is_found_in(id) || mechanism(id).is_some_and(|mechanism| self.is_found_in(mechanism))
    }

    fn is_found_in(&self, text: &str) -> bool {
        self.0.find_iter(text).any(|found| found.start() == 0 || !begins_with_a_group(found.as_str()))
    }
}

impl fmt::Display for IdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first two parts of an id that has more.
fn mechanism(id: &str) -> Option<&str> {
    let (second_slash, _) = id.match_indices('/').nth(1)?;
    Some(&id[..second_slash])
}

fn begins_with_a_group(text: &str) -> bool {
    text.split_once('/').is_some_and(|(name, _)| group(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, id: &str) -> bool {
        IdPattern::new(pattern).unwrap().matches(id)
    }

    #[test]
    fn a_groups_name_with_its_slash_is_that_group_alone() {
        for group in ["handoff/", "^handoff/", "handoff/.*", "(handoff|brigade)/", "brigade/mio|handoff/f"] {
            assert!(matches(group, "handoff/futex/same-cpu"), "{group}");
            assert!(!matches(group, "after_syscall/handoff/same-cpu"), "{group}");
        }
        assert!(matches("handoff", "after_syscall/handoff/same-cpu"), "without the slash it is any word");
        assert!(matches("/handoff/", "after_syscall/handoff/same-cpu") && !matches("/handoff/", "handoff/futex/x"));
        assert!(matches("handoff/|call/h", "after_syscall/handoff/same-cpu"), "another match is one");
    }

    #[test]
    fn the_end_of_the_mechanism_is_an_end() {
        for pattern in ["handoff/futex$", "futex$", "^handoff/futex$", "handoff/futex/same-cpu$", "same-cpu"] {
            assert!(matches(pattern, "handoff/futex/same-cpu"), "{pattern}");
        }
        assert!(!matches("handoff/futex$", "handoff/futex_requeue/same-cpu"));
        assert!(!matches("same-cpu$", "handoff/futex/same-cpu/idle=poll") && !matches("handoff$", "handoff/futex/x"));
        assert!(matches("handoff/futex$", "handoff/futex"), "a mechanism's own id");
    }
}
