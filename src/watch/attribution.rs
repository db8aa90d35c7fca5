//! Which waits the voluntary switches of threads belong to.
//!
//! A burst looks at threads at regular times, so that it meets long waits more often than short ones. Where switches
//! are recorded, the wait that a look met is known from its begin to its end, and each look counts by the inverse of
//! the chance that it had to meet that wait: gap over length (Horvitz and Thompson, "A generalization of sampling
//! without replacement from a finite universe", 1952). Where calls are recorded too, which needs privileges, the waits
//! of each thread in each call are counted. To where its switches went is known of a thread, and not of a wait: each of
//! its waits has the thread's shares. Without records, looks count alike, and a thread's switches are
//! divided by time.

use std::collections::{BTreeMap, HashMap};

use super::burst::ThreadSample;
use super::call_watch::CallSummary;
use super::switch_tally::SwitchTally;
use super::wait_site::WaitSite;
use super::watched_thread::ThreadDelta;
use crate::sys::bpf::CountedSwitches;
use crate::terms::{ServingSleeps, ThreadRole, Wait, WaitKind};
use crate::units::Nanos;

/// Looks of a thread of which so many must have met a recorded wait for lengths to be used.
const RECORDED_SHARE: f64 = 0.8;

/// A thread, and what it did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ThreadAccount {
    /// Its number.
    pub(super) thread: i32,
    /// Its name.
    pub(super) name: String,
    /// What it did.
    pub(super) total: ThreadDelta,
}

/// Looks at one thread, or at all threads of a name.
#[derive(Debug, Clone, Default)]
struct Looks {
    all: u64,
    /// By site.
    waits: BTreeMap<usize, SiteLooks>,
}

#[derive(Debug, Clone, Copy, Default)]
struct SiteLooks {
    count: u64,
    /// In proportion to the number of waits.
    weight: f64,
    descriptors: u64,
    descriptors_known: u64,
}

impl Looks {
    fn add(&mut self, other: &Self) {
        self.all += other.all;
        for (&site, looks) in &other.waits {
            let own = self.waits.entry(site).or_default();
            own.count += looks.count;
            own.weight += looks.weight;
            own.descriptors += looks.descriptors;
            own.descriptors_known += looks.descriptors_known;
        }
    }

    /// The same with so much weight in all.
    fn weighing(&self, weight: f64) -> Self {
        let mut looks = self.clone();
        let own = self.weight();
        let factor = if own > 0.0 { weight / own } else { 0.0 };
        looks.waits.values_mut().for_each(|site| site.weight *= factor);
        looks
    }

    fn weight(&self) -> f64 {
        self.waits.values().map(|looks| looks.weight).sum()
    }
}

/// What bursts have seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct BurstEvidence<'a> {
    /// Looks at threads.
    pub(super) samples: &'a [ThreadSample],
    /// The sites that they name.
    pub(super) sites: &'a [WaitSite],
    /// Switches, where they were recorded.
    pub(super) tally: Option<&'a SwitchTally>,
    /// The same, where they were counted in the kernel.
    pub(super) counted: Option<&'a CountedSwitches>,
    /// Calls, where they were recorded.
    pub(super) calls: Option<&'a CallSummary>,
}

