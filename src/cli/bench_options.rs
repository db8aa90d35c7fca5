//! The options of `cargo bench`: ours, which are those of the verbs, and what we must know of Criterion's.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use serde::{Deserialize, Serialize};

use super::filter::ExcludeArgs;
use super::options::{CountingArgs, SettingArgs, UsageError, in_one_line};
use crate::harness::Mode;

/// Our options.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub(super) struct BenchOptions {
    #[command(flatten)]
    pub(super) setting: SettingArgs,
    #[command(flatten)]
    pub(super) counting: CountingArgs,
    #[command(flatten)]
    pub(super) excluded: ExcludeArgs,
    /// Measure every mechanism in every placement, where neither a filter nor --placement names some
    #[arg(long)]
    #[serde(default)]
    pub(super) all: bool,
    /// Where the record goes (default target/switchcost/<start of cargo>)
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// The filters: Criterion takes one, and finds it elsewhere than ours.
    #[arg(skip)]
    #[serde(default)]
    pub(super) filters: Vec<String>,
    /// The command line as given, when this process was started over without its options.
    #[arg(skip)]
    #[serde(default)]
    pub(super) argv: Vec<String>,
}

/// Our options as clap knows them.
pub(super) fn command() -> Command {
    let bare = Command::new("cargo bench --").no_binary_name(true).disable_help_flag(true).disable_version_flag(true);
    // A script appends what is to hold to what it has: of an option that is given twice the last one counts.
    BenchOptions::augment_args(bare).args_override_self(true).max_term_width(100).help_template("{options}")
}

/// What `cargo bench -- --help` prints before Criterion's own help.
pub(super) fn help() -> String {
    format!(
        "switchcost's own options, besides Criterion's:\n{}\nThere may be several filters: an id has to match one of \
         them, as for `switchcost run`.\nWith Criterion's --quick, and neither a filter nor --placement, each \
         mechanism is measured in one placement only; without --quick, those benchmarks that answer the usual \
         questions.\nCriterion's own text and pages come with --verbose, and with a baseline to compare with.\n",
        command().render_help()
    )
}

/// Parts our options from Criterion's.
pub(super) fn split(arguments: &[String]) -> Result<(BenchOptions, Vec<String>), UsageError> {
    let command = command();
    let named = |name: &str| {
        let long = name.strip_prefix("--")?;
        command.get_arguments().find(|own| own.get_long() == Some(long))
    };
    let takes_value = |own: &Arg| matches!(own.get_action(), ArgAction::Set | ArgAction::Append);
    let (mut own, mut rest) = (Vec::new(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, attached) = argument.split_once('=').map_or((argument.as_str(), None), |(n, v)| (n, Some(v)));
        match named(name) {
            None => rest.push(argument.clone()),
            // Attached, so that a value may begin with a dash.
            Some(option) if takes_value(option) => {
                let value = attached.or_else(|| arguments.next().map(String::as_str));
                own.push(format!("{name}={}", value.ok_or_else(|| UsageError::NoValue(name.into()))?));
            }
            Some(_) => own.push(argument.clone()),
        }
    }
    let matches = command.try_get_matches_from(own).and_then(|matches| BenchOptions::from_arg_matches(&matches));
    let mut options = matches.map_err(|told| UsageError::Unknown(in_one_line(&told)))?;
    let places = filter_places(&rest);
    if !places.is_empty() {
        // From the last on, so that the places before it stay what they are.
        options.filters = places.into_iter().rev().map(|place| rest.remove(place)).collect();
        options.filters.reverse();
    }
    Ok((options, rest))
}

/// What we must know of Criterion's options.
#[derive(Debug, PartialEq)]
pub(super) struct CriterionOptions {
    /// The words that are no option and no option's value.
    pub(super) filters: Vec<String>,
    pub(super) exact: bool,
    pub(super) quick: bool,
    pub(super) mode: Mode,
    /// Whether this is a test run, which `cargo bench` is not: `cargo test --benches`.
    pub(super) tests: bool,
    /// Whether its own text is asked for: by name, or by an option whose answer stands in it.
    pub(super) output: bool,
}

/// The numbers that Criterion takes, with the least that it accepts; it would panic below.
const NUMBERS: [(&str, f64, f64); 7] = [
    ("--sample-size", 10.0, 1e5),
    ("--warm-up-time", 1e-9, 1e9),
    ("--measurement-time", 1e-9, 1e9),
    ("--nresamples", 1.0, 1e9),
    ("--noise-threshold", 0.0, 1e9),
    ("--confidence-level", 1e-9, 1.0 - 1e-9),
    ("--significance-level", 1e-9, 1.0 - 1e-9),
];

