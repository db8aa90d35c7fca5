//! Pipelines over channels that lose, change and stop: the sink notices, and the driver hears of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use super::channel::{MessageChannel, connect};
use super::progress::STAMPED;
use super::stage::{SinkStage, SourceStage, transform};
use super::*;
use crate::crew::{Crew, Driver, InstanceConfig};
use crate::mechanism::{Mechanism, find, registry};
use crate::sys::affinity::allowed_cpus;
use crate::terms::{Placement, Setting, Value};
use crate::units::CpuId;

fn mechanisms() -> impl Iterator<Item = &'static dyn Mechanism> {
    registry().iter().copied().filter(|mechanism| mechanism.descriptor().group() == GROUP.name)
}

fn parameters(mechanism: &dyn Mechanism, chosen: &[(&str, &str)]) -> Parameters {
    let descriptor = mechanism.descriptor();
    chosen.iter().fold(descriptor.defaults(), |parameters, (name, value)| match descriptor.parameter(name) {
        Some(parameter) => parameters.with(parameter, parameter.parse(value).unwrap()),
        None => parameters,
    })
}

type SetUp = fn(&Parameters, &mut Crew) -> Result<Box<dyn Operation>, Failure>;

fn start(parameters: Parameters, set_up: SetUp) -> Driver {
    let cpus: Vec<CpuId> = allowed_cpus().unwrap();
    let setting = Setting::new(Placement::Unpinned, cpus, parameters.clone());
    let config =
        InstanceConfig { id: "pipeline/test".into(), setting, timeout: Duration::from_secs(60), marked: false };
    Driver::start(config, || Ok(()), move |crew| set_up(&parameters, crew)).unwrap()
}

fn start_mechanism(mechanism: &'static dyn Mechanism, chosen: &[(&str, &str)]) -> Driver {
    let parameters = parameters(mechanism, chosen);
    let cpus: Vec<CpuId> = allowed_cpus().unwrap();
    let setting = Setting::new(Placement::Unpinned, cpus, parameters.clone());
    let config =
        InstanceConfig { id: "pipeline/test".into(), setting, timeout: Duration::from_secs(60), marked: false };
    Driver::start(config, || Ok(()), move |crew| mechanism.set_up(&parameters, crew)).unwrap()
}

/// A channel in which something happens to message 5 of pipeline 1 on its way to the transform.
struct Altering<const HOW: u8>;

const PANIC: u8 = 0;
const LOSE: u8 = 1;
const CHANGE: u8 = 2;
const REPEAT: u8 = 3;
const COUNT: u8 = 4;

/// What sinks received over channels that count.
static RECEIVED: AtomicU64 = AtomicU64::new(0);

/// Gives way to other tasks until there is one. Not by blocking: on one thread no sender would run.
async fn next(receiver: &mut Receiver<Message>) -> Option<Message> {
    loop {
        match receiver.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => smol::future::yield_now().await,
        }
    }
}

impl<const HOW: u8> MessageChannel for Altering<HOW> {
    type Sender = SyncSender<Message>;
    /// With a message that is to come again.
    type Receiver = (Receiver<Message>, Option<Message>);

    fn open(_: Capacity) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = sync_channel(10_000);
        (sender, (receiver, None))
    }

    async fn send(sender: &mut Self::Sender, message: Message) -> bool {
        sender.send(message).is_ok()
    }

    async fn receive((receiver, again): &mut Self::Receiver) -> Option<Message> {
        if let Some(message) = again.take() {
            return Some(message);
        }
        let mut message = next(receiver).await?;
        if HOW == COUNT {
            RECEIVED.fetch_add(u64::from(message.transforms), Ordering::Relaxed);
            return Some(message);
        }
        if (message.pipeline, message.number, message.transforms) == (1, 5, 0) {
            match HOW {
                PANIC => panic!("boom"),
                LOSE => return next(receiver).await,
                CHANGE => message.text = message.text.replace("web-", "wed-"),
                _ => *again = Some(message.clone()),
            }
        }
        Some(message)
    }
}

/// Each way of running stages, with the parameters that choose it.
fn runners<C: MessageChannel>() -> [(&'static str, &'static str, SetUp); 5] {
    [
        ("pipeline/thread_std", "multi_thread", threads::set_up::<C>),
        ("pipeline/tokio_mpsc", "multi_thread", tasks::set_up_on_tokio::<C>),
        ("pipeline/tokio_mpsc", "current_thread", tasks::set_up_on_tokio::<C>),
        ("pipeline/smol_channel", "multi_thread", tasks::set_up_on_smol::<C>),
        ("pipeline/smol_channel", "current_thread", tasks::set_up_on_smol::<C>),
    ]
}

