//! Events that a PMU describes in `/sys/bus/event_source/devices`.
//!
//! `perf-event2`'s `Dynamic` wants a value for every field of a PMU and refuses a field of several bit ranges
//! (`config:0-7,32-35`, which is `event` on every AMD processor), so the format is read here.
//!
//! Source: Documentation/ABI/testing/sysfs-bus-event_source-devices-format and -events.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use perf_event::Builder;
use perf_event::events::Raw;

use super::{EventScale, SysRoot};
use crate::terms::Shortfall;

/// One term between the slashes: `event=0xc0`, a flag (`edge`) or the name of an event the PMU describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    name: String,
    value: Option<u64>,
}

/// A PMU as its directory describes it.
pub(super) struct Pmu {
    name: String,
    directory: PathBuf,
    kind: u32,
    formats: BTreeMap<String, Field>,
}

/// Where a term's value goes: bit *i* of the value to the *i*-th bit that is set in `mask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    word: usize,
    mask: u64,
}

/// What `perf_event_attr` needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Encoding {
    kind: u32,
    /// `config`, `config1`, `config2`, `config3`.
    words: [u64; 4],
    pub(super) scale: Option<EventScale>,
}

/// Why an event cannot be had from sysfs, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SysfsFault {
    why: String,
    remedy: String,
}

impl SysfsFault {
    fn new(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: remedy.into() }
    }

    pub(super) fn not_counted(self, event: String) -> Shortfall {
        Shortfall { what: event, why: self.why, remedy: self.remedy }
    }
}

/// Whether `text` can be the name of a file in the directory it is looked up in.
pub(super) fn is_file_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(allowed)
}

