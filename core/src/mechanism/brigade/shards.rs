//! Shards: the threads of a brigade spread over descriptor tables of their own, past the limit that each table has.
//!
//! RLIMIT_NOFILE bounds a descriptor table, not a process, and threads share a table only because they were created so
//! (`CLONE_FILES`). The first thread of a shard takes a copy of the table (unshare(2)), closes all of it but its two
//! ends, opens the pipes of its shard there, and spawns the shard's other threads, which share that table. The pipe
//! between two shards is opened in the process's own table, and each shard keeps the end that is its own. The driver is
//! alone in the process's own table, so that what else the process has open takes nothing from the brigade.
//!
//! A hop is the same two system calls and the same switch: tables belong to threads, not to address spaces.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{Sender, channel};

use super::blocking::{BytePort, lead, pass_on, spawn_threads};
use super::load::Load;
use super::{RingEnds, TASKS, Transport, descriptors};
use crate::mechanism::{
    Batch, Crew, Domain, Failure, Metric, MetricKey, Operation, Parameter, Parameters, Resources, Spawner,
};
use crate::sys::channel::Ends;
use crate::sys::table;
use crate::units::Quantity;

pub(super) const SHARDS: Parameter = Parameter {
    name: "shards",
    meaning: "further descriptor tables, made by unshare(2), among which the channels are divided; 0 is as few as \
              RLIMIT_NOFILE needs, mostly none",
    domain: Domain::Number { default: 0, min: 0, max: 10_000 },
};

/// Left free in each table: what a process has open anyway, and what opens and closes meanwhile.
const SPARE: u64 = 64;

/// How many tables there are besides the process's own.
pub(super) fn tables(parameters: &Parameters) -> u64 {
    match parameters.number(SHARDS.name) {
        0 => tables_within(parameters.number(TASKS.name), table::capacity().unwrap_or(u64::MAX)),
        // Each has a task at least.
        asked => asked.min(parameters.number(TASKS.name) - 1),
    }
}

/// As few as hold `tasks` where a table holds `capacity`. A brigade takes half of it at most: two instances are
/// measured side by side.
fn tables_within(tasks: u64, capacity: u64) -> u64 {
    let room = (capacity / 2).saturating_sub(SPARE).max(4);
    if 2 * tasks <= room { 0 } else { (tasks - 1).div_ceil(room / 2) }
}

/// What a brigade of threads takes: of descriptors, as many as the fullest table holds.
pub(super) fn resources(parameters: &Parameters) -> Resources {
    let tasks = parameters.number(TASKS.name);
    let descriptors = match tables(parameters) {
        0 => descriptors(parameters),
        tables => (2 * (tables + 1)).max(2 * (tasks - 1).div_ceil(tables)),
    };
    Resources { descriptors: descriptors + 8, threads: tasks, processes: 0 }
}

/// Spawns a thread for every shard but the driver's.
pub(super) fn set_up_sized(
    parameters: &Parameters,
    load: Load,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    match tables(parameters) {
        0 => spawn_threads(BytePort::open(parameters, &load)?, load, crew),
        tables => spawn_shards(parameters, tables, load, crew),
    }
}

fn spawn_shards(
    parameters: &Parameters,
    tables: u64,
    load: Load,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    let transport = Transport::of(parameters);
    // The channel that each shard reads from the one before it, and the one that the driver reads.
    let between: Result<Vec<Ends>, Failure> = (0..=tables).map(|reached| transport.room(&load, reached)).collect();
    let (mut readers, mut writers): (Vec<_>, Vec<_>) =
        between?.into_iter().map(|ends| (ends.reader, ends.writer)).unzip();
    let driver = RingEnds { reader: readers.remove(tables as usize), writer: writers.remove(0) };
    let mut first = 1;
    for (index, (reader, writer)) in readers.into_iter().zip(writers).enumerate() {
        let tasks = share(load.tasks - 1, tables, index as u64);
        let shard = Shard { first, tasks, transport, load, spawner: crew.spawner() };
        let here: [RawFd; 2] = [reader.as_raw_fd(), writer.as_raw_fd()];
        let (taken, moved) = channel();
        crew.spawn(first, move |ready| shard.found(RingEnds { reader, writer }, &taken, || ready.signal()))?;
        // Nothing comes when it failed, and its table, which was never its own, then holds its ends no more.
        if moved.recv().is_ok() {
            table::leave(&here);
        }
        first += tasks as usize;
    }
    let brigade = lead(BytePort::at(driver, &load), load);
    Ok(Box::new(Sharded { brigade, tables }))
}