/// Refuses the numbers that Criterion would panic on.
pub(super) fn check_numbers(rest: &[String]) -> Result<(), UsageError> {
    for (index, argument) in rest.iter().enumerate() {
        let (name, attached) = argument.split_once('=').map_or((argument.as_str(), None), |(n, v)| (n, Some(v)));
        let Some((_, least, most)) = NUMBERS.iter().find(|(number, ..)| *number == name) else { continue };
        let given = attached.or_else(|| rest.get(index + 1).map(String::as_str)).unwrap_or_default();
        // Counts are whole numbers; a fraction of a sample makes Criterion panic.
        let whole = *least < 1.0 || given.parse::<u64>().is_ok();
        if !whole || !given.parse::<f64>().is_ok_and(|value| (*least..=*most).contains(&value)) {
            let bound = match *least {
                least if least >= 1.0 => format!("from {least} to {most}, whole"),
                _ if *most < 1.0 => "between 0 and 1".into(),
                _ => "above 0".into(),
            };
            return Err(UsageError::Unknown(format!("{name} {given}: it is a number {bound}")));
        }
    }
    Ok(())
}

/// Criterion's options that take a value (its `configure_from_args`): what follows them is no filter.
const WITH_VALUE: [&str; 18] = [
    "-c",
    "--color",
    "-s",
    "--save-baseline",
    "-b",
    "--baseline",
    "--baseline-lenient",
    "--format",
    "--profile-time",
    "--load-baseline",
    "--sample-size",
    "--warm-up-time",
    "--measurement-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--plotting-backend",
];

/// Criterion's options whose answer is Criterion's own text or pages.
const WITH_TEXT: [&str; 9] = [
    "-v",
    "--verbose",
    "-b",
    "--baseline",
    "--baseline-lenient",
    "--load-baseline",
    "--format",
    "--output-format",
    "--plotting-backend",
];

/// What of Criterion's options decides what we do.
pub(super) fn criterion_options(rest: &[String]) -> CriterionOptions {
    let has = |name: &str| rest.iter().any(|argument| argument.split('=').next() == Some(name));
    // `cargo bench` passes `--bench`. Without it, under `cargo test` and cargo-nextest, a target is run as a test.
    let tests = !has("--bench");
    let mode = match () {
        () if has("--list") => Mode::List,
        () if has("--test") || tests => Mode::Test,
        () if has("--profile-time") => Mode::Profile,
        () if has("--load-baseline") => Mode::DryRun,
        () => Mode::Measure,
    };
    let filters = filter_places(rest).into_iter().map(|place| rest[place].clone()).collect();
    let output = WITH_TEXT.iter().any(|option| has(option));
    CriterionOptions { filters, exact: has("--exact"), quick: has("--quick"), mode, tests, output }
}

