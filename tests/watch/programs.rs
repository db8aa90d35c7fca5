//! Programs to be watched: ignored tests, each run in a process of its own. They end when their input does.

use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::select::{FdSet, select};
use switchcost::sys::thread::{LEAST_STACK, Pthread};
use switchcost::sys::usage::of_this_process;

fn spawn(name: &str, mut body: impl FnMut() + Send + 'static) {
    let name = name.to_string();
    thread::Builder::new()
        .name(name)
        .spawn(move || {
            loop {
                body();
            }
        })
        .unwrap();
}

fn say(text: &str) {
    println!("program: {text}");
    std::io::stdout().flush().unwrap();
}

fn nap() {
    thread::sleep(Duration::from_millis(1));
}

fn end_with_input() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
}

/// A thread for each way of waiting; another sends it a byte now and then.
#[test]
#[ignore = "a program to be watched"]
fn of_many_waits() {
    for number in 0..3 {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        spawn(&format!("serve-{number}"), move || {
            let mut byte = [0];
            one.read_exact(&mut byte).unwrap();
            one.write_all(&byte).unwrap();
        });
        spawn(&format!("ask-{number}"), move || {
            other.write_all(b"x").unwrap();
            other.read_exact(&mut [0]).unwrap();
            nap();
        });
    }
    epoll_of("loop", 8);
    epoll_of("one-epoll", 1);
    one_poll();
    interruptible();
    self_pipe();
    many_select();
    woken();
    locks();
    spawn("nap", nap);
    say("ready");
    end_with_input();
}

/// A thread that waits by epoll for so many sockets, and for an eventfd that is never written.
fn epoll_of(name: &str, sockets: usize) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let wakeup = EventFd::new().unwrap();
    epoll.add(&wakeup, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX)).unwrap();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for number in 0..sockets {
        let (one, other) = UnixStream::pair().unwrap();
        epoll.add(&one, EpollEvent::new(EpollFlags::EPOLLIN, number as u64)).unwrap();
        own.push(one);
        others.push(other);
    }
    spawn(name, move || {
        let _ = &wakeup;
        let mut events = [EpollEvent::empty(); 8];
        let ready = epoll.wait(&mut events, EpollTimeout::NONE).unwrap();
        for event in &events[..ready] {
            own[event.data() as usize].read_exact(&mut [0]).unwrap();
        }
    });
    spawn("drive", move || {
        others.iter_mut().for_each(|socket| socket.write_all(b"x").unwrap());
        nap();
    });
}

fn one_poll() {
    let (mut own, mut other) = UnixStream::pair().unwrap();
    spawn("one-poll", move || {
        poll(&mut [PollFd::new(own.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        own.read_exact(&mut [0]).unwrap();
    });
    spawn("drive", move || {
        other.write_all(b"x").unwrap();
        nap();
    });
}

/// Polls its connection, and an end of a pair of sockets by which its process would tell it to stop.
fn interruptible() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut own, _) = listener.accept().unwrap();
    let (stopped, stop) = UnixStream::pair().unwrap();
    spawn("interruptible", move || {
        let entries =
            &mut [PollFd::new(own.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        poll(entries, PollTimeout::NONE).unwrap();
        own.read_exact(&mut [0]).unwrap();
    });
    spawn("drive", move || {
        let _ = &stop;
        other.write_all(b"x").unwrap();
        nap();
    });
}

/// Polls a pipe that a thread of the same process writes: it only wakes.
fn self_pipe() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    spawn("self-pipe", move || {
        poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        reader.read_exact(&mut [0]).unwrap();
    });
    spawn("drive", move || {
        writer.write_all(b"x").unwrap();
        nap();
    });
}

fn many_select() {
    let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
    let (mut readers, mut writers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    spawn("many-select", move || {
        let mut set = FdSet::new();
        readers.iter().for_each(|reader| set.insert(reader.as_fd()));
        select(None, &mut set, None, None, None).unwrap();
        let ready: Vec<bool> = readers.iter().map(|reader| set.contains(reader.as_fd())).collect();
        let ready = readers.iter_mut().zip(ready).filter(|(_, ready)| *ready);
        ready.for_each(|(reader, _)| reader.read_exact(&mut [0]).unwrap());
    });
    spawn("drive", move || {
        writers.iter_mut().for_each(|writer| writer.write_all(b"x").unwrap());
        nap();
    });
}

/// Reads an eventfd: by its call, this looks like a thread of a connection.
fn woken() {
    let event = Arc::new(EventFd::new().unwrap());
    let other = Arc::clone(&event);
    spawn("woken", move || assert!(event.read().is_ok()));
    spawn("drive", move || {
        other.write(1).unwrap();
        nap();
    });
}

fn locks() {
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    for number in 0..2 {
        let shared = Arc::clone(&shared);
        spawn(&format!("lock-{number}"), move || {
            let (turn, changed) = &*shared;
            let mut turn = changed.wait_while(turn.lock().unwrap(), |turn| *turn != number + 1).unwrap();
            *turn = 0;
        });
    }
    let mut next = 0;
    spawn("drive", move || {
        next = next % 2 + 1;
        *shared.0.lock().unwrap() = next;
        shared.1.notify_all();
        nap();
    });
}

/// Two hundred threads one after the other, and children, each of which uses a millisecond of a CPU and ends.
#[test]
#[ignore = "a program to be watched"]
fn of_short_lives() {
    say(&of_this_process().unwrap().cpu().0.to_string());
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    for number in 0..200 {
        let short = || {
            thread::sleep(Duration::from_micros(100));
            burn();
        };
        thread::spawn(short).join().unwrap();
        if number % 10 == 0 {
            let line = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done";
            std::process::Command::new("sh").args(["-c", line]).status().unwrap();
        }
    }
    std::process::exit(0);
}

fn burn() {
    let used = || of_this_process().unwrap().cpu().0;
    let begin = used();
    while used() < begin + 1_000_000 {}
}

/// As many threads as there can be, up to five thousand.
#[test]
#[ignore = "a program to be watched"]
fn of_many_threads() {
    let parked = || {
        switchcost::sys::process::name_current_thread("parked");
        loop {
            thread::park();
        }
    };
    let started = (0..5_000).take_while(|_| Pthread::start(4 * LEAST_STACK, parked).is_ok()).count();
    say(&started.to_string());
    end_with_input();
}
