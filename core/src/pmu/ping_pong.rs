//! What the tests of this room count: two threads that hand one byte back and forth on one processor.

use std::io::{Read, Write, pipe};
use std::sync::Barrier;
use std::thread;

use crate::sys::affinity::{allowed_cpus, confine_current_thread};

/// Round trips of one [`run`]; enough that what other programs add stays small.
pub(super) const ROUND_TRIPS: u64 = 2000;

/// Creates two threads of these names, calls `start` when both are ready, and returns when both have ended.
pub(super) fn run(names: [&str; 2], start: impl FnOnce()) {
    let (mut request_in, mut request_out) = pipe().unwrap();
    let (mut reply_in, mut reply_out) = pipe().unwrap();
    let ready = Barrier::new(3);
    let go = Barrier::new(3);
    let prepare = || {
        confine_current_thread(&allowed_cpus().unwrap()[..1]).unwrap();
        ready.wait();
        go.wait();
    };
    thread::scope(|scope| {
        let ping = || {
            prepare();
            for _ in 0..ROUND_TRIPS {
                request_out.write_all(b"x").unwrap();
                reply_in.read_exact(&mut [0]).unwrap();
            }
        };
        let pong = || {
            prepare();
            for _ in 0..ROUND_TRIPS {
                request_in.read_exact(&mut [0]).unwrap();
                reply_out.write_all(b"x").unwrap();
            }
        };
        thread::Builder::new().name(names[0].into()).spawn_scoped(scope, ping).unwrap();
        thread::Builder::new().name(names[1].into()).spawn_scoped(scope, pong).unwrap();
        ready.wait();
        start();
        go.wait();
    });
}
