//! What this machine says: the questions that people come with, each answered in a sentence from the figures of a run.
//!
//! Every rule stands in [`RULES`], in the order in which readers ask. A rule looks benchmarks up and makes a sentence
//! with their figures and intervals, or one that the data do not tell two figures apart. A rule whose benchmarks the
//! run lacks says nothing, and why stands under [`Answers::unsaid`]. Nothing is said without its data.

mod facts;
mod serving;
#[cfg(test)]
mod tests;

use super::run_view::{BenchmarkView, RunView};
use super::text;
use crate::record::Run;
use crate::terms::{MetricKey, Placement};
pub(super) use facts::{ACROSS, Beside, beside};
use facts::{Facts, Silence, distribution, scalar, told};

/// What a run answers, and what it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// The sentences, in the order of the questions.
    pub said: Vec<Answer>,
    /// Questions to which the run was to give an answer and did not, and why.
    pub unsaid: Vec<Unsaid>,
    /// Questions that the run was not asked, because it has none of their benchmarks.
    pub not_asked: Vec<&'static str>,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was asked, in a few words: `a system call`.
    pub question: &'static str,
    /// One or two sentences, each figure with its interval.
    pub sentence: String,
    /// The ids of the benchmarks that it follows from.
    pub from: Vec<String>,
}

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaid {
    /// What was asked, in a few words.
    pub question: &'static str,
    /// The benchmark that gave no figure.
    pub id: String,
    /// Why, and what would help; without full stop.
    pub why: String,
}

impl Unsaid {
    /// The question, the benchmark and the reason in one sentence.
    pub(super) fn described(&self) -> String {
        let Self { question, id, why } = self;
        format!("No answer about {question} ({id}): {why}.")
    }
}

/// A question, and how it is answered.
struct Rule {
    question: &'static str,
    answer: fn(&Facts) -> Result<String, Silence>,
}

/// What people come with, in the order in which they ask.
const RULES: [Rule; 16] = [
    Rule { question: "a system call", answer: system_call },
    Rule { question: "another task on the same CPU", answer: same_cpu },
    Rule { question: "another task on another CPU", answer: another_cpu },
    Rule { question: "waking a CPU that sleeps", answer: sleeping_cpu },
    Rule { question: "threads against async, placed by the kernel", answer: unpinned },
    Rule { question: "threads against async, pinned to one CPU", answer: pinned },
    Rule { question: "what a hop between threads is made of", answer: difference },
    Rule { question: "epoll against io_uring", answer: io_uring },
    Rule { question: "edge against level", answer: edge },
    Rule { question: "making a task", answer: making },
    Rule { question: "keeping a task", answer: keeping },
    Rule { question: "after a call has returned", answer: after_call },
    Rule { question: "regular files in an event loop", answer: files },
    Rule { question: "how late a timer is", answer: timers },
    Rule { question: "what a request costs the server", answer: serving::server },
    Rule { question: "what a request costs the client", answer: serving::client },
];

/// The sentences that follow from the record of `run`, and the questions that it leaves open.
pub fn answers(run: &Run) -> Answers {
    of_view(&RunView::new(String::new(), run))
}

/// As [`answers`], of a run that was sorted out before.
pub(super) fn of_view(view: &RunView) -> Answers {
    let facts = Facts::new(view);
    let mut answers = Answers::default();
    for Rule { question, answer } in RULES {
        match (answer(&facts), facts.take_used()) {
            (Ok(sentence), from) => answers.said.push(Answer { question, sentence, from }),
            (Err(Silence::NoFigure(id, why)), _) => answers.unsaid.push(Unsaid { question, id, why }),
            (Err(Silence::NotMeasured(_)), used) if used.is_empty() => answers.not_asked.push(question),
            (Err(Silence::NotMeasured(id)), _) => {
                let why = "this run did not measure it".into();
                answers.unsaid.push(Unsaid { question, id, why });
            }
        }
    }
    answers
}

fn system_call(facts: &Facts) -> Result<String, Silence> {
    let call = facts.get("syscall/getppid", Placement::SameCpu)?;
    Ok(format!(
        "Entering the kernel and coming back costs {}, measured with getppid, which does next to nothing there.",
        told(call)
    ))
}

fn same_cpu(facts: &Facts) -> Result<String, Silence> {
    let handoff = facts.get("handoff/futex", Placement::SameCpu)?;
    let mut sentence = format!("Making another thread run on the same CPU, with a futex, costs {}", told(handoff));
    if let Ok(call) = facts.get("syscall/getppid", Placement::SameCpu)
        && let Beside::More(times, ..) = beside(handoff, call)
    {
        sentence.push_str(&format!(", as much time as {} system calls", text::significant(times)));
    }
    Ok(sentence + ".")
}