/// The waits and the roles of the observation; each round of looks stands for `round` of the time.
pub(super) fn attribute(
    accounts: &[ThreadAccount],
    seen: BurstEvidence<'_>,
    round: Nanos,
) -> (Vec<Wait>, Vec<ThreadRole>) {
    let BurstEvidence { samples, sites, tally, calls, .. } = seen;
    let mut threads = looks_by_thread(samples, tally);
    for (thread, waits) in calls.iter().flat_map(|calls| &calls.waits) {
        if let Some(looks) = threads.get_mut(thread) {
            weigh_by_calls(looks, waits, sites);
        }
    }
    let mut roles: BTreeMap<String, Vec<&ThreadAccount>> = BTreeMap::new();
    for account in accounts {
        roles.entry(role_name(&account.name)).or_default().push(account);
    }
    let mut everything = Looks::default();
    for account in accounts {
        if let Some(looks) = threads.get(&account.thread) {
            everything.add(&looks.weighing(account.total.voluntary as f64));
        }
    }
    // One more than there are sites: what is attributed to none.
    let mut sums = vec![SiteSum::default(); sites.len() + 1];
    let mut named = Vec::new();
    for (name, accounts) in roles {
        let mut together = Looks::default();
        accounts.iter().filter_map(|account| threads.get(&account.thread)).for_each(|looks| together.add(looks));
        for account in &accounts {
            let shares = ThreadShares::of(&seen, account.thread);
            let own = threads.get(&account.thread);
            // A thread that was never seen waiting does as others of its name do, or as the switches of all do: those
            // that wait for ever and hardly switch are no example for one that switches all the time.
            let model = [own, Some(&together), Some(&everything)].into_iter().flatten();
            let model = model.into_iter().find(|looks| looks.weight() > 0.0);
            let serves =
                model.is_some_and(|model| model.waits.keys().any(|&site| sites[site].kind == WaitKind::OneDescriptor));
            divide(account.total.voluntary, model, (shares, serves), &mut sums);
            if let Some(own) = own {
                spend_time(own, round, serves, &mut sums);
            }
        }
        named.push((name, accounts, together));
    }
    let (mut waits, places) = waits(sums, sites);
    for wait in &mut waits {
        wait.events_per_wake = calls.and_then(|calls| calls.events.get(&wait.call).copied());
    }
    let mut roles: Vec<ThreadRole> =
        named.into_iter().map(|(name, accounts, looks)| role(name, &accounts, &looks, &places)).collect();
    roles.sort_by(|one, other| other.cpu.cmp(&one.cpu).then_with(|| one.name.cmp(&other.name)));
    (waits, roles)
}

/// What belongs to a site.
#[derive(Debug, Clone, Copy, Default)]
struct SiteSum {
    switches: f64,
    direct: ShareSum,
    woken_by_own: ShareSum,
    blocked: f64,
    threads: u64,
    looks: SiteLooks,
    /// Of threads that also wait for one descriptor.
    serving_switches: f64,
    serving_blocked: f64,
}

fn looks_by_thread(samples: &[ThreadSample], tally: Option<&SwitchTally>) -> HashMap<i32, Looks> {
    let mut threads: HashMap<i32, (Looks, Vec<(usize, f64)>)> = HashMap::new();
    for sample in samples {
        let (looks, lengths) = threads.entry(sample.thread).or_default();
        looks.all += 1;
        let Some((site, descriptors)) = sample.wait else { continue };
        let own = looks.waits.entry(site).or_default();
        own.count += 1;
        own.descriptors += descriptors.unwrap_or(0);
        own.descriptors_known += u64::from(descriptors.is_some());
        if let Some(wait) = tally.and_then(|tally| tally.wait_at(sample.thread, sample.at)) {
            let length = wait.to.0.saturating_sub(wait.from.0).max(1);
            lengths.push((site, sample.gap.0 as f64 / length as f64));
        }
    }
    let weigh = |(thread, (mut looks, lengths)): (i32, (Looks, Vec<(usize, f64)>))| {
        let waiting: u64 = looks.waits.values().map(|looks| looks.count).sum();
        let recorded = lengths.len() as f64 >= RECORDED_SHARE * waiting as f64;
        for (&site, own) in &mut looks.waits {
            own.weight = match recorded {
                true => lengths.iter().filter(|(other, _)| *other == site).map(|(_, weight)| weight).sum(),
                false => own.count as f64,
            };
        }
        (thread, looks)
    };
    threads.into_iter().map(weigh).collect()
}

/// How often a thread waited in each call was counted: the sites of a call share its count as they share its looks.
fn weigh_by_calls(looks: &mut Looks, counts: &BTreeMap<String, f64>, sites: &[WaitSite]) {
    let mut by_call: BTreeMap<&str, f64> = BTreeMap::new();
    for (&site, own) in &looks.waits {
        *by_call.entry(sites[site].call.as_str()).or_default() += own.count as f64;
    }
    // Only where a call that was counted was met: otherwise looks say more.
    if !by_call.keys().any(|call| counts.contains_key(*call)) {
        return;
    }
    for (&site, own) in &mut looks.waits {
        let call = sites[site].call.as_str();
        let all = by_call.get(call).copied().unwrap_or(0.0);
        own.weight = counts.get(call).map_or(0.0, |count| count * own.count as f64 / all);
    }
}

/// Shares of one thread's switches.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ThreadShares {
    /// Of its voluntary switches, those straight to another thread of the tree.
    direct: Option<f64>,
    /// Of its wake-ups, those that were charged to the tree.
    woken_by_own: Option<f64>,
}