/// What the driver says of a batch of ten messages each, over channels of `C`, and then the end of the instance.
fn failures<C: MessageChannel>(work: &str) -> Vec<[String; 2]> {
    let of = |(id, runtime, set_up): (&str, &str, SetUp)| {
        let chosen = [("runtime", runtime), ("work", work), ("pipelines", "3")];
        let mut driver = start(parameters(find(id).unwrap(), &chosen), set_up);
        let batch = driver.run(30).unwrap_err().to_string();
        [batch, driver.stop().unwrap_err().to_string()]
    };
    runners::<C>().into_iter().map(of).collect()
}

#[test]
fn a_stage_that_panics_ends_the_instance_with_its_name() {
    for [batch, end] in failures::<Altering<PANIC>>("none") {
        assert_eq!(batch, "a task of pipeline 1's transform ended early: boom");
        assert_eq!(end, batch);
    }
}

#[test]
fn what_is_lost_changed_or_doubled_on_the_way_is_noticed_by_the_sink() {
    let lost = failures::<Altering<LOSE>>("none");
    let doubled = failures::<Altering<REPEAT>>("none");
    let changed = failures::<Altering<CHANGE>>("json");
    for (told, expected) in [
        (lost, "pipeline 1: message 6 arrived, through 1 transforms; message 5 through 1 was to come"),
        (doubled, "pipeline 1: message 5 arrived, through 1 transforms; message 6 through 1 was to come"),
        (changed, "pipeline 1: message 5 is not what was sent: `{"),
    ] {
        for [batch, _] in told {
            assert!(
                batch.starts_with("a task of pipeline 1's sink ended early: ") && batch.contains(expected),
                "{batch}"
            );
        }
    }
}

/// Nothing outside sees messages that make no system call.
#[test]
fn as_many_messages_arrive_as_told() {
    for (id, runtime, set_up) in runners::<Altering<COUNT>>() {
        for sink in ["each", "one"] {
            let chosen = [("runtime", runtime), ("pipelines", "3"), ("sink", sink)];
            let mut driver = start(parameters(find(id).unwrap(), &chosen), set_up);
            for messages in [6, 30, 300] {
                RECEIVED.store(0, Ordering::Relaxed);
                assert_eq!(driver.run(messages).unwrap().ops.0, messages);
                assert_eq!(RECEIVED.load(Ordering::Relaxed), messages, "{id} {runtime} {sink}");
            }
            driver.stop().unwrap();
        }
    }
}

#[test]
fn a_sink_that_has_not_all_at_the_end_says_so() {
    let shape =
        PipelineShape::of(&parameters(find("pipeline/thread_std").unwrap(), &[("sink", "one"), ("pipelines", "4")]));
    let progress = Arc::new(BatchProgress::new(&shape));
    let mut source = SourceStage::new(&shape, 2, &progress);
    let mut sink = SinkStage::new(&shape, 0, shape.pipelines, &progress);
    progress.begin(7);
    for _ in 0..6 {
        sink.take(&transform(shape.work, source.next().unwrap()).unwrap()).unwrap();
    }
    let _ = source.next().unwrap();
    progress.note_sent(2, 7);
    let told = sink.check_all().unwrap_err().to_string();
    assert_eq!(told, "pipeline 2: 7 messages were sent, and 6 had arrived at the end");
    progress.note_sent(2, 6);
    assert_eq!(sink.check_all(), Ok(()));
    let stranger = Message { pipeline: 9, ..Message::default() };
    assert!(sink.take(&stranger).unwrap_err().to_string().contains("another one's sink"));
    let skipped = Message { pipeline: 2, number: 6, ..Message::default() };
    assert!(sink.take(&skipped).unwrap_err().to_string().contains("through 0 transforms"));
}

/// The driver tells the sources to end while a batch is under way.
#[test]
fn an_end_in_the_middle_of_a_batch_loses_nothing() {
    const MESSAGES: u64 = 2000;
    let set_up: SetUp = |parameters, crew| {
        let shape = PipelineShape::of(parameters);
        let progress = Arc::new(BatchProgress::new(&shape));
        for (index, stage) in connect::<Altering<REPEAT>>(&shape, &progress, crew).into_iter().enumerate() {
            crew.spawn(index + 1, move |ready| {
                ready.signal();
                smol::future::block_on(stage.0);
                Ok(())
            })?;
        }
        crew.await_ready()?;
        Ok(Box::new(move |ops: u64| {
            let started = monotonic();
            progress.begin(ops);
            while progress.sent_so_far() < STAMPED {
                std::thread::yield_now();
            }
            progress.close();
            smol::future::block_on(progress.ended());
            let end = smol::future::block_on(progress.finished())?;
            assert_eq!(progress.sent(0), ops, "the batch was sent whole");
            Ok(Batch::lasting(Duration::from_nanos(end.0 - started.0), ops))
        }))
    };
    // One pipeline, whose messages nothing happens to.
    let mut driver = start(parameters(find("pipeline/thread_std").unwrap(), &[("pipelines", "1")]), set_up);
    assert_eq!(driver.run(MESSAGES).unwrap().ops.0, MESSAGES);
    driver.stop().unwrap();
}

