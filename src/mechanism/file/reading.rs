//! Waves of reads: who submits them, who awaits them, and how long each of the two takes.

use std::time::{Duration, Instant};

use super::source::Source;
use crate::crew::Values;
use crate::mechanism::{Batch, Failure, Finding, Operation};
use crate::units::{Nanos, Ops, Quantity};

/// A way of reading blocks.
pub(super) trait Method {
    /// Reads the blocks at `offsets`, all at once as far as it can, the first into its buffer 0. It began at `begun`.
    fn read(&mut self, offsets: &[u64], begun: Instant) -> Result<Wave, Failure>;

    /// The first word in buffer `number`.
    fn first_word(&self, number: usize) -> u64;

    /// What it found out besides, since this was last asked.
    fn findings(&mut self) -> Vec<Finding> {
        Vec::new()
    }
}

/// How long a wave took.
pub(super) struct Wave {
    /// How long the submitter was kept.
    submission: Duration,
    /// From there to the last completion; nothing where submitting is all there is.
    completion: Option<Duration>,
    /// When it was over.
    over: Instant,
}

impl Wave {
    /// One whose submission began at `begun` and was all there is: whoever asked was blocked until it had the answer.
    #[inline]
    pub(super) fn blocking(begun: Instant) -> Self {
        let over = Instant::now();
        Self { submission: over - begun, completion: None, over }
    }

    /// One that began at `begun` and is over now, in which submission took `submission`.
    #[inline]
    pub(super) fn kept(begun: Instant, submission: Duration) -> Self {
        let over = Instant::now();
        Self { submission, completion: Some((over - begun).saturating_sub(submission)), over }
    }

    /// Submits, then waits.
    #[inline]
    pub(super) fn in_two_steps<T>(
        begun: Instant,
        with: &mut T,
        submit: impl FnOnce(&mut T) -> Result<(), Failure>,
        wait: impl FnOnce(&mut T) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        submit(with)?;
        let submission = begun.elapsed();
        wait(with)?;
        Ok(Self::kept(begun, submission))
    }
}

/// The operation of every mechanism of the group.
pub(super) struct Reading<M> {
    // Before the source: who has reads in flight ends them first.
    method: M,
    source: Source,
    wave: Vec<u64>,
    depth: usize,
    submission: Values,
    completion: Values,
    submitting: Duration,
    elapsed: Duration,
}

impl<M: Method + 'static> Reading<M> {
    /// Reads from `source` by `method`, `depth` blocks at once.
    pub(super) fn operation(source: Source, depth: usize, method: M) -> Box<dyn Operation> {
        Box::new(Self {
            method,
            source,
            wave: Vec::with_capacity(depth),
            depth,
            submission: Values::new(),
            completion: Values::new(),
            submitting: Duration::ZERO,
            elapsed: Duration::ZERO,
        })
    }

    /// Reads `reads` blocks; from the first submission to the last completion.
    fn read(&mut self, reads: u64) -> Result<Duration, Failure> {
        let start = Instant::now();
        let mut begun = start;
        for _ in 0..reads / self.depth as u64 {
            self.wave.clear();
            for _ in 0..self.depth {
                self.wave.push(self.source.next());
            }
            let wave = self.method.read(&self.wave, begun)?;
            begun = wave.over;
            self.keep(&wave);
            for (number, &offset) in self.wave.iter().enumerate() {
                verify(offset, self.method.first_word(number))?;
            }
        }
        Ok(begun - start)
    }

    #[inline]
    fn keep(&mut self, wave: &Wave) {
        let depth = self.depth as u64;
        // 584 years fit.
        let each = |duration: Duration| duration.as_nanos() as u64 / depth;
        self.submission.record_many(each(wave.submission), depth);
        self.submitting += wave.submission;
        if let Some(completion) = wave.completion {
            self.completion.record_many(each(completion), depth);
        }
    }
}

/// A block begins with its own offset.
#[inline]
fn verify(offset: u64, arrived: u64) -> Result<(), Failure> {
    if arrived == offset {
        Ok(())
    } else {
        Err(Failure::Corrupted(format!("the block at {offset} was asked for, and what came begins with {arrived}")))
    }
}

impl<M: Method + 'static> Operation for Reading<M> {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let (mut done, mut elapsed) = (0, Duration::ZERO);
        while done < ops {
            let reads = self.source.prepare(ops - done)?;
            elapsed += self.read(reads)?;
            self.source.review(reads)?;
            done += reads;
        }
        self.elapsed += elapsed;
        Ok(Batch { ops: Ops(done), elapsed: Nanos(elapsed.as_nanos() as u64) })
    }

    fn findings(&mut self) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        for (of, values) in [("submission", &mut self.submission), ("completion", &mut self.completion)] {
            let values = std::mem::take(values);
            if values.count() > 0 {
                findings.push(Finding::latencies(of, values));
            }
        }
        let (submitting, elapsed) = (std::mem::take(&mut self.submitting), std::mem::take(&mut self.elapsed));
        if !elapsed.is_zero() {
            let share = submitting.as_secs_f64() / elapsed.as_secs_f64();
            findings.push(Finding::figure("time blocked in submission", Quantity::Share, share));
        }
        findings.extend(self.method.findings());
        findings.extend(self.source.findings());
        Ok(findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_block_than_the_one_asked_for_is_found() {
        assert_eq!(verify(4096, 4096), Ok(()));
        let failure = verify(4096, 8192).unwrap_err().to_string();
        assert!(failure.contains("4096") && failure.contains("8192"), "{failure}");
    }
}
