//! Interleaving: two processes that are alive at the same time and never measure at the same time, because one token
//! passes between them and only its holder measures.
//!
//! A disturbance that lasts longer than a sample, such as another virtual machine, then slows the samples of both
//! processes alike, and cancels out in their ratio (the randomized block design, with a pair of samples as the block:
//! R. A. Fisher, *The Design of Experiments*, 1935). The token is a byte in a socket pair: the process that waits for
//! it sleeps in read(2), and an end of file tells it that its partner is gone.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// One process's end of the token that it passes to and fro with another process, if there is one.
#[derive(Debug)]
pub(super) struct InterleaveToken {
    /// `None`: this process is alone, and always holds the token.
    partner: Option<UnixStream>,
    held: bool,
    /// How many samples it has yet to take.
    samples: usize,
}

impl InterleaveToken {
    /// For a process that measures alone: it always holds the token.
    pub(super) fn alone() -> Self {
        Self { partner: None, held: true, samples: 0 }
    }

    /// With the process at the other end of `partner`. Each of the two takes as many `samples`.
    pub(super) fn with(partner: UnixStream, first: bool, samples: usize) -> Self {
        Self { partner: Some(partner), held: first, samples }
    }

    /// Waits until this process holds the token. True when the partner has held it since this process passed it on.
    pub(super) fn acquire(&mut self) -> bool {
        if self.held {
            return false;
        }
        if self.partner.as_mut().is_some_and(|partner| partner.read_exact(&mut [0]).is_err()) {
            self.partner = None;
        }
        self.held = true;
        true
    }

    /// Passes the token to the partner.
    pub(super) fn pass(&mut self) {
        let Some(partner) = &mut self.partner else { return };
        match partner.write_all(&[0]) {
            Ok(()) => self.held = false,
            // Rust's programs ignore SIGPIPE.
            Err(_) => self.partner = None,
        }
    }

    /// To be called after each sample: passes the token, but not after the last one, because analysing the samples and
    /// taking the tasks down want the CPUs as well.
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
    fn measure(mut token: InterleaveToken, name: char, samples: usize, until: usize, order: &Mutex<String>) {
        token.acquire();
        for _ in 0..until {
            token.acquire();
            order.lock().unwrap().push(name);
            token.sampled();
        }
        if until == samples {
            order.lock().unwrap().push(name.to_ascii_uppercase());
            token.pass();
            token.acquire();
            order.lock().unwrap().push('.');
        }
    }

    fn together(samples: usize, [until_a, until_b]: [usize; 2]) -> String {
        let (a, b) = UnixStream::pair().unwrap();
        let order = Mutex::default();
        std::thread::scope(|scope| {
            scope.spawn(|| measure(InterleaveToken::with(b, false, samples), 'b', samples, until_b, &order));
            scope.spawn(|| measure(InterleaveToken::with(a, true, samples), 'a', samples, until_a, &order));
        });
        order.into_inner().unwrap()
    }

    #[test]
    fn samples_are_interleaved_and_each_side_keeps_the_token_until_it_is_taken_down() {
        for _ in 0..50 {
            assert_eq!(together(4, [4, 4]), "abababaAbB..");
        }
    }

    #[test]
    fn the_side_that_is_left_goes_on_alone() {
        assert_eq!(together(4, [2, 4]), "ababbbB.");
        assert_eq!(together(4, [4, 1]), "abaaaA.");
        assert_eq!(together(2, [0, 2]), "bbB.");
    }

    #[test]
    fn acquiring_says_whether_the_partner_held_the_token() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut a, mut b) = (InterleaveToken::with(a, true, 3), InterleaveToken::with(b, false, 3));
        assert!(!a.acquire(), "it goes first");
        a.pass();
        assert!(b.acquire() && !b.acquire());
        b.pass();
        assert!(a.acquire());
        let mut alone = InterleaveToken::alone();
        alone.sampled();
        alone.pass();
        assert!(!alone.acquire());
    }
}