/// Where in `rest` the filters stand.
fn filter_places(rest: &[String]) -> Vec<usize> {
    let takes_value = |argument: &String| WITH_VALUE.contains(&argument.as_str()) || argument == "--output-format";
    let is_value = |place: usize| place > 0 && takes_value(&rest[place - 1]);
    (0..rest.len()).filter(|&place| !rest[place].starts_with('-') && !is_value(place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_string).collect()
    }

    fn parted(line: &str) -> (BenchOptions, String) {
        let (options, rest) = split(&words(line)).unwrap();
        (options, rest.join(" "))
    }

    #[test]
    fn our_options_are_taken_out_and_criterions_stay_in_order() {
        let (options, rest) = parted(
            "--bench --set tasks=64 brigade/thread --placement=same-cpu,unpinned --sample-size 10 --idle poll \
             --events=cache-misses --set transport=socketpair --no-audit --no-counters --out /tmp/x --save-baseline a",
        );
        assert_eq!(rest, "--bench --sample-size 10 --save-baseline a");
        assert_eq!(options.filters, ["brigade/thread"]);
        assert_eq!(options.setting.set, ["tasks=64", "transport=socketpair"]);
        assert_eq!(options.setting.placement.as_deref(), Some("same-cpu,unpinned"));
        assert_eq!(
            (options.setting.idle.as_deref(), options.counting.events.as_deref()),
            (Some("poll"), Some("cache-misses"))
        );
        assert_eq!(
            (options.counting.no_audit, options.counting.no_counters, options.out),
            (true, true, Some("/tmp/x".into()))
        );
        let (options, rest) = parted("--bench --baseline a");
        assert_eq!((options, rest.as_str()), (BenchOptions::default(), "--bench --baseline a"));
    }

    #[test]
    fn an_attached_value_may_hold_an_equals_sign() {
        let (options, _) = parted("--set=tasks=64");
        assert_eq!(options.setting.set, ["tasks=64"]);
    }

    #[test]
    fn an_option_without_its_value_is_refused() {
        for line in ["--set", "brigade --placement", "--out"] {
            assert!(matches!(split(&words(line)), Err(UsageError::NoValue(_))), "{line}");
        }
    }

    #[test]
    fn our_options_survive_the_second_start() {
        let (options, _) = parted("--set tasks=64 --idle poll --cpus 0 --out x --no-audit a --exclude c b");
        assert_eq!(options.filters, ["a", "b"]);
        let carried: BenchOptions = serde_json::from_str(&serde_json::to_string(&options).unwrap()).unwrap();
        assert_eq!(carried, options);
    }

    #[test]
    fn filters_are_the_words_that_are_no_options_value() {
        let filters = |line: &str| criterion_options(&words(line)).filters;
        assert_eq!(filters("--bench --save-baseline a brigade/mio --noplot later"), ["brigade/mio", "later"]);
        assert_eq!(filters("--bench --save-baseline=a --sample-size 10"), [""; 0]);
        assert_eq!(filters("-b main -- x"), ["x"]);
        for option in WITH_VALUE {
            assert_eq!(filters(&format!("{option} value")), [""; 0], "{option}");
        }
    }

    #[test]
    fn filters_are_ours_alone_because_criterion_would_find_them_elsewhere() {
        let (options, rest) = parted("--bench --save-baseline a handoff --exclude futex");
        assert_eq!(rest, "--bench --save-baseline a");
        assert_eq!((options.filters, options.excluded.exclude), (vec!["handoff".into()], vec!["futex".to_string()]));
        let (options, rest) = parted("--bench handoff --exclude futex -b a brigade --exclude=mio syscall");
        assert_eq!(rest, "--bench -b a");
        assert_eq!(options.filters, ["handoff", "brigade", "syscall"]);
        assert_eq!(options.excluded.exclude, ["futex", "mio"]);
    }

    #[test]
    fn our_options_have_names_of_their_own() {
        let ours = command();
        let names: Vec<&str> = ours.get_arguments().filter_map(Arg::get_long).collect();
        assert!(names.len() > 8, "{names:?}");
        let theirs = ["exact", "quick", "list", "test", "bench", "ignored", "discard-baseline", "noplot", "quiet"];
        let clash = |name: &&str| theirs.contains(name) || WITH_VALUE.contains(&format!("--{name}").as_str());
        assert_eq!(names.into_iter().find(clash), None);
        let told = split(&words("--slice-us soon")).unwrap_err().to_string();
        assert!(told.contains("'soon' for '--slice-us <N>'") && told.lines().count() == 1, "{told}");
    }

    #[test]
    fn numbers_that_criterion_would_panic_on_are_refused() {
        let refused = |line: &str| check_numbers(&words(line)).unwrap_err().to_string();
        assert!(check_numbers(&words("--sample-size 10 --nresamples=1000 --noise-threshold 0.05")).is_ok());
        for line in ["--sample-size 10.5", "--sample-size=10.5", "--sample-size 9", "--nresamples 1e3", "--sample-size"]
        {
            assert!(refused(line).contains("whole"), "{line}: {}", refused(line));
        }
        for line in ["--confidence-level 1", "--warm-up-time 0", "--measurement-time NaN", "--noise-threshold=-1"] {
            assert!(refused(line).contains("it is a number"), "{line}: {}", refused(line));
        }
    }

    /// As Criterion's targets do, and test runners expect.
    #[test]
    fn without_bench_a_target_is_run_as_a_test() {
        for (line, mode) in [
            ("", Mode::Test),
            ("--nocapture brigade", Mode::Test),
            ("--profile-time 5", Mode::Test),
            ("--list --format terse", Mode::List),
            ("--list --format terse --ignored", Mode::List),
            ("brigade/thread/same-cpu --exact --nocapture", Mode::Test),
        ] {
            let options = criterion_options(&words(line));
            assert_eq!((options.mode, options.tests), (mode, true), "{line}");
        }
        assert!(!criterion_options(&words("--bench --test")).tests);
    }

    #[test]
    fn criterions_text_comes_where_it_is_the_answer() {
        let output = |line: &str| criterion_options(&words(line)).output;
        assert!(!output("--bench handoff/ --save-baseline a --quick"));
        for line in
            ["--bench --verbose", "--bench -v", "--bench -b a", "--bench --baseline=a", "--output-format bencher"]
        {
            assert!(output(line), "{line}");
        }
    }

    #[test]
    fn modes_are_read() {
        let mode = |line: &str| criterion_options(&words(line)).mode;
        assert_eq!(mode("--bench brigade"), Mode::Measure);
        assert_eq!(mode("--bench --test"), Mode::Test);
        assert_eq!(mode("--list --bench"), Mode::List);
        assert_eq!(mode("--bench --load-baseline a"), Mode::DryRun);
        assert_eq!(mode("--bench --profile-time=5"), Mode::Profile);
        assert!(criterion_options(&words("--exact brigade/thread/same-cpu")).exact);
        assert!(
            criterion_options(&words("--bench --quick")).quick && !criterion_options(&words("--bench quick")).quick
        );
    }
}