impl FromStr for Term {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(number(value).ok_or_else(|| format!("'{value}' is not a number"))?)),
            None => (text, None),
        };
        match name {
            "" => Err("an empty term".into()),
            name if !is_file_name(name) => Err(format!("'{name}' cannot be a term")),
            name => Ok(Self { name: name.to_owned(), value }),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{}={value:#x}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // from_str_radix takes a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

impl Pmu {
    /// Reads the PMU's directory. Fields in words this version does not know are left out: only their users
    /// must miss them.
    pub(super) fn load(root: &SysRoot, name: &str) -> Result<Self, SysfsFault> {
        let directory = root.event_sources().join(name);
        let kind_file = directory.join("type");
        let Ok(kind) = std::fs::read_to_string(&kind_file) else {
            let there_are = file_names(&root.event_sources()).join(", ");
            return Err(SysfsFault::new(
                format!("this machine has no PMU '{name}'"),
                format!("choose one of {there_are}; others need their driver loaded, or a machine that has them"),
            ));
        };
        let kind = kind.trim().parse().map_err(|_| unreadable(&kind_file, &kind))?;
        let mut formats = BTreeMap::new();
        for field in file_names(&directory.join("format")) {
            let path = directory.join("format").join(&field);
            let text = read(&path)?;
            formats.extend(Field::parse(&text).map(|parsed| (field, parsed)));
        }
        Ok(Self { name: name.to_owned(), directory, kind, formats })
    }

    /// This PMU, unless it counts packages or memory controllers: those have a `cpumask` and refuse tasks.
    pub(super) fn refuse_system_wide(self) -> Result<Self, SysfsFault> {
        if self.directory.join("cpumask").exists() {
            return Err(SysfsFault::new(
                format!("the PMU '{}' counts for a whole package, not for a task", self.name),
                "use `perf stat -a` beside the benchmark on an otherwise idle machine",
            ));
        }
        Ok(self)
    }

    /// The events the PMU names, without the files of their scales and units.
    pub(super) fn events(&self) -> Vec<String> {
        let mut events = file_names(&self.directory.join("events"));
        events.retain(|name| !name.contains('.'));
        events
    }

    /// That `name` in this PMU's directory cannot be asked for.
    pub(super) fn odd_event(&self, name: &str) -> SysfsFault {
        unreadable(&self.directory.join("events"), name)
    }

    /// The processors to open a system-wide event on: one for each thing it counts, as `cpumask` lists them.
    pub(super) fn cpus(&self) -> Result<Vec<crate::units::CpuId>, SysfsFault> {
        let path = self.directory.join("cpumask");
        let text = read(&path)?;
        crate::units::parse_cpu_list(&text).ok_or_else(|| unreadable(&path, &text))
    }

    /// Puts the terms' values where the PMU's format wants them.
    pub(super) fn encode(&self, terms: &[Term]) -> Result<Encoding, SysfsFault> {
        let mut encoding = Encoding { kind: self.kind, words: [0; 4], scale: None };
        for term in terms {
            let alias = self.directory.join("events").join(&term.name);
            if term.value.is_none() && alias.is_file() {
                self.encode_named(&alias, &mut encoding)?;
            } else {
                self.encode_term(term, &mut encoding)?;
            }
        }
        Ok(encoding)
    }

    fn encode_named(&self, alias: &Path, encoding: &mut Encoding) -> Result<(), SysfsFault> {
        let text = read(alias)?;
        for term in text.trim().split(',') {
            let term: Term = term.trim().parse().map_err(|fault: String| {
                // `param=?` marks a value the user has to give.
                let remedy = "spell the event out by its terms, with a value for each";
                SysfsFault::new(format!("{}: {fault}", alias.display()), remedy)
            })?;
            self.encode_term(&term, encoding)?;
        }
        encoding.scale = scale(alias)?.or(encoding.scale.take());
        Ok(())
    }

    fn encode_term(&self, term: &Term, encoding: &mut Encoding) -> Result<(), SysfsFault> {
        let whole_word = ["config", "config1", "config2", "config3"].iter().position(|word| *word == term.name);
        let whole_word = whole_word.map(|word| Field { word, mask: u64::MAX });
        let Some(field) = self.formats.get(&term.name).copied().or(whole_word) else {
            let fields: Vec<&str> = self.formats.keys().map(String::as_str).collect();
            return Err(SysfsFault::new(
                format!("the PMU '{}' has no term or event '{}'", self.name, term.name),
                format!("its terms are {}; its events {}", fields.join(", "), self.events().join(", ")),
            ));
        };
        let value = term.value.unwrap_or(1);
        let scattered = field.scatter(value).ok_or_else(|| {
            let bits = field.mask.count_ones();
            SysfsFault::new(
                format!("{value:#x} does not fit the {bits} bits of '{}'", term.name),
                "give a smaller value",
            )
        })?;
        encoding.words[field.word] = encoding.words[field.word] & !field.mask | scattered;
        Ok(())
    }
}

impl Field {
    /// `config1:0-7,32-35`, `config:23`. `None` for another form or word.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (word, ranges) = text.trim().split_once(':')?;
        let word = match word {
            "config" => 0,
            word => word.strip_prefix("config")?.parse().ok().filter(|word| (1..=3).contains(word))?,
        };
        let mut mask = 0;
        for range in ranges.split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let (low, high): (u32, u32) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            if low > high || high > 63 {
                return None;
            }
            mask |= (u64::MAX >> (63 - high)) & (u64::MAX << low);
        }
        Some(Self { word, mask })
    }

    /// The value's bits over the mask's, lowest first (`pmu_format_value` in tools/perf/util/pmu.c). `None` when
    /// the value has more bits than the mask.
    fn scatter(self, mut value: u64) -> Option<u64> {
        let mut scattered = 0;
        for bit in (0..64).filter(|bit| self.mask >> bit & 1 == 1) {
            scattered |= (value & 1) << bit;
            value >>= 1;
        }
        (value == 0).then_some(scattered)
    }
}

impl Encoding {
    /// A builder for this event, everything else as `perf-event2` sets it.
    pub(super) fn builder(&self) -> Builder<'static> {
        let [config, config1, config2, config3] = self.words;
        let mut builder = Builder::new(Raw::new(config).config1(config1).config2(config2));
        let attributes = builder.attrs_mut();
        attributes.type_ = self.kind;
        attributes.config3 = config3;
        builder
    }
}