impl ThreadShares {
    fn of(seen: &BurstEvidence<'_>, thread: i32) -> Self {
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        if let Some(counted) = seen.counted {
            let counts = counted.threads.get(&thread).copied().unwrap_or_default();
            let direct = share(counts.direct, counts.waiting);
            return Self { direct, woken_by_own: share(counts.woken_by_own, counts.woken) };
        }
        let counts = seen.tally.and_then(|tally| tally.threads().get(&thread));
        Self { direct: counts.and_then(|counts| share(counts.direct, counts.waiting)), woken_by_own: None }
    }
}

/// The mean of shares, each with its weight.
#[derive(Debug, Clone, Copy, Default)]
struct ShareSum {
    sum: f64,
    weight: f64,
}

impl ShareSum {
    fn add(&mut self, share: Option<f64>, weight: f64) {
        if let Some(share) = share {
            self.sum += share * weight;
            self.weight += weight;
        }
    }

    fn mean(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

fn divide(switches: u64, model: Option<&Looks>, (shares, serves): (ThreadShares, bool), sums: &mut [SiteSum]) {
    let (switches, unknown) = (switches as f64, sums.len() - 1);
    let mut give = |site: usize, share: f64| {
        let sum = &mut sums[site];
        sum.switches += switches * share;
        if serves {
            sum.serving_switches += switches * share;
        }
        sum.direct.add(shares.direct, switches * share);
        sum.woken_by_own.add(shares.woken_by_own, switches * share);
    };
    match model {
        Some(looks) => {
            let all = looks.weight();
            looks.waits.iter().for_each(|(&site, own)| give(site, own.weight / all));
        }
        None => give(unknown, 1.0),
    }
}

fn spend_time(looks: &Looks, round: Nanos, serves: bool, sums: &mut [SiteSum]) {
    for (&site, own) in &looks.waits {
        let sum = &mut sums[site];
        let blocked = round.0 as f64 * own.count as f64;
        sum.blocked += blocked;
        if serves {
            sum.serving_blocked += blocked;
        }
        sum.threads += 1;
        sum.looks.count += own.count;
        sum.looks.descriptors += own.descriptors;
        sum.looks.descriptors_known += own.descriptors_known;
    }
}

/// The waits with most switches first, and the place among them of each site.
fn waits(sums: Vec<SiteSum>, sites: &[WaitSite]) -> (Vec<Wait>, HashMap<usize, usize>) {
    let unknown = WaitSite::unknown();
    let used = |(_, sum): &(usize, SiteSum)| sum.switches > 0.0 || sum.threads > 0;
    let mut found: Vec<(usize, SiteSum)> = sums.into_iter().enumerate().filter(used).collect();
    found.sort_by(|(_, one), (_, other)| {
        other.switches.total_cmp(&one.switches).then_with(|| other.blocked.total_cmp(&one.blocked))
    });
    let places = found.iter().enumerate().map(|(place, (site, _))| (*site, place)).collect();
    let wait = |(site, sum): (usize, SiteSum)| {
        let site = sites.get(site).unwrap_or(&unknown);
        let known = sum.looks.descriptors_known;
        Wait {
            call: site.call.clone(),
            kind: site.kind,
            descriptors: (known > 0).then(|| sum.looks.descriptors as f64 / known as f64),
            descriptor_type: site.descriptor_type,
            threads: sum.threads,
            switches: sum.switches,
            blocked: Nanos(sum.blocked as u64),
            direct: sum.direct.mean(),
            woken_by_own: sum.woken_by_own.mean(),
            events_per_wake: None,
            serving: (site.kind == WaitKind::Sleep).then_some(ServingSleeps {
                switches: sum.serving_switches,
                blocked: Nanos(sum.serving_blocked as u64),
            }),
        }
    };
    (found.into_iter().map(wait).collect(), places)
}

fn role(name: String, accounts: &[&ThreadAccount], looks: &Looks, places: &HashMap<usize, usize>) -> ThreadRole {
    let mut total = ThreadDelta::default();
    accounts.iter().for_each(|account| total.add(account.total));
    let share = |(site, own): (&usize, &SiteLooks)| Some((*places.get(site)?, own.count as f64 / looks.all as f64));
    let mut waits: Vec<(usize, f64)> = looks.waits.iter().filter_map(share).collect();
    waits.sort_by(|one, other| other.1.total_cmp(&one.1));
    ThreadRole {
        name,
        threads: accounts.len() as u64,
        cpu: Nanos(total.ran),
        voluntary: total.voluntary,
        involuntary: total.involuntary,
        waits,
    }
}

/// The name with each run of digits replaced by `N`.
fn role_name(name: &str) -> String {
    let mut role = String::new();
    let mut in_number = false;
    for letter in name.chars() {
        if !letter.is_ascii_digit() {
            role.push(letter);
        } else if !in_number {
            role.push('N');
        }
        in_number = letter.is_ascii_digit();
    }
    role
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::bpf::ThreadSwitchCounts;
    use crate::sys::switch_records::{SwitchDirection, SwitchRecord};
    use crate::units::CpuId;

    fn account(thread: i32, name: &str, voluntary: u64) -> ThreadAccount {
        let total = ThreadDelta { ran: 1000 * voluntary, waited: 0, voluntary, involuntary: 1 };
        ThreadAccount { thread, name: name.into(), total }
    }

    fn site(call: &str, kind: WaitKind) -> WaitSite {
        WaitSite { call: call.into(), kind, ..WaitSite::unknown() }
    }

    fn sites() -> [WaitSite; 2] {
        [site("read", WaitKind::OneDescriptor), site("futex", WaitKind::Lock)]
    }

    fn sample(thread: i32, at: u64, wait: Option<usize>) -> ThreadSample {
        ThreadSample { thread, at: Nanos(at), gap: Nanos(100), wait: wait.map(|site| (site, Some(1))) }
    }

    fn seen<'a>(
        samples: &'a [ThreadSample],
        sites: &'a [WaitSite],
        tally: Option<&'a SwitchTally>,
    ) -> BurstEvidence<'a> {
        BurstEvidence { samples, sites, tally, counted: None, calls: None }
    }

