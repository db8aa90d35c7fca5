//! How long a test waits for what must happen. The end of it is reached by a hang alone, and tells nothing about speed.

use std::time::{Duration, Instant};

/// Multiplies every timeout of the tests: for an emulator, or a machine that does a hundred things besides.
const FACTOR: &str = "SWITCHCOST_TEST_PATIENCE";

/// Several times what anything in these tests takes beside twenty busy processes on two CPUs: two thousand forks across
/// CPUs shared with ten others took 8 s. A broken mechanism often hangs, and each that does takes this long to be told.
const TIMEOUT: Duration = Duration::from_secs(60);

/// [`TIMEOUT`] times what `SWITCHCOST_TEST_PATIENCE` says.
#[allow(dead_code)] // Not every test binary needs both of these.
pub(crate) fn timeout() -> Duration {
    let factor = std::env::var(FACTOR).map_or(1.0, |factor| {
        let number: Option<f64> = factor.parse().ok().filter(|number| (0.1..=1000.0).contains(number));
        number.unwrap_or_else(|| panic!("{FACTOR}={factor}: a number from 0.1 to 1000"))
    });
    TIMEOUT.mul_f64(factor)
}

/// Looks again and again until `seen` is something, for at most `timeout`.
#[allow(dead_code)]
pub(crate) fn await_until<T>(timeout: Duration, mut seen: impl FnMut() -> Option<T>) -> Option<T> {
    const LONGEST: Duration = Duration::from_millis(20);
    let (deadline, mut pause) = (Instant::now() + timeout, Duration::from_millis(1));
    loop {
        let found = seen();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(pause);
        pause = LONGEST.min(pause * 2);
    }
}
