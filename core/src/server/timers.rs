//! The moments that an event loop waits for: ends of delays, and clients that have not got on.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::units::Nanos;

/// A connection of a loop: its place, and a number that no other connection of the loop has ever had, so that a moment
/// that outlives its connection finds no other in its place.
pub(super) type ClientKey = (usize, u64);

/// Ends of delays and the like, in any order.
#[derive(Debug, Default)]
pub(super) struct Alarms(BinaryHeap<Reverse<(Nanos, ClientKey)>>);

impl Alarms {
    pub(super) fn set(&mut self, moment: Nanos, client: ClientKey) {
        self.0.push(Reverse((moment, client)));
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.0.peek().map(|Reverse((moment, _))| *moment)
    }

    /// Takes one that is due.
    pub(super) fn take(&mut self, now: Nanos) -> Option<ClientKey> {
        self.next().filter(|moment| *moment <= now)?;
        self.0.pop().map(|Reverse((_, client))| client)
    }
}

/// The look at each connection that comes once a timeout, and finds whether it has got on since the last one. All
/// timeouts are equally long, so that a queue is in order by itself and a request costs nothing: a client is given up
/// after one to two timeouts without progress.
#[derive(Debug)]
pub(super) struct Checkups {
    queue: VecDeque<(Nanos, ClientKey, u64)>,
    timeout: Nanos,
}

impl Checkups {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { queue: VecDeque::new(), timeout: Nanos(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX / 2)) }
    }

    /// Looks at `client` one timeout from now, which has got as far as `progress`.
    pub(super) fn add(&mut self, now: Nanos, client: ClientKey, progress: u64) {
        self.queue.push_back((Nanos(now.0.saturating_add(self.timeout.0)), client, progress));
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.queue.front().map(|(moment, ..)| *moment)
    }

    /// Takes one that is due, with how far the client had got at the last one.
    pub(super) fn take(&mut self, now: Nanos) -> Option<(ClientKey, u64)> {
        self.next().filter(|moment| *moment <= now)?;
        self.queue.pop_front().map(|(_, client, progress)| (client, progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_in_their_order_and_not_before() {
        let mut alarms = Alarms::default();
        for moment in [30, 10, 20] {
            alarms.set(Nanos(moment), (moment as usize, 0));
        }
        assert_eq!((alarms.next(), alarms.take(Nanos(9))), (Some(Nanos(10)), None));
        let taken: Vec<usize> = std::iter::from_fn(|| alarms.take(Nanos(20)).map(|(place, _)| place)).collect();
        assert_eq!(taken, [10, 20]);

        let mut checkups = Checkups::new(Duration::from_nanos(100));
        checkups.add(Nanos(5), (1, 1), 7);
        assert_eq!(checkups.take(Nanos(104)), None);
        assert_eq!(checkups.take(Nanos(105)), Some(((1, 1), 7)));
        assert_eq!(checkups.next(), None);
    }
}
