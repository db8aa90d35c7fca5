//! Bars: each part has its own length, place, colour and words.

use super::*;
use Placement::{SameCpu, SameLlc, Unpinned};

/// A handoff between CPUs with all that it is made of; no two parts are alike.
pub(crate) fn between_cpus() -> Vec<Made> {
    let poll = |made: Made| Made { idle: Idle::Poll, ..made };
    vec![
        Made::new("handoff/futex", SameLlc, 22_600),
        poll(Made::new("handoff/futex", SameLlc, 2_600)),
        Made::new("handoff/pipe", SameLlc, 26_100),
        poll(Made::new("handoff/pipe", SameLlc, 3_720)),
        Made::new("syscall/futex_wake", SameCpu, 240),
        Made::new("syscall/membarrier", SameLlc, 8_800),
        Made::new("syscall/remote_call", SameLlc, 15_000),
        Made { idle: Idle::Spinner, ..Made::new("syscall/remote_call", SameLlc, 10_300) },
        Made::new("syscall/timerfd_settime", SameCpu, 400),
        Made::new("syscall/timerfd_settime", SameCpu, 5_900).with("expires", "soon"),
    ]
}

const OF_FUTEX: [(&str, f64); 6] = [
    ("the call itself", 240.0),
    ("waking and switching in", 2_360.0),
    ("the interrupt", 8_800.0),
    ("leaving idle", 4_700.0),
    ("restarting the tick", 5_500.0),
    ("remainder", 1_000.0),
];

const OF_PIPE: [(&str, f64); 5] = [
    ("the call, waking and switching in", 3_720.0),
    ("the interrupt", 8_800.0),
    ("leaving idle", 4_700.0),
    ("restarting the tick", 5_500.0),
    ("remainder", 3_380.0),
];

/// Holds a bar to its parts: from left to right they begin where the one before ends, are as long as their figures,
/// have the colour that the legend gives to their name, and say so.
pub(crate) fn check_bar(svg: &Svg, label: &str, parts: &[(&str, f64)], interval: Option<Interval>) {
    let (row, whole) = (svg.row(label), parts.iter().map(|part| part.1).sum::<f64>());
    let axis = svg.axis(svg.labels().iter().find(|(text, _)| text == label).unwrap().1, value);
    let of = |tag: &str| row.iter().filter(|shape| shape.tag == tag).copied().collect::<Vec<_>>();
    let boxes: Vec<_> = of("rect").into_iter().filter(|shape| !shape.has("paper")).collect();
    assert_eq!(boxes.len(), parts.len(), "{label}: {boxes:#?}");
    let (mut above, mut below) = (0.0, 0.0);
    for (shape, (name, nanos)) in boxes.iter().zip(parts) {
        let edge = if *nanos < 0.0 { &mut below } else { &mut above };
        let ends = [axis.at(f64::min(*edge, *edge + nanos)), axis.at(f64::max(*edge, *edge + nanos))];
        *edge += nanos;
        assert!(near(shape.x[0], ends[0]) && near(shape.x[1], ends[1]), "{label}, {name}: {shape:?} not at {ends:?}");
        assert_eq!(shape.colour(), svg.colour_of(name), "{label}: the colour of {name}");
        let (told, figure) = shape.title.split_once(": ").unwrap();
        let figure = figure.split(',').next().unwrap();
        assert!(told == *name && same(figure, *nanos), "{label}, {name} {nanos}: {}", shape.title);
        for inside in of("text").iter().filter(|text| text.has("small") && !text.has("soft")) {
            if (shape.x[0]..shape.x[1]).contains(&inside.x[0]) {
                assert!(same(&inside.text, *nanos), "{label}, {name} {nanos}: {inside:?}");
            }
        }
    }
    let total = of("line").into_iter().find(|line| line.has("total")).unwrap();
    assert!(near(total.x[0], axis.at(whole)), "{label}: the whole at {total:?}");
    let written = of("text").into_iter().find(|text| text.has("value")).unwrap();
    assert!(same(&written.text, whole), "{label}: {written:?}");
    if let Some(interval) = interval {
        let line = of("line").into_iter().find(|line| line.has("interval")).unwrap();
        assert!(near(line.x[0], axis.at(interval.low)) && near(line.x[1], axis.at(interval.high)), "{label}: {line:?}");
    }
}

