//! What several runs must keep to before they are set beside each other: an id names one machine, and clocks are right.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::read::Run;
use super::schema::HostLine;
use super::store::RecordError;
use crate::terms::Host;

/// Fails where two machines have one id: their figures would be taken for those of one.
///
/// # Errors
/// [`RecordError::OneId`] with the first two.
pub fn one_machine_for_each_id(runs: &[(String, Run)]) -> Result<(), RecordError> {
    let mut known: HashMap<&str, (&str, &HostLine)> = HashMap::new();
    for (name, host) in runs.iter().flat_map(|(name, run)| run.hosts.iter().map(move |host| (name, host))) {
        let (first, before) = *known.entry(&host.id).or_insert((name, host));
        if let Some(differing) = difference(&before.host, &host.host) {
            return Err(RecordError::OneId {
                first: first.into(),
                second: name.clone(),
                id: host.id.clone(),
                differing,
            });
        }
    }
    Ok(())
}

/// What of the facts that make an id differs. Boot parameters are not looked at: bundles lack some.
fn difference(a: &Host, b: &Host) -> Option<String> {
    let model = |host: &Host| host.processor.model.clone().unwrap_or_else(|| "a processor without a name".into());
    if a.processor != b.processor {
        let (one, other) = (model(a), model(b));
        let named = format!("processor {one}, and {other}");
        return Some(if one == other { format!("{one} of another microcode or with other features") } else { named });
    }
    let facts = [
        ("topology", a.topology != b.topology),
        ("architecture", a.kernel.architecture != b.kernel.architecture),
        ("mitigations", a.mitigations != b.mitigations),
        ("frequency and idle settings", a.power != b.power),
        ("clock source", a.clock != b.clock),
    ];
    facts.into_iter().find(|(_, differs)| *differs).map(|(what, _)| format!("another {what}"))
}

/// A clock that is a day off is not being set.
const DAY_MS: u64 = 86_400_000;

/// What is wrong with the clock of the machine of `run`, which is read at `now_ms` (milliseconds since 1970, UTC): it
/// was ahead of this machine's, or behind the day on which the machine's kernel was built.
pub fn clock_doubt(run: &Run, now_ms: u64) -> Option<String> {
    let day = |ms: u64| {
        let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.map_or_else(|| format!("{ms} ms after 1970"), |time| time.strftime("%Y-%m-%d").to_string())
    };
    let ahead = run.hosts.iter().find(|host| host.started_ms > now_ms.saturating_add(DAY_MS));
    if let Some(host) = ahead {
        return Some(format!(
            "its clock said {}, and it is {} here: its place in time is not to be relied on",
            day(host.started_ms),
            day(now_ms)
        ));
    }
    run.hosts.iter().find_map(|host| {
        let built = build_day(host.host.kernel.version.as_deref()?)?;
        let built_ms =
            u64::try_from(built.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()).ok()?;
        (host.started_ms.saturating_add(DAY_MS) < built_ms).then(|| {
            format!(
                "its clock said {}, before its kernel was built ({built}): its place in time is not to be relied on",
                day(host.started_ms)
            )
        })
    })
}

/// The day in `uname -v`: `#1 SMP PREEMPT_DYNAMIC Debian 6.12.9-1 (2025-01-10)`, or
/// `#49-Ubuntu SMP PREEMPT_DYNAMIC Mon Nov  4 02:06:24 UTC 2024` (scripts/mkcompile_h).
fn build_day(version: &str) -> Option<Date> {
    let words: Vec<&str> = version.split_whitespace().collect();
    let debian = words.iter().rev().find_map(|word| word.strip_prefix('(')?.strip_suffix(')')?.parse::<Date>().ok());
    debian.or_else(|| {
        let [month, day, _, _, year] = words[words.len().checked_sub(5)?..] else { return None };
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = i8::try_from(MONTHS.iter().position(|name| *name == month)? + 1).ok()?;
        Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::read;

    fn run() -> Run {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/record/schema-2")).unwrap()
    }

    #[test]
    fn one_id_is_one_machine() {
        let (first, mut other) = (run(), run());
        let named = |name: &str, run: &Run| (name.to_string(), run.clone());
        assert!(one_machine_for_each_id(&[named("a", &first), named("b", &other)]).is_ok());
        other.hosts[0].host.kernel.command_line = Some("mitigations=off".into());
        assert!(one_machine_for_each_id(&[named("a", &first), named("b", &other)]).is_ok(), "a bundle lacks some");
        other.hosts[0].host.processor.model = Some("another".into());
        let told = one_machine_for_each_id(&[named("a", &first), named("b", &other)]).unwrap_err().to_string();
        assert!(told.starts_with("a and b are of two machines with one host id") && told.contains("another"), "{told}");
        other.hosts[0].id = "other".into();
        assert!(one_machine_for_each_id(&[named("a", &first), named("b", &other)]).is_ok());
    }

    #[test]
    fn a_clock_that_is_a_year_off_is_told() {
        let mut run = run();
        let started = run.hosts[0].started_ms;
        assert_eq!(clock_doubt(&run, started), None);
        let year = 365 * DAY_MS;
        let told = clock_doubt(&run, started - year).unwrap();
        assert!(told.contains("its clock said 2026-09-") && told.contains("2025-09-"), "{told}");
        run.hosts[0].started_ms = 1_500_000_000_000;
        let told = clock_doubt(&run, started).unwrap();
        assert!(told.contains("2017-07-14") && told.contains("built (2024-11-04)"), "{told}");
    }

    #[test]
    fn the_day_a_kernel_was_built() {
        let day = |text| build_day(text).map(|day| day.to_string());
        assert_eq!(day("#1 SMP PREEMPT_DYNAMIC Debian 6.12.9-1 (2025-01-10)").as_deref(), Some("2025-01-10"));
        assert_eq!(day("#49-Ubuntu SMP Mon Nov  4 02:06:24 UTC 2024").as_deref(), Some("2024-11-04"));
        assert_eq!(day("#1 SMP"), None);
        assert_eq!(day(""), None);
    }
}