    #[test]
    fn calls_that_were_counted_count_more_than_looks() {
        let counts = BTreeMap::from([("read".to_string(), 90.0), ("futex".to_string(), 10.0)]);
        let events = BTreeMap::from([("read".to_string(), 2.5)]);
        let calls = CallSummary { waits: HashMap::from([(1, counts)]), events, ..CallSummary::default() };
        let samples = [(0, Some(0)), (1, Some(1)), (2, Some(1))].map(|(at, wait)| sample(1, at, wait));
        let sites = sites();
        let seen = BurstEvidence { calls: Some(&calls), ..seen(&samples, &sites, None) };
        let (waits, _) = attribute(&[account(1, "a", 1000)], seen, Nanos(1));
        assert_eq!(switches(&waits), [("read", 900.0), ("futex", 100.0)]);
        assert_eq!((waits[0].events_per_wake, waits[1].events_per_wake), (Some(2.5), None));
    }

    fn switches(waits: &[Wait]) -> Vec<(&str, f64)> {
        waits.iter().map(|wait| (wait.call.as_str(), wait.switches)).collect()
    }

    #[test]
    fn counts_of_the_kernel_tell_where_switches_went_and_who_paid_for_the_wakes() {
        let counts = |direct, woken_by_own| ThreadSwitchCounts {
            waiting: 100,
            direct,
            woken: 50,
            woken_by_own,
            ..ThreadSwitchCounts::default()
        };
        let threads = HashMap::from([(1, counts(80, 5)), (2, counts(0, 50))]);
        let counted = CountedSwitches { threads, ..CountedSwitches::default() };
        let samples = [sample(1, 0, Some(0)), sample(2, 0, Some(0)), sample(2, 1, Some(1))];
        let sites = sites();
        let seen = BurstEvidence { counted: Some(&counted), ..seen(&samples, &sites, None) };
        let (waits, _) = attribute(&[account(1, "a", 300), account(2, "b", 200)], seen, Nanos(1));
        assert_eq!(switches(&waits), [("read", 400.0), ("futex", 100.0)]);
        let shares: Vec<_> = waits.iter().map(|wait| (wait.direct.unwrap(), wait.woken_by_own.unwrap())).collect();
        // Three of four switches of `read` are of the first thread.
        assert!((shares[0].0 - 0.6).abs() < 1e-9 && (shares[0].1 - 0.325).abs() < 1e-9, "{shares:?}");
        assert_eq!(shares[1], (0.0, 1.0));
    }

    #[test]
    fn without_records_switches_are_divided_by_time() {
        let samples = [(0, Some(0)), (1, Some(0)), (2, Some(0)), (3, Some(1)), (4, None)];
        let samples = samples.map(|(at, wait)| sample(1, at, wait));
        let (waits, roles) = attribute(&[account(1, "web-12", 400)], seen(&samples, &sites(), None), Nanos(200));
        assert_eq!(switches(&waits), [("read", 300.0), ("futex", 100.0)]);
        assert_eq!((waits[0].blocked, waits[0].descriptors, waits[0].direct), (Nanos(600), Some(1.0), None));
        assert_eq!((roles[0].name.as_str(), roles[0].voluntary), ("web-N", 400));
        assert_eq!(roles[0].waits, [(0, 0.6), (1, 0.2)]);
    }

