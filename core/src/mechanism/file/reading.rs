//! Waves of reads: who submits them, who awaits them, and how long each of the two takes.

use std::time::{Duration, Instant};

use super::source::BlockSource;
use crate::mechanism::{Batch, Failure, Metric, MetricKey, Operation};
use crate::terms::ValueHistogram;
use crate::units::Quantity;

/// A way of reading blocks.
pub(super) trait ReadMethod {
    /// Reads the blocks at `offsets`, all at once as far as it can, the first into its buffer 0. It began at `begun`.
    ///
    /// Who takes completions one by one puts into `taken`, which is empty, how long each was after submission; else
    /// every read of the wave has that of the wave.
    fn read(&mut self, offsets: &[u64], begun: Instant, taken: &mut Vec<Duration>) -> Result<Wave, Failure>;

    /// The first word in buffer `number`.
    fn first_word(&self, number: usize) -> u64;

    /// What it found out besides, since this was last asked.
    fn metrics(&mut self) -> Vec<Metric> {
        Vec::new()
    }
}

/// How long a wave took.
pub(super) struct Wave {
    /// How long the submitter was kept by all of it.
    submission: Duration,
    /// From there until the last completion was taken; nothing where submitting is all there is.
    completion: Option<Duration>,
    /// When it was over.
    over: Instant,
}

impl Wave {
    /// A wave whose submission began at `begun` and was all there is: the reader was blocked until it had the block.
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
pub(super) struct FileReading<M> {
    // Before the source: who has reads in flight ends them first.
    method: M,
    source: BlockSource,
    wave: Vec<u64>,
    taken: Vec<Duration>,
    depth: usize,
    submission: ValueHistogram,
    completion: ValueHistogram,
    submitting: Duration,
    elapsed: Duration,
}

impl<M: ReadMethod + 'static> FileReading<M> {
    /// Reads from `source` by `method`, `depth` blocks at once.
    pub(super) fn operation(source: BlockSource, depth: usize, method: M) -> Box<dyn Operation> {
        Box::new(Self {
            method,
            source,
            wave: Vec::with_capacity(depth),
            taken: Vec::with_capacity(depth),
            depth,
            submission: ValueHistogram::new(),
            completion: ValueHistogram::new(),
            submitting: Duration::ZERO,
            elapsed: Duration::ZERO,
        })
    }

    /// Reads `reads` blocks; from the first submission to the last completion.
    fn read(&mut self, reads: u64) -> Result<Duration, Failure> {
        let (mut start, mut over) = (None, None);
        for _ in 0..reads / self.depth as u64 {
            self.wave.clear();
            self.taken.clear();
            for _ in 0..self.depth {
                self.wave.push(self.source.next());
            }
            // Read anew: what is done with the last wave's blocks is no part of this one's submission.
            let begun = Instant::now();
            start.get_or_insert(begun);
            let wave = self.method.read(&self.wave, begun, &mut self.taken)?;
            over = Some(wave.over);
            self.keep(&wave);
            for (number, &offset) in self.wave.iter().enumerate() {
                verify(offset, self.method.first_word(number))?;
            }
        }
        Ok(start.zip(over).map_or(Duration::ZERO, |(start, over)| over - start))
    }