fn another_cpu(facts: &Facts) -> Result<String, Silence> {
    let across = facts.across("handoff/futex")?;
    let mut sentence = format!(
        "With the other thread on another CPU ({}), the same handoff costs {}",
        across.line().setting.placement,
        told(across)
    );
    if let Ok(same) = facts.get("handoff/futex", Placement::SameCpu) {
        sentence.push_str(&match beside(across, same) {
            apart @ (Beside::More(..) | Beside::Less(..)) => format!(", {} as on the same CPU", apart.times()),
            not_apart @ Beside::NotApart(..) => format!("; from one on the same CPU it is {}", not_apart.times()),
        });
    }
    Ok(sentence + ".")
}

fn sleeping_cpu(facts: &Facts) -> Result<String, Silence> {
    let asleep = facts.across("handoff/futex")?;
    let awake = facts.awake(asleep)?;
    Ok(match beside(asleep, awake) {
        Beside::More(..) => {
            let saved = asleep.per_op() - awake.per_op();
            let mut sentence = format!(
                "Of the {} of a handoff to another CPU, {} ({}) goes into waking that CPU from sleep: with CPUs kept \
                 awake the handoff costs {}",
                text::nanos(asleep.per_op()),
                text::nanos(saved),
                text::percent(saved / asleep.per_op()),
                told(awake)
            );
            // What a CPU that is awake is told by, unless it polls while it is idle.
            if let Ok(interrupt) = facts.get("syscall/membarrier", asleep.line().setting.placement) {
                sentence.push_str(&format!(
                    ". Interrupting another CPU and waiting for its answer (membarrier) costs {}",
                    told(interrupt)
                ));
            }
            sentence + "."
        }
        Beside::Less(..) => format!(
            "Keeping idle CPUs awake does not help here: the handoff to another CPU then costs {}, more than to one \
             that sleeps.",
            told(awake)
        ),
        not_apart @ Beside::NotApart(..) => format!(
            "What of that is waking a CPU that sleeps cannot be said: with CPUs kept awake the handoff costs {}; the \
             two are {}.",
            told(awake),
            not_apart.times()
        ),
    })
}

/// A thread for each task, and tasks of a runtime on one thread: both hand a byte along pipes.
const THREAD: &str = "brigade/thread";
const ASYNC: &str = "brigade/tokio_current_thread";

fn unpinned(facts: &Facts) -> Result<String, Silence> {
    let (threads, tasks) = (facts.get(THREAD, Placement::Unpinned)?, facts.get(ASYNC, Placement::Unpinned)?);
    Ok(format!("When the kernel places them, {}. {}", hop(threads, tasks), at_a_rate(threads, tasks)))
}

fn pinned(facts: &Facts) -> Result<String, Silence> {
    let (threads, tasks) = (facts.get(THREAD, Placement::SameCpu)?, facts.get(ASYNC, Placement::SameCpu)?);
    Ok(format!("On one CPU, {}. {}", hop(threads, tasks), at_a_rate(threads, tasks)))
}

fn hop(threads: &BenchmarkView, tasks: &BenchmarkView) -> String {
    let verdict = match beside(threads, tasks) {
        apart @ (Beside::More(..) | Beside::Less(..)) => format!("threads take {}", apart.times()),
        not_apart @ Beside::NotApart(..) => format!("the two are {}", not_apart.times()),
    };
    format!(
        "a hop between threads costs {} and one between async tasks on a single thread (tokio) {}: \
         {verdict}",
        told(threads),
        told(tasks)
    )
}

/// Hops a second of the service that a reader is asked to think of.
const HOPS_A_SECOND: f64 = 10_000.0;

/// The difference in CPU time of a service, because a ratio of two small costs says nothing about the work between.
fn at_a_rate(threads: &BenchmarkView, tasks: &BenchmarkView) -> String {
    let nanos = threads.summary.cpu_nanos - tasks.summary.cpu_nanos;
    let which = if nanos >= 0.0 { "threads" } else { "async tasks" };
    format!(
        "With {which}, 10,000 hops a second use {} of a CPU more (CPU time, without waiting).",
        text::significant(nanos.abs() * HOPS_A_SECOND / 1e9)
    )
}

/// Handoffs a second of the service that [`worked_example`] tells of.
const OF_A_BUSY_SERVICE: f64 = 50_000.0;

