//! Names, terms and format files of any text.

use proptest::prelude::*;

use super::Event;
use super::sysfs::{Field, Pmu, Term};
use crate::pmu::SysRoot;

fn text() -> impl Strategy<Value = String> {
    let names = "(cycles|cs|L1-dcache|LLC|cpu/|event=|umask=0x|config:|config1:|sched:|r|:u|:k|,|/|=|0x|-|\
                 [0-9a-f]{1,20}|\\PC){0,8}";
    prop_oneof![
        names,
        "\\PC{0,60}",
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|b| String::from_utf8_lossy(&b).into())
    ]
}

proptest! {
    #[test]
    fn lists_of_events_are_read_or_refused_and_mean_what_they_print(text in text()) {
        if let Ok(events) = Event::parse_list(&text) {
            for event in events {
                prop_assert_eq!(event.to_string().parse::<Event>().ok(), Some(event));
            }
        }
        let _ = Field::parse(&text);
        if let Ok(term) = text.parse::<Term>() {
            prop_assert_eq!(term.to_string().parse::<Term>(), Ok(term));
        }
    }

    #[test]
    fn files_of_a_pmu_hold_anything(
        file in 0..6_usize, bytes in prop::collection::vec(any::<u8>(), 0..60), text in text()
    ) {
        let tree = tempfile::tempdir().unwrap();
        let pmu = tree.path().join("sys/bus/event_source/devices/cpu");
        let whole = [
            ("type", "4"), ("cpumask", "0-1"), ("format/event", "config:0-7,32-35"),
            ("events/ticks", "event=0x3c,umask=0x1"),
            ("events/ticks.scale", "1e-3"), ("events/ticks.unit", "s"),
        ];
        for (name, content) in whole {
            std::fs::create_dir_all(pmu.join(name).parent().unwrap()).unwrap();
            std::fs::write(pmu.join(name), content).unwrap();
        }
        // Once with bytes, once with text that is nearly right, and once naming itself: it would never end.
        for content in [&bytes[..], text.as_bytes(), b"ticks,ticks"] {
            std::fs::write(pmu.join(whole[file].0), content).unwrap();
            if let Ok(pmu) = Pmu::load(&SysRoot::fixture(tree.path().to_str().unwrap()), "cpu") {
                for terms in ["ticks", "event=0xfff", "config=1,ticks"] {
                    let terms: Vec<Term> = terms.split(',').map(|term| term.parse().unwrap()).collect();
                    let _ = (pmu.encode(&terms).map_err(|fault| fault.not_counted("x".into())), pmu.cpus());
                }
            }
        }
    }
}
