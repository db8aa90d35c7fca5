//! The tree over a `/proc` that is made by hand.

use super::*;

/// A `/proc` in which processes and threads are put by hand.
struct FakeProc(tempfile::TempDir);

impl FakeProc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A process that began at `start`, with its CPU time and that of its children in ticks.
    fn process(&self, process: i32, parent: i32, start: u64, ticks: [u64; 3]) {
        let [user, system, waited] = ticks;
        let threads = std::fs::read_dir(self.0.path().join(format!("{process}/task"))).map_or(0, Iterator::count);
        let stat = format!(
            "{process} (web) S {parent} 1 1 0 -1 0 0 0 0 0 {user} {system} {waited} 0 20 0 {threads} 0 {start} 0 0 0"
        );
        self.write(&format!("{process}/stat"), &stat);
    }

    fn thread(&self, process: i32, thread: i32, schedstat: [u64; 3], switches: [u64; 2]) {
        let [ran, waited, arrivals] = schedstat;
        let [voluntary, involuntary] = switches;
        let folder = format!("{process}/task/{thread}");
        self.write(&format!("{folder}/schedstat"), &format!("{ran} {waited} {arrivals}\n"));
        let status = format!(
            "Name:\tweb\nCpus_allowed_list:\t0-1\nvoluntary_ctxt_switches:\t{voluntary}\n\
             nonvoluntary_ctxt_switches:\t{involuntary}\n"
        );
        self.write(&format!("{folder}/status"), &status);
    }

    fn remove(&self, path: &str) {
        std::fs::remove_dir_all(self.0.path().join(path)).unwrap();
    }

    fn tree(&self) -> ProcessTree {
        // None is kept: a file of a temporary folder can be read when it is gone, one of `/proc` cannot.
        ProcessTree::new(self.0.path(), 10, 0)
    }
}

/// The length of a tick: 10 ms where there are 100 in a second.
fn ticks(tree: &ProcessTree, count: u64) -> u64 {
    count * tree.tick
}

#[test]
fn what_was_done_before_is_not_counted() {
    let files = FakeProc::new();
    files.thread(10, 10, [5_000, 100, 7], [6, 1]);
    files.process(10, 1, 50, [20, 30, 40]);
    let mut tree = files.tree();
    assert_eq!(tree.scan(None), ScanDelta::default());
    files.thread(10, 10, [9_000, 150, 10], [8, 2]);
    files.process(10, 1, 50, [21, 32, 40]);
    let did = ThreadDelta { ran: 4_000, waited: 50, voluntary: 2, involuntary: 1 };
    assert_eq!(tree.scan(None), ScanDelta { cpu: ticks(&tree, 3), threads: did, active: 1 });
    assert_eq!(tree.ticks, (1, 2));
    assert_eq!(tree.scan(None), ScanDelta::default());
}

#[test]
fn children_of_children_are_found_and_strangers_are_not() {
    let files = FakeProc::new();
    for (process, parent) in [(10, 1), (11, 12), (12, 10), (13, 1), (14, 13)] {
        files.thread(process, process, [0, 0, 0], [0, 0]);
        files.process(process, parent, 50, [0, 0, 0]);
    }
    let mut tree = files.tree();
    tree.scan(None);
    assert_eq!(tree.processes().collect::<Vec<i32>>(), [10, 11, 12]);
    files.thread(15, 15, [700, 0, 1], [1, 0]);
    files.process(15, 11, 60, [1, 0, 0]);
    let delta = tree.scan(None);
    assert_eq!((delta.cpu, delta.threads.ran), (ticks(&tree, 1), 700), "all of a new process counts");
    assert_eq!((tree.processes_seen, tree.threads_begun, tree.threads_peak), (4, 1, 4));
}

#[test]
fn a_child_that_lived_between_two_scans_is_in_its_parents_count() {
    let files = FakeProc::new();
    files.thread(10, 10, [0, 0, 0], [0, 0]);
    files.process(10, 1, 50, [0, 0, 8]);
    let mut tree = files.tree();
    tree.scan(None);
    files.process(10, 1, 50, [0, 0, 10]);
    assert_eq!(tree.scan(None).cpu, ticks(&tree, 2));
}