/// What a service of many handoffs would pay for threads on the machine of `run`, placed by the kernel and pinned;
/// `None` where the run lacks one of the four brigades.
pub fn worked_example(run: &Run) -> Option<String> {
    let view = RunView::new(String::new(), run);
    let facts = Facts::new(&view);
    let share = |placement: Placement| {
        let (threads, tasks) = (facts.get(THREAD, placement).ok()?, facts.get(ASYNC, placement).ok()?);
        let cpus = (threads.summary.cpu_nanos - tasks.summary.cpu_nanos) * OF_A_BUSY_SERVICE / 1e9;
        Some(format!("{} CPUs {}", text::significant(cpus.abs()), if cpus >= 0.0 { "more" } else { "less" }))
    };
    let (placed, pinned) = (share(Placement::Unpinned)?, share(Placement::SameCpu)?);
    Some(format!(
        "A service that hands work from task to task 50,000 times a second would use {placed} on this machine with \
         threads that the kernel places than with async tasks on one thread, and {pinned} with threads that are pinned \
         to one CPU. What the service does between two handoffs is not in these figures, and costs much the same \
         either way."
    ))
}

fn difference(facts: &Facts) -> Result<String, Silence> {
    let whole = facts.get(THREAD, Placement::Unpinned)?;
    let one_cpu = facts.get(THREAD, Placement::SameCpu)?;
    let calls = facts.get("brigade/one_thread", Placement::SameCpu)?;
    let part = |nanos: f64| format!("{} ({})", text::nanos(nanos), text::percent(nanos / whole.per_op()));
    let switching = match beside(one_cpu, calls) {
        Beside::More(..) => format!(
            "{} is switching between them and {} the read and the write",
            part(one_cpu.per_op() - calls.per_op()),
            part(calls.per_op())
        ),
        _ => format!("{} is what they cost on one CPU", part(one_cpu.per_op())),
    };
    Ok(match beside(whole, one_cpu) {
        Beside::More(..) => format!(
            "Of the {} of a hop between threads that the kernel places, {} disappears when all of them share one CPU: \
             that is what more than one CPU adds. {}.",
            text::nanos(whole.per_op()),
            part(whole.per_op() - one_cpu.per_op()),
            text::capitalised(&switching)
        ),
        Beside::Less(..) => format!(
            "A hop between threads that the kernel places costs less than on one CPU, {} against {}: pinning does not \
             help here.",
            told(whole),
            told(one_cpu)
        ),
        not_apart @ Beside::NotApart(..) => {
            format!("Threads that the kernel places and threads on one CPU are {}; {switching}.", not_apart.times())
        }
    })
}

fn io_uring(facts: &Facts) -> Result<String, Silence> {
    let epoll = facts.get("brigade/epoll", Placement::SameCpu)?;
    let ring = facts.get("brigade/uring", Placement::SameCpu)?;
    let verdict = match beside(ring, epoll) {
        apart @ (Beside::More(..) | Beside::Less(..)) => apart.times(),
        not_apart @ Beside::NotApart(..) => not_apart.times(),
    };
    let mut sentence = format!(
        "With one request at a time, a hop costs {} with io_uring and {} with epoll: {verdict}",
        told(ring),
        told(epoll)
    );
    if let Ok(batch) = facts.get("brigade/uring_chain", Placement::SameCpu) {
        sentence.push_str(&match beside(batch, epoll) {
            Beside::Less(..) => {
                format!(". With a whole lap of requests in one call, io_uring costs less than epoll, {}", told(batch))
            }
            Beside::More(..) => {
                format!(". With a whole lap of requests in one call, io_uring costs more than epoll, {}", told(batch))
            }
            not_apart @ Beside::NotApart(..) => {
                format!(
                    ". With a whole lap of requests in one call, io_uring costs {}: beside epoll {}",
                    told(batch),
                    not_apart.times()
                )
            }
        });
    }
    Ok(sentence + ".")
}

fn edge(facts: &Facts) -> Result<String, Silence> {
    let level = facts.get("brigade/epoll", Placement::SameCpu)?;
    let edge = facts.with("brigade/epoll", Placement::SameCpu, ("trigger", "edge"))?;
    let figures = format!("{} a hop against {}", told(edge), told(level));
    Ok(match beside(edge, level) {
        Beside::Less(times, ..) => {
            format!("Edge-triggered epoll is cheaper than level-triggered: {figures}, {} less.", share_less(times))
        }
        apart @ Beside::More(..) => {
            format!("Edge-triggered epoll costs more than level-triggered: {figures}, {}.", apart.times())
        }
        not_apart @ Beside::NotApart(..) => {
            format!("Edge-triggered and level-triggered epoll are {}: {figures}.", not_apart.times())
        }
    })
}

/// By which share something is less of which another is `times` as much.
fn share_less(times: f64) -> String {
    text::percent(1.0 - 1.0 / times)
}