/// The scale and unit beside an event's file: `events/energy-pkg.scale`. Both are optional.
fn scale(alias: &Path) -> Result<Option<EventScale>, SysfsFault> {
    let beside = |suffix: &str| {
        let mut path = alias.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let (factor_file, unit_file) = (beside(".scale"), beside(".unit"));
    let factor = match factor_file.exists() {
        false => None,
        true => {
            let text = read(&factor_file)?;
            let factor = text.trim().parse().ok().filter(|factor: &f64| factor.is_finite());
            Some(factor.ok_or_else(|| unreadable(&factor_file, &text))?)
        }
    };
    let unit = if unit_file.exists() { Some(read(&unit_file)?.trim().to_owned()) } else { None };
    Ok((factor.is_some() || unit.is_some())
        .then(|| EventScale { factor: factor.unwrap_or(1.0), unit: unit.unwrap_or_default() }))
}

/// The names in a directory, sorted; none when it cannot be read.
fn file_names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn read(path: &Path) -> Result<String, SysfsFault> {
    std::fs::read_to_string(path)
        .map_err(|error| SysfsFault::new(format!("{}: {error}", path.display()), "check the file's permissions"))
}

fn unreadable(path: &Path, text: &str) -> SysfsFault {
    let reason = format!("{}: '{}' is not what the kernel documents", path.display(), text.trim());
    SysfsFault::new(reason, "report it with the kernel's version")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(pmu: &str, terms: &str) -> Result<Encoding, SysfsFault> {
        let terms: Vec<Term> = terms.split(',').map(|term| term.parse().unwrap()).collect();
        Pmu::load(&SysRoot::fixture("amd-server"), pmu)?.encode(&terms)
    }

    #[test]
    fn values_go_where_the_format_says() {
        let encoding = encode("cpu", "event=0x1c7,umask=0x3,edge,ldlat=5").unwrap();
        assert_eq!(encoding.kind, 4);
        assert_eq!(encoding.words, [0x1_0004_03c7, 5 << 2, 0, 0], "event's high bits go to 32-35");
    }

    #[test]
    fn a_named_event_stands_for_its_terms_and_later_terms_override() {
        assert_eq!(encode("cpu", "retired-branches").unwrap().words[0], 0xc2);
        assert_eq!(encode("cpu", "retired-branches,umask=1").unwrap().words[0], 0x1c2);
        assert_eq!(encode("cpu", "config=0x12345").unwrap().words[0], 0x12345);
    }

    #[test]
    fn scale_and_unit_come_with_the_event() {
        let energy = encode("power", "energy-pkg").unwrap();
        assert_eq!(energy.scale, Some(EventScale { factor: 2.328_306_436_538_696_3e-10, unit: "Joules".into() }));
        assert_eq!((energy.kind, energy.words[0]), (21, 2));
    }

    #[test]
    fn system_wide_pmus_are_not_opened_on_tasks() {
        let power = Pmu::load(&SysRoot::fixture("amd-server"), "power").unwrap();
        assert_eq!(power.cpus().unwrap().len(), 2);
        assert!(power.refuse_system_wide().is_err_and(|fault| fault.why.contains("package")));
    }

    #[test]
    fn faults_name_what_there_is() {
        let fault = encode("cpu", "evnt=1").unwrap_err();
        assert!(fault.why.contains("'evnt'") && fault.remedy.contains("event, ldlat, umask"), "{fault:?}");
        let fault = encode("gpu", "x").unwrap_err();
        assert!(fault.why.contains("'gpu'") && fault.remedy.contains("cpu, power"), "{fault:?}");
        let fault = encode("cpu", "umask=0x100").unwrap_err();
        assert!(fault.why.contains("8 bits"), "{fault:?}");
        let fault = encode("cpu", "parameterised").unwrap_err();
        assert!(fault.why.contains("'?' is not a number"), "{fault:?}");
    }

    #[test]
    fn formats_are_read_or_left_out() {
        assert_eq!(Field::parse("config:0-63\n"), Some(Field { word: 0, mask: u64::MAX }));
        assert_eq!(Field::parse("config2:7"), Some(Field { word: 2, mask: 0x80 }));
        for wrong in ["", "config", "config4:0", "config:7-3", "config:0-64", "config:a", "configx:1", "config0:1"] {
            assert_eq!(Field::parse(wrong), None, "{wrong}");
        }
    }
}