    #[test]
    fn with_records_a_short_wait_counts_as_often_as_a_long_one() {
        // Nine waits of 100 in `read` for each of 900 in `futex`, and as many looks at either: the number of waits is
        // nine to one although the time is the same.
        let mut tally = SwitchTally::default();
        tally.keep_waits(Nanos(0), Nanos(10_000));
        let mut samples = Vec::new();
        let mut record = |at, direction| {
            tally.push(SwitchRecord { at: Nanos(at), cpu: CpuId(0), process: 1, thread: 1, direction });
        };
        for wait in 0..9 {
            record(wait * 100, SwitchDirection::OutWaiting);
            record(wait * 100 + 99, SwitchDirection::In);
            samples.push(sample(1, wait * 100 + 50, Some(0)));
        }
        record(1_000, SwitchDirection::OutWaiting);
        record(1_891, SwitchDirection::In);
        samples.extend((0..9).map(|look| sample(1, 1_000 + look * 99, Some(1))));
        tally.finish(Nanos(2_000));
        let (waits, _) = attribute(&[account(1, "a", 1000)], seen(&samples, &sites(), Some(&tally)), Nanos(2000));
        let (read, futex) = (waits[0].switches, waits[1].switches);
        assert!((read - 900.0).abs() < 1.0 && (futex - 100.0).abs() < 1.0, "{read} {futex}");
    }

    #[test]
    fn sleeps_of_threads_that_serve_are_told_from_those_of_others() {
        let sites = [site("read", WaitKind::OneDescriptor), site("clock_nanosleep", WaitKind::Sleep)];
        let accounts = [account(1, "web", 400), account(2, "tick", 50)];
        let samples = [sample(1, 0, Some(0)), sample(1, 1, Some(1)), sample(2, 0, Some(1)), sample(2, 1, Some(1))];
        let (waits, _) = attribute(&accounts, seen(&samples, &sites, None), Nanos(10));
        assert_eq!(switches(&waits), [("clock_nanosleep", 250.0), ("read", 200.0)]);
        assert_eq!(waits[0].serving, Some(ServingSleeps { switches: 200.0, blocked: Nanos(10) }));
        assert_eq!((waits[0].blocked, waits[1].serving), (Nanos(30), None));
    }

    #[test]
    fn a_thread_that_was_not_seen_does_as_those_of_its_name() {
        let accounts = [account(1, "web-1", 10), account(2, "web-2", 30), account(3, "log", 100)];
        let samples = [sample(1, 0, Some(1)), sample(3, 0, Some(0))];
        let (waits, _) = attribute(&accounts, seen(&samples, &sites(), None), Nanos(1000));
        assert_eq!(switches(&waits), [("read", 100.0), ("futex", 40.0)]);
    }

    #[test]
    fn a_thread_that_was_not_seen_does_as_none_that_hardly_switches() {
        let samples = [sample(2, 0, Some(1)), sample(2, 1, Some(1)), sample(3, 0, Some(0))];
        let seen_waiting = |idle| [account(1, "new", 100), account(2, "idle", idle), account(3, "busy", 300)];
        let (waits, _) = attribute(&seen_waiting(0), seen(&samples, &sites(), None), Nanos(1000));
        assert_eq!(switches(&waits), [("read", 400.0), ("futex", 0.0)]);
        let (waits, _) = attribute(&seen_waiting(100), seen(&samples, &sites(), None), Nanos(1000));
        assert_eq!(switches(&waits), [("read", 375.0), ("futex", 125.0)]);
    }

    #[test]
    fn what_was_not_seen_waiting_at_all_is_unknown() {
        let (waits, _) = attribute(&[account(1, "a", 7)], seen(&[], &[], None), Nanos(1000));
        assert_eq!((switches(&waits), waits[0].kind), (vec![("unknown", 7.0)], WaitKind::Unknown));
    }

    #[test]
    fn names_differ_in_more_than_numbers() {
        assert_eq!(role_name("worker-12"), "worker-N");
        assert_eq!(role_name("7z"), "Nz");
        assert_eq!(role_name("redis"), "redis");
    }
}