fn making(facts: &Facts) -> Result<String, Silence> {
    let of = |mechanism: &str| facts.get(mechanism, Placement::SameCpu);
    let (thread, task) = (of("creation/thread")?, of("creation/tokio_task")?);
    let process = |mechanism: &str, how: &str| {
        of(mechanism).map_or_else(|_| String::new(), |process| format!(", {how} {}", told(process)))
    };
    Ok(format!(
        "A thread costs {} to make and to end{}{}, an async task (tokio) {}.",
        told(thread),
        process("creation/fork", "a copy of the measuring process (fork)"),
        process("creation/posix_spawn", "a process of a small program (posix_spawn)"),
        told(task)
    ))
}

fn keeping(facts: &Facts) -> Result<String, Silence> {
    let of = |mechanism: &str| {
        facts.get(mechanism, Placement::SameCpu).or_else(|_| facts.get(mechanism, Placement::Unpinned))
    };
    let (thread, task) = (of("footprint/thread")?, of("footprint/tokio_task")?);
    let process =
        of("footprint/process").map_or_else(|_| String::new(), |process| format!(", a process {}", told(process)));
    Ok(format!(
        "While it waits, a thread holds {} of memory, including the kernel's{process}, an async task (tokio) {}.",
        told(thread),
        told(task)
    ))
}

fn after_call(facts: &Facts) -> Result<String, Silence> {
    let lost = |mechanism: &str| {
        let benchmark = facts.get(mechanism, Placement::SameCpu)?;
        scalar(benchmark, &MetricKey::LostAfterCall)
    };
    let (call, handoff) = (lost("after_syscall/getppid")?, lost("after_syscall/handoff")?);
    // What the control shows is no loss: there is no call in it.
    let (control, interval) = lost("after_syscall/nothing")?;
    let noise = interval.map_or(control.abs(), |(low, high)| low.abs().max(high.abs()));
    let words = |(value, interval): (f64, Option<(f64, f64)>)| {
        let least = interval.map_or(value, |(low, _)| low);
        let ends = interval
            .map_or_else(String::new, |(low, high)| format!(" ({} to {})", text::nanos(low), text::nanos(high)));
        if least > noise {
            format!("{}{ends}", text::nanos(value))
        } else {
            "no time that stands out from noise".into()
        }
    };
    Ok(format!(
        "Code that uses its whole L1 cache loses {} after a system call that does next to nothing, and {} after a \
         handoff.",
        words(call),
        words(handoff)
    ))
}

fn files(facts: &Facts) -> Result<String, Silence> {
    let polled = facts.get("file/poll", Placement::SameCpu)?;
    let (ready, _) = scalar(polled, &MetricKey::ReadyAtOnce)?;
    let blocked = |mechanism: &str| {
        let benchmark = facts.get(mechanism, Placement::SameCpu)?;
        distribution(benchmark, &MetricKey::Submission).map(|times| text::nanos(times.quantile(0.5) as f64))
    };
    let (inline, ring) = (blocked("file/inline")?, blocked("file/uring")?);
    Ok(format!(
        "poll says that a regular file is ready {} of the time although none of it is in memory. The read then blocks \
         the event loop for {inline}; submitting the read to io_uring blocks it for {ring} (medians).",
        text::percent(ready)
    ))
}

fn timers(facts: &Facts) -> Result<String, Silence> {
    let late = |mechanism: &str| {
        let benchmark = facts.get(mechanism, Placement::SameCpu)?;
        distribution(benchmark, &MetricKey::Lateness)
    };
    let sleep = late("wakeup/timer_nanosleep")?;
    let at = |values: &crate::terms::ValueHistogram, share: f64| text::nanos(values.quantile(share) as f64);
    let mut sentence = format!(
        "A thread that sleeps for a given time wakes a median of {} late, and one time in a hundred {} or more",
        at(sleep, 0.5),
        at(sleep, 0.99)
    );
    if let Ok(timer) = late("wakeup/timer_timerfd") {
        sentence.push_str(&format!("; a timerfd, to which the kernel adds no slack, is {} late", at(timer, 0.5)));
    }
    Ok(sentence + ".")
}

/// The answers as lines of at most `width` columns: a sentence each under its question, and below them what could not
/// be said.
pub fn answers_text(answers: &Answers, width: usize) -> String {
    let mut out = Vec::new();
    for answer in &answers.said {
        out.push(wrapped(&format!("{}: {}", text::capitalised(answer.question), answer.sentence), width));
    }
    for unsaid in &answers.unsaid {
        out.push(wrapped(&unsaid.described(), width));
    }
    if !answers.not_asked.is_empty() && !answers.said.is_empty() {
        let questions: Vec<String> = answers.not_asked.iter().map(|question| (*question).to_string()).collect();
        out.push(wrapped(&format!("Not measured in this run: {}.", text::list(&questions)), width));
    }
    out.join("\n")
}

/// `text` in lines of at most `width` characters; lines after the first are indented.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::from("-")];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + 1 + word.chars().count() > width && line > 1 {
            lines.push(String::from(" "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}