/// How many of `all` fall to number `index` of `parts`.
fn share(all: u64, parts: u64, index: u64) -> u64 {
    all / parts + u64::from(index < all % parts)
}

/// The tasks of one table.
struct Shard {
    /// The number of its first task.
    first: usize,
    tasks: u64,
    transport: Transport,
    load: Load,
    spawner: Spawner,
}

impl Shard {
    /// The life of the shard's first task: makes the table its own, opens the shard's channels in it, spawns the other
    /// tasks, and is then one of them.
    fn found(self, ends: RingEnds<OwnedFd>, taken: &Sender<()>, ready: impl Fn()) -> Result<(), Failure> {
        let [reader, writer] = table::take_own([ends.reader, ends.writer])?;
        // The driver waits for this and for nothing else.
        let _ = taken.send(());
        let (mut readers, mut writers) = (vec![reader], Vec::new());
        for number in 1..self.tasks {
            let ends = self.transport.room(&self.load, self.first as u64 + number);
            let ends = ends.map_err(|failure| self.spawner.report(failure))?;
            readers.push(ends.reader);
            writers.push(ends.writer);
        }
        writers.push(writer);
        let places = readers.into_iter().zip(writers).map(|(reader, writer)| RingEnds { reader, writer });
        let mut ports = places.map(|place| BytePort::at(place, &self.load));
        let own = ports.next();
        for (number, mut port) in ports.enumerate() {
            let load = self.load;
            let spawned = self.spawner.spawn(self.first + 1 + number, move |ready| {
                let mut task_load = load.task_load();
                ready.signal();
                pass_on(&mut port, &mut task_load)
            });
            spawned.map_err(|failure| self.spawner.report(failure))?;
        }
        let mut task_load = self.load.task_load();
        ready();
        own.map_or(Ok(()), |mut port| pass_on(&mut port, &mut task_load))
    }
}

/// A brigade that says over how many tables it is spread.
struct Sharded {
    brigade: Box<dyn Operation>,
    tables: u64,
}

impl Operation for Sharded {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        self.brigade.run(ops)
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(vec![Metric::scalar(MetricKey::DescriptorTables, Quantity::Number, self.tables as f64 + 1.0)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_half_of_its_limit_and_none_is_taken_without_need() {
        assert_eq!(tables_within(500, 20_000), 0);
        assert_eq!(tables_within(4968, 20_000), 0);
        assert_eq!(tables_within(4969, 20_000), 1);
        let tables = tables_within(180_000, 20_000);
        let fullest = 2 * (180_000_u64 - 1).div_ceil(tables);
        assert!((30..50).contains(&tables) && fullest + SPARE <= 10_000, "{tables} of {fullest}");
        assert!(tables_within(10_000, 8) > 0, "too little for anything is still an answer");
    }

    #[test]
    fn every_task_has_a_shard() {
        for (all, parts) in [(7, 3), (3, 3), (180_000, 37)] {
            let shares: Vec<u64> = (0..parts).map(|index| share(all, parts, index)).collect();
            assert_eq!(shares.iter().sum::<u64>(), all);
            assert!(shares.iter().all(|share| *share >= 1), "{shares:?}");
        }
    }
}
