//! A thread for each connection, which blocks in each call: connect(2), send(2), recv(2).

use std::sync::Arc;

use super::super::client_connection::{ClientConnection, Received, RequestFailure};
use super::super::dispatcher::EndBuffer;
use super::super::exchange::Answered;
use super::super::feed::Due;
use super::super::ledger::{Fate, RequestEnd};
use super::super::load_plan::LoadPlan;
use super::super::load_run::{LoadError, LoadRun};
use super::super::outcome::ClientUsage;
use super::{LoadEngine, LoadWorker, open_all, shares};
use crate::sys::timer::{monotonic, sleep_until};
use crate::units::Nanos;

/// The engine `threads`.
#[derive(Debug)]
pub(super) struct BlockingThreads;

impl LoadEngine for BlockingThreads {
    fn name(&self) -> &'static str {
        "threads"
    }

    fn describe(&self) -> &'static str {
        "a thread per connection, which blocks in recv(2)"
    }

    fn workers(&self, plan: &Arc<LoadPlan>) -> Vec<Box<dyn LoadWorker>> {
        // In a closed loop no more threads than requests outstanding have work; the others keep connections open.
        let worker = |share: super::WorkerShare| -> Box<dyn LoadWorker> {
            Box::new(ConnectionThread {
                connections: ClientConnection::several(plan, share.first, share.connections),
                buffer: vec![0; 16 << 10].into(),
            })
        };
        shares(plan, plan.connections).into_iter().map(worker).collect()
    }
}

/// A thread that sends one request at a time. It has several connections only where fewer requests are outstanding
/// than there are connections, and takes them in turn.
struct ConnectionThread {
    connections: Vec<ClientConnection>,
    buffer: Box<[u8]>,
}

/// How long a sleep lasts at most, before the thread looks whether the run goes on, in nanoseconds.
const LONGEST_SLEEP: u64 = 200_000_000;

impl LoadWorker for ConnectionThread {
    fn connect(&mut self) -> Result<(), LoadError> {
        let Some(plan) = self.connections.first().map(ClientConnection::plan) else { return Ok(()) };
        open_all(&plan, &mut self.connections, |connection| {
            connection.open_blocking()?;
            connection.set_timeouts(read_timeout(&plan))
        })
    }

    fn run(&mut self, run: &Arc<LoadRun>, usage: &mut ClientUsage) -> Result<(), LoadError> {
        let before = super::opened(&self.connections);
        let mut ends = EndBuffer::new(run, monotonic());
        let mut free = Nanos(0);
        let mut turn = 0;
        while let Some(due) = run.feed().take(monotonic()) {
            if !wait_until_due(run, due, usage)? {
                run.give_back(due, monotonic());
                break;
            }
            let several = self.connections.len();
            let connection = &mut self.connections[turn];
            turn = (turn + 1) % several;
            let sent = monotonic();
            let answered = ask(run, connection, &mut self.buffer, due.number, sent, usage);
            let done = monotonic();
            let (fate, rest) = settle(&mut ends, connection, answered);
            ends.push(RequestEnd { due: due.at, free, sent, done, fate });
            free = Nanos(done.0 + rest);
            if rest > 0 {
                sleep_until(free)?;
            }
        }
        ends.flush(monotonic());
        usage.connects += super::opened(&self.connections) - before;
        Ok(())
    }
}

/// Sleeps until a request is due; false when the run is over before.
fn wait_until_due(run: &LoadRun, due: Due, usage: &mut ClientUsage) -> Result<bool, LoadError> {
    let spin = run.plan().spin.0;
    loop {
        let now = monotonic();
        if !run.feed().stands(due.at, now) {
            return Ok(false);
        }
        let left = due.at.0.saturating_sub(now.0);
        if left == 0 {
            return Ok(true);
        }
        if left <= spin {
            while monotonic() < due.at {
                std::hint::spin_loop();
            }
            usage.spun.0 += left;
            return Ok(true);
        }
        sleep_until(Nanos(now.0 + (left - spin).min(LONGEST_SLEEP)))?;
    }
}

/// What a connection is read with: at the end of it the thread looks at the timeout and whether the run goes on.
fn read_timeout(plan: &LoadPlan) -> std::time::Duration {
    let least = std::time::Duration::from_millis(1);
    plan.timeout.clamp(least, std::time::Duration::from_millis(500))
}

/// One request and its answer.
fn ask(
    run: &LoadRun,
    connection: &mut ClientConnection,
    buffer: &mut [u8],
    number: u64,
    sent: Nanos,
    usage: &mut ClientUsage,
) -> Result<Answered, RequestFailure> {
    if !connection.is_open() {
        connection.open_blocking()?;
        connection.set_timeouts(read_timeout(run.plan()))?;
    }
    connection.begin(number);
    if !connection.write()? {
        return Err(RequestFailure::timed_out(run.plan()));
    }
    loop {
        match connection.read(buffer, &mut usage.received)? {
            Received::Answer(answered) => {
                usage.wakes += 1;
                usage.events += 1;
                return Ok(answered);
            }
            Received::Part { .. } => {}
            Received::Nothing => {
                let now = monotonic();
                if now.0.saturating_sub(sent.0) >= run.plan().timeout.as_nanos() as u64 {
                    return Err(RequestFailure::timed_out(run.plan()));
                }
                if run.must_stop(now) {
                    return Err(RequestFailure::unanswered());
                }
            }
        }
    }
}

/// What became of a request, and for how long its connection must rest.
fn settle(
    ends: &mut EndBuffer,
    connection: &mut ClientConnection,
    answered: Result<Answered, RequestFailure>,
) -> (Fate, u64) {
    match answered {
        Ok(answered) => {
            connection.note_answered(answered);
            (ends.fate(answered), 0)
        }
        Err(failure) => {
            ends.tell(&failure);
            (Fate::Failed(failure.kind), connection.note_failed())
        }
    }
}