    #[inline]
    fn keep(&mut self, wave: &Wave) {
        // 584 years fit.
        let nanos = |duration: Duration| duration.as_nanos() as u64;
        self.submission.record(nanos(wave.submission));
        self.submitting += wave.submission;
        let Some(completion) = wave.completion else { return };
        if self.taken.is_empty() {
            self.completion.record_many(nanos(completion), self.depth as u64);
        }
        self.taken.iter().for_each(|&taken| self.completion.record(nanos(taken)));
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

impl<M: ReadMethod + 'static> Operation for FileReading<M> {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let (mut done, mut elapsed) = (0, Duration::ZERO);
        while done < ops {
            let reads = self.source.prepare(ops - done)?;
            elapsed += self.read(reads)?;
            self.source.review(reads)?;
            done += reads;
        }
        self.elapsed += elapsed;
        Ok(Batch::lasting(elapsed, done))
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let mut metrics = Vec::new();
        for (of, values) in
            [(MetricKey::Submission, &mut self.submission), (MetricKey::Completion, &mut self.completion)]
        {
            let values = std::mem::take(values);
            if values.count() > 0 {
                metrics.push(Metric::latencies(of, values));
            }
        }
        let (submitting, elapsed) = (std::mem::take(&mut self.submitting), std::mem::take(&mut self.elapsed));
        if !elapsed.is_zero() {
            let share = submitting.as_secs_f64() / elapsed.as_secs_f64();
            metrics.push(Metric::scalar(MetricKey::BlockedInSubmission, Quantity::Share, share));
        }
        metrics.extend(self.method.metrics());
        metrics.extend(self.source.metrics());
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::mechanism::find;

    /// A wave of fixed times, whose reads are taken one by one or at its end.
    struct Fake {
        offsets: Vec<u64>,
        one_by_one: bool,
    }

    impl ReadMethod for Fake {
        fn read(&mut self, offsets: &[u64], begun: Instant, taken: &mut Vec<Duration>) -> Result<Wave, Failure> {
            self.offsets = offsets.to_vec();
            if self.one_by_one {
                taken.extend((1..=offsets.len() as u64).map(|read| Duration::from_nanos(10 * read)));
            }
            let (submission, completion) = (Duration::from_nanos(20), Some(Duration::from_nanos(40)));
            Ok(Wave { submission, completion, over: begun + Duration::from_nanos(60) })
        }

        fn first_word(&self, number: usize) -> u64 {
            self.offsets[number]
        }
    }

    #[test]
    fn a_submission_is_its_waves_and_a_completion_each_reads_own() {
        if super::super::source::probe().is_err() {
            return;
        }
        let parameters = find("file/uring").unwrap().descriptor().defaults();
        // Medians are of the histogram's own exactness, which is whole below some hundred nanoseconds.
        for (one_by_one, median) in [(false, 40), (true, 20)] {
            let source = BlockSource::open(&parameters, 4).unwrap();
            let mut reading = FileReading::operation(source, 4, Fake { offsets: Vec::new(), one_by_one });
            reading.run(8).unwrap();
            let metrics: Vec<_> = reading.metrics().unwrap().into_iter().filter_map(distribution).collect();
            let [(submission, submissions), (completion, completions)] = metrics.as_slice() else {
                panic!("{metrics:?}")
            };
            assert_eq!((submission, completion), (&MetricKey::Submission, &MetricKey::Completion));
            assert_eq!((submissions.count(), submissions.max()), (2, 20));
            assert_eq!((completions.count(), completions.max(), completions.quantile(0.5)), (8, 40, median));
        }
    }

    /// Only lower bounds of the test's own pauses: a busy machine makes each part longer, and neither shorter.
    #[test]
    fn what_submission_takes_is_told_apart_from_what_waiting_takes() {
        const PAUSE: Duration = Duration::from_millis(2);
        let pause = |yes: bool| {
            move |_: &mut ()| -> Result<(), Failure> {
                if yes {
                    std::thread::sleep(PAUSE);
                }
                Ok(())
            }
        };
        for submitting in [true, false] {
            let begun = Instant::now();
            let wave = Wave::in_two_steps(begun, &mut (), pause(submitting), pause(!submitting)).unwrap();
            let completion = wave.completion.unwrap();
            assert_eq!(wave.submission + completion, wave.over - begun);
            assert!(if submitting { wave.submission } else { completion } >= PAUSE, "{submitting}");
        }
    }

    #[test]
    fn the_share_in_submission_is_of_the_whole_time_of_a_wave() {
        if let Err(reason) = super::super::source::probe() {
            return println!("not checked: {reason}");
        }
        let parameters = find("file/uring").unwrap().descriptor().defaults();
        let source = BlockSource::open(&parameters, 4).unwrap();
        let mut reading = FileReading::operation(source, 4, Fake { offsets: Vec::new(), one_by_one: false });
        reading.run(4).unwrap();
        let of = MetricKey::BlockedInSubmission;
        let metrics = reading.metrics().unwrap().into_iter().find_map(|metric| match metric {
            Metric::Scalar(figure) if figure.of == of => Some(figure.value),
            _ => None,
        });
        assert!(metrics.is_some_and(|share| (share - 20.0 / 60.0).abs() < 1e-9), "{metrics:?}");
    }

    fn distribution(metric: Metric) -> Option<(MetricKey, ValueHistogram)> {
        match metric {
            Metric::Distribution(found) => Some((found.of, found.values)),
            _ => None,
        }
    }

    #[test]
    fn another_block_than_the_one_asked_for_is_found() {
        assert_eq!(verify(4096, 4096), Ok(()));
        let failure = verify(4096, 8192).unwrap_err().to_string();
        assert!(failure.contains("4096") && failure.contains("8192"), "{failure}");
    }
}