#[test]
fn a_handoff_between_cpus_is_the_parts_that_were_measured_and_a_grey_remainder() {
    let made = between_cpus();
    let (futex, pipe) = (made[0].interval(), made[2].interval());
    let files = report(made);
    let svg = picture(&files, "parts-between-cpus-handoff");
    check_bar(&svg, "futex same-llc", &OF_FUTEX, Some(futex));
    check_bar(&svg, "pipe same-llc", &OF_PIPE, Some(pipe));
    let mut colours: Vec<String> = svg.legend().into_iter().map(|(_, colour)| colour).collect();
    assert_eq!((svg.colour_of("remainder").as_str(), colours.len()), ("rest", 7), "{colours:?}");
    colours.sort();
    colours.dedup();
    assert_eq!(colours.len(), 7, "two parts have one colour: {:?}", svg.legend());
    let told = svg.written().replace(['\n', '\u{a0}'], " ");
    let sentence = "Of the 22.6 µs of futex same-llc: the call itself 240 ns (1.1 %), waking and switching in \
                    2.36 µs (10 %), the interrupt 8.80 µs (39 %), leaving idle 4.70 µs (21 %) and restarting the tick \
                    5.50 µs (24 %); 1.00 µs (4.4 %) is left over.";
    assert!(told.contains(sentence), "{told}");
    assert!(told.contains("medians of 3 rounds with 95 % intervals") && told.contains("Linux"), "{told}");
    let data = text(&files, "data/parts-between-cpus-handoff.csv");
    for (name, nanos) in OF_FUTEX {
        let row = data.lines().find(|line| line.starts_with(&format!("handoff/futex/same-llc,{name},{nanos},")));
        assert!(row.is_some(), "{name} {nanos}: {data}");
    }
}

/// Brigades of which no two cost the same: what makes a thread dear, what a runtime adds, and a queue within a process.
pub(crate) fn brigades() -> Vec<Made> {
    let at = |name: &str, placement, nanos, waits, calls| Made {
        waits,
        calls,
        ..Made::new(&format!("brigade/{name}"), placement, nanos)
    };
    vec![
        at("one_thread", SameCpu, 800, 0, 2),
        at("mio", SameCpu, 1_400, 0, 3),
        at("tokio_current_thread", SameCpu, 1_900, 0, 3),
        at("tokio_current_thread", Unpinned, 2_100, 0, 3),
        at("thread", SameCpu, 6_000, 1, 2),
        at("thread", Unpinned, 15_400, 1, 2),
        at("tokio_mpsc", SameCpu, 100, 0, 0),
        at("tokio_mpsc", Unpinned, 130, 0, 0),
        // It is dearer than the reads and writes that it does not make.
        at("flume", SameCpu, 950, 0, 0),
        at("flume", Unpinned, 990, 0, 0),
        at("epoll", SameCpu, 1_500, 0, 3),
        Made { spread: 300, ..at("epoll", Unpinned, 1_470, 0, 3) },
        at("splice", SameCpu, 390, 0, 1),
        at("splice", Unpinned, 395, 0, 1),
    ]
}