/// The kernel's killer would end the process without a word.
#[test]
fn unbounded_channels_of_a_slow_sink_end_at_the_limit_that_is_stated() {
    let chosen = [("capacity", "unbounded"), ("queued_mib", "1"), ("sink_us", "50"), ("pipelines", "2")];
    for mechanism in mechanisms().filter(|mechanism| mechanism.descriptor().parameter("queued_mib").is_some()) {
        let mut driver = start_mechanism(mechanism, &chosen);
        let told = driver.run(60_000).unwrap_err().to_string();
        let queued = told.strip_prefix("messages in unbounded channels: ").and_then(|rest| rest.split(',').next());
        let queued: Option<u64> = queued.and_then(|number| number.parse().ok());
        // 1 MiB holds 21,845 messages of 48 bytes. Each of two sources looks at every 61st message.
        let at_the_limit = queued.is_some_and(|queued| (21_800..23_000).contains(&queued));
        assert!(at_the_limit, "{}: {told}", mechanism.descriptor().id);
        assert!(told.contains("more than queued_mib=1 allows; a sink is slower than its source: "), "{told}");
        assert_eq!(driver.stop().unwrap_err().to_string(), told);
    }
}

#[test]
fn bounded_channels_know_no_other_limit() {
    let chosen = [("capacity", "1"), ("queued_mib", "1")];
    let mut driver = start_mechanism(find("pipeline/thread_flume").unwrap(), &chosen);
    assert_eq!(driver.run(40_000).unwrap().ops.0, 40_000);
    let keys: Vec<MetricKey> = driver.metrics().unwrap().iter().map(|metric| metric.of().clone()).collect();
    assert_eq!(keys, [MetricKey::SourceToSink], "no queue, no document");
    driver.stop().unwrap();
}

#[test]
fn a_batch_tells_of_its_latencies_its_bytes_and_its_queue() {
    let number = |metrics: &[Metric], of: &MetricKey| {
        metrics.iter().find_map(|metric| match metric {
            Metric::Scalar(scalar) if scalar.of == *of => Some(scalar.value),
            Metric::Distribution(distribution) if distribution.of == *of => Some(distribution.values.count() as f64),
            _ => None,
        })
    };
    let chosen =
        [("capacity", "unbounded"), ("work", "json"), ("sink", "one"), ("document", "300"), ("pipelines", "4")];
    for mechanism in mechanisms() {
        let id = mechanism.descriptor().id;
        let mut driver = start_mechanism(mechanism, &chosen);
        let batches = [driver.run(4 * 122).unwrap(), driver.run(4 * 61).unwrap()];
        let metrics = driver.metrics().unwrap();
        assert_eq!(number(&metrics, &MetricKey::SourceToSink), Some(12.0), "{id}: one in 61");
        let nanos = (batches[0].amount.0 + batches[1].amount.0) as f64;
        let rate = number(&metrics, &MetricKey::DocumentBytesPerSecond).unwrap();
        assert!((rate / (4.0 * 183.0 * 300.0 / nanos * 1e9) - 1.0).abs() < 1e-6, "{id}: {rate}");
        let queued = number(&metrics, &MetricKey::MostQueued);
        match id {
            "pipeline/inline" => assert_eq!(queued, None),
            _ => assert!((61.0..=4.0 * 122.0).contains(&queued.unwrap()), "{id}: {queued:?}"),
        }
        assert_eq!(
            driver.metrics().unwrap().iter().filter(|metric| *metric.of() == MetricKey::SourceToSink).count(),
            0
        );
        driver.stop().unwrap();
    }
}

/// `work=none` is about channels: what crosses them is small and has nothing behind it.
#[test]
fn messages_without_work_hold_no_memory() {
    let shape = PipelineShape::of(&parameters(find("pipeline/thread_std").unwrap(), &[]));
    let progress = Arc::new(BatchProgress::new(&shape));
    let message = SourceStage::new(&shape, 0, &progress).next().unwrap();
    assert_eq!((message.text.capacity(), size_of::<Message>()), (0, 48));
}

#[test]
fn each_word_of_capacity_is_a_number_or_unbounded() {
    let Domain::Word { words } = CAPACITY.domain else { panic!("words") };
    let capacities: Vec<Capacity> = words
        .iter()
        .map(|word| {
            let descriptor = find("pipeline/thread_std").unwrap().descriptor();
            Capacity::of(&descriptor.defaults().with(&CAPACITY, Value::Word((*word).into())))
        })
        .collect();
    let bounded = [128, 0, 1, 16].map(Capacity::Bounded);
    assert_eq!(capacities, [bounded.as_slice(), &[Capacity::Unbounded]].concat());
}