#[test]
fn a_child_that_was_seen_is_not_counted_again_when_it_is_waited_for() {
    let files = FakeProc::new();
    for (process, parent, used) in [(10, 1, 0), (11, 10, 5)] {
        files.thread(process, process, [0, 0, 0], [0, 0]);
        files.process(process, parent, 50, [used, 0, 0]);
    }
    let mut tree = files.tree();
    tree.scan(None);
    files.process(11, 10, 50, [9, 0, 0]);
    assert_eq!(tree.scan(None).cpu, ticks(&tree, 4));
    // It used one more, and ended.
    files.remove("11");
    files.process(10, 1, 50, [0, 0, 10]);
    assert_eq!(tree.scan(None).cpu, ticks(&tree, 1));
    assert!(tree.is_alive());
}

#[test]
fn threads_come_and_go() {
    let files = FakeProc::new();
    files.thread(10, 10, [0, 0, 0], [0, 0]);
    files.thread(10, 20, [10, 0, 1], [3, 0]);
    files.process(10, 1, 50, [0, 0, 0]);
    let mut tree = files.tree();
    tree.scan(None);
    files.thread(10, 20, [20, 0, 2], [5, 0]);
    tree.scan(None);
    files.remove("10/task/20");
    files.thread(10, 21, [30, 0, 4], [4, 0]);
    // Their number is the same: that one has ended is known when it is read.
    files.process(10, 1, 50, [0, 0, 0]);
    tree.scan(None);
    let delta = tree.scan(None);
    assert_eq!((delta.threads.voluntary, tree.threads_begun), (4, 1));
    assert_eq!((tree.ended[0].thread, tree.ended[0].total.voluntary), (20, 2));
}

#[test]
fn a_number_that_another_process_has_now_belongs_to_one_that_ended() {
    let files = FakeProc::new();
    files.thread(10, 10, [0, 0, 0], [0, 0]);
    files.process(10, 1, 50, [0, 0, 0]);
    let mut tree = files.tree();
    tree.scan(None);
    files.process(10, 1, 51, [900, 0, 0]);
    assert_eq!(tree.scan(None).cpu, 0);
    assert!(!tree.is_alive());
    assert_eq!(tree.take_changes(Nanos(7))[0].kind, ChangeKind::Exit);
}

#[test]
fn another_program_and_a_stop_are_changes() {
    let files = FakeProc::new();
    files.thread(10, 10, [0, 0, 0], [0, 0]);
    let stat = |state: char, name: &str, image: u64| {
        let text = format!("10 ({name}) {state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 50 0 0 0 {image} 0 {image} 0");
        files.write("10/stat", &text);
    };
    stat('S', "sh", 4096);
    let mut tree = files.tree();
    tree.scan(None);
    // A name alone is one that the process has given itself.
    stat('S', "sh: idle", 4096);
    tree.scan(None);
    assert_eq!(tree.take_changes(Nanos(1)), []);
    stat('T', "nginx", 8192);
    tree.scan(None);
    stat('S', "nginx", 8192);
    tree.scan(None);
    let told: Vec<String> = tree.take_changes(Nanos(9)).into_iter().map(|change| change.what).collect();
    let expected =
        ["process 10 became nginx (it was sh: idle)", "process 10 was stopped by a signal", "process 10 goes on"];
    assert_eq!(told, expected);
}

#[test]
fn many_threads_are_read_by_turns_and_none_is_left_out() {
    let files = FakeProc::new();
    (10..74).for_each(|thread| files.thread(10, thread, [0, 0, 0], [0, 0]));
    files.process(10, 1, 50, [0, 0, 0]);
    let mut tree = files.tree();
    tree.scan(None);
    (10..74).for_each(|thread| files.thread(10, thread, [1, 0, 1], [1, 0]));
    let by_turns: Vec<u64> = (0..5).map(|_| tree.scan(Some(Duration::ZERO)).active).collect();
    assert_eq!(by_turns.iter().sum::<u64>(), 64, "{by_turns:?}");
    assert!(tree.read_by_turns && by_turns[0] < 64, "{by_turns:?}");
}

#[test]
fn no_more_descriptors_are_kept_than_are_left() {
    let files = FakeProc::new();
    (10..40).for_each(|thread| files.thread(10, thread, [0, 0, 0], [0, 0]));
    files.process(10, 1, 50, [0, 0, 0]);
    let mut tree = ProcessTree::new(files.0.path(), 10, 12);
    tree.scan(None);
    (10..40).for_each(|thread| files.thread(10, thread, [1, 0, 1], [1, 0]));
    assert_eq!(tree.scan(None).threads.voluntary, 30);
    let kept: usize = tree.threads().values().map(WatchedThread::descriptors).sum();
    assert!(kept < 12 && tree.descriptors_left() + kept + 1 == 12, "{kept} {}", tree.descriptors_left());
}
