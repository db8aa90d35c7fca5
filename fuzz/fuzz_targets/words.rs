//! What users type: lists of CPUs and of events, times.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchcost::harness::rounds::duration;
use switchcost::pmu::Event;
use switchcost::units::{cpu_list, parse_cpu_list};

fuzz_target!(|text: &str| {
    if let Some(cpus) = parse_cpu_list(text) {
        assert!(cpus.len() <= 8192);
        assert_eq!(parse_cpu_list(&cpu_list(&cpus)).map(|again| cpu_list(&again)), Some(cpu_list(&cpus)));
    }
    if let Ok(events) = Event::parse_list(text) {
        for event in events {
            assert_eq!(event.to_string().parse::<Event>().ok().as_ref(), Some(&event), "{event}");
        }
    }
    let _ = duration(text);
});
