//! Turns: two processes that are alive at the same time and never measure at the same time.
//!
//! A disturbance that lasts longer than a sample, such as another virtual machine, then slows the samples of both
//! processes alike, and cancels out in their ratio (the randomized block design, with a pair of samples as the block:
//! R. A. Fisher, *The Design of Experiments*, 1935). The turn is a byte in a socket pair: the process that waits for it
//! sleeps in read(2), and an end of file tells it that its partner is gone.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// A process's part in the turns that it takes with another process, if there is one.
#[derive(Debug)]
pub(super) struct TurnToken {
    /// None: this process is alone, and it is always its turn.
    partner: Option<UnixStream>,
    held: bool,
    /// How many samples it has yet to take.
    samples: usize,
}

impl TurnToken {
    /// For a process that measures alone: it always has the turn.
    pub(super) fn alone() -> Self {
        Self { partner: None, held: true, samples: 0 }
    }

    /// With the process at the other end of `partner`. Each of the two takes as many `samples`.
    pub(super) fn with(partner: UnixStream, first: bool, samples: usize) -> Self {
        Self { partner: Some(partner), held: first, samples }
    }

    /// Waits until it is this process's turn. Whether the partner had one since this process's last.
    pub(super) fn take(&mut self) -> bool {
        if self.held {
            return false;
        }
        if self.partner.as_mut().is_some_and(|partner| partner.read_exact(&mut [0]).is_err()) {
            self.partner = None;
        }
        self.held = true;
        true
    }

    /// Lets the partner have its turn.
    pub(super) fn pass(&mut self) {
        let Some(partner) = &mut self.partner else { return };
        match partner.write_all(&[0]) {
            Ok(()) => self.held = false,
            // Rust's programs ignore SIGPIPE.
            Err(_) => self.partner = None,
        }
    }

    /// A sample was taken, which ends the turn; but not the last one's, because analysing the samples and taking the
    /// tasks down want the CPUs as well.
    pub(super) fn sampled(&mut self) {
        self.samples = self.samples.saturating_sub(1);
        if self.samples > 0 {
            self.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What a process does that takes `samples` and leaves after `until` of them.
    fn measure(mut turns: TurnToken, name: char, samples: usize, until: usize, told: &Mutex<String>) {
        turns.take();
        for _ in 0..until {
            turns.take();
            told.lock().unwrap().push(name);
            turns.sampled();
        }
        if until == samples {
            told.lock().unwrap().push(name.to_ascii_uppercase());
            turns.pass();
            turns.take();
            told.lock().unwrap().push('.');
        }
    }

    fn together(samples: usize, [until_a, until_b]: [usize; 2]) -> String {
        let (a, b) = UnixStream::pair().unwrap();
        let told = Mutex::default();
        std::thread::scope(|scope| {
            scope.spawn(|| measure(TurnToken::with(b, false, samples), 'b', samples, until_b, &told));
            scope.spawn(|| measure(TurnToken::with(a, true, samples), 'a', samples, until_a, &told));
        });
        told.into_inner().unwrap()
    }

    #[test]
    fn samples_alternate_and_each_keeps_its_last_turn_until_it_is_taken_down() {
        for _ in 0..50 {
            assert_eq!(together(4, [4, 4]), "abababaAbB..");
        }
    }

    #[test]
    fn who_is_left_goes_on_alone() {
        assert_eq!(together(4, [2, 4]), "ababbbB.");
        assert_eq!(together(4, [4, 1]), "abaaaA.");
        assert_eq!(together(2, [0, 2]), "bbB.");
    }

    #[test]
    fn it_is_told_whether_the_partner_had_its_turn() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut a, mut b) = (TurnToken::with(a, true, 3), TurnToken::with(b, false, 3));
        assert!(!a.take(), "it goes first");
        a.pass();
        assert!(b.take() && !b.take());
        b.pass();
        assert!(a.take());
        let mut alone = TurnToken::alone();
        alone.sampled();
        alone.pass();
        assert!(!alone.take());
    }
}