#[test]
fn a_hop_is_made_of_what_each_step_adds_and_no_step_of_what_it_does_not_do() {
    let files = report(brigades());
    let svg = picture(&files, "parts-brigade");
    let (io, ready, own) = (("input and output", 800.0), ("finding who is ready", 600.0), "the mechanism itself");
    let elsewhere = "other CPUs and migration";
    check_bar(&svg, "mio same-cpu", &[io, ready], None);
    check_bar(&svg, "tokio_current_thread same-cpu", &[io, ready, ("runtime", 500.0)], None);
    check_bar(&svg, "tokio_current_thread unpinned", &[io, ready, ("runtime", 500.0), (elsewhere, 200.0)], None);
    check_bar(&svg, "thread same-cpu", &[io, ("switching tasks", 5_200.0)], None);
    let asleep = ("other CPUs and leaving idle", 9_400.0);
    check_bar(&svg, "thread unpinned", &[io, ("switching tasks", 5_200.0), asleep], None);
    // A queue within a process reads and writes nothing, and a call that splices does not contain two calls.
    check_bar(&svg, "tokio_mpsc unpinned", &[(own, 100.0), (elsewhere, 30.0)], None);
    check_bar(&svg, "flume unpinned", &[(own, 950.0), (elsewhere, 40.0)], None);
    check_bar(&svg, "splice unpinned", &[(own, 390.0), (elsewhere, 5.0)], None);
    // Noise is pale, and told as such.
    check_bar(&svg, "epoll unpinned", &[io, (own, 700.0), (elsewhere, -30.0)], None);
    let pale: Vec<_> = svg.row("epoll unpinned").into_iter().filter(|shape| shape.has("pale")).collect();
    assert!(pale.len() == 1 && pale[0].title == "other CPUs and migration: −30.0 ns, not told from 0", "{pale:?}");
    let told = svg.written();
    assert!(
        !told.contains("cheaper") && told.contains("Of the 15.4\u{a0}µs per hop of thread unpinned, 61\u{a0}%"),
        "{told}"
    );
    for label in ["tokio_current_thread unpinned", "tokio_mpsc unpinned", "splice unpinned", "epoll unpinned"] {
        let idle = svg.row(label).into_iter().any(|shape| shape.title.contains("idle"));
        assert!(!idle, "{label} never leaves its CPU idle");
    }
}

#[test]
fn threads_and_async_stand_on_one_scale_with_the_parts_that_they_differ_in() {
    let made = brigades();
    let (thread, runtime) = (made[5].interval(), made[3].interval());
    let svg = picture(&report(made), "threads-and-async-brigade");
    let (io, ready) = (("input and output", 800.0), ("finding who is ready", 600.0));
    let asleep = ("other CPUs and leaving idle", 9_400.0);
    check_bar(&svg, "thread unpinned", &[io, ("switching tasks", 5_200.0), asleep], Some(thread));
    let runtime_parts = [io, ready, ("runtime", 500.0), ("other CPUs and migration", 200.0)];
    check_bar(&svg, "tokio_current_thread unpinned", &runtime_parts, Some(runtime));
    let axes: Vec<f64> =
        svg.all("text", "tick").iter().filter(|tick| tick.text == "0 ns").map(|tick| tick.y[0]).collect();
    assert_eq!(axes.len(), 1, "one scale: {axes:?}");
    let told = svg.written().replace(['\n', '\u{a0}'], " ");
    for words in [
        "a thread takes 3.16× the time of tokio_current_thread (6.00 µs and 1.90 µs)",
        "unpinned: a thread takes 7.33×",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(told.contains("3 rounds") && told.contains("Linux") && told.contains("Threads against async"), "{told}");
}

#[test]
fn the_opposite_of_threads_and_async_gives_the_opposite_sentence() {
    let made = |thread: u64, spread: u64| {
        let mut made = brigades();
        made[4] = Made { spread, ..Made::new("brigade/thread", SameCpu, thread) };
        picture(&report(made), "threads-and-async-brigade").written().replace(['\n', '\u{a0}'], " ")
    };
    let told = made(950, 4);
    assert!(told.contains("tokio_current_thread takes 2.00× the time of a thread"), "{told}");
    let told = made(1_950, 400);
    assert!(
        told.contains("Same-cpu: a thread and tokio_current_thread are not told apart (1.95 µs and 1.90 µs)"),
        "{told}"
    );
}
