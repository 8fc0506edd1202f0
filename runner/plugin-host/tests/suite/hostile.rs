//! Plugins that do harm: each costs the record it was called for, with a reason, and nothing else.

use std::time::Instant;

use sentinel_core::stage::Fault;
use sentinel_domain::ports::{EngineError, Filter, Kept};
use sentinel_plugin_host::{Limits, PluginHost};

use crate::bench::{FILTER, MANIFEST, Made, filter, made, why};

/// A filter that does what the first byte of the first row says.
const MODULE: &str = r#"
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 65536))
    (global $calls (mut i32) (i32.const 0))
    (data (i32.const 1000) "\ff\fe")
    (data (i32.const 1010) "Not a word")
    (data (i32.const 1030) "said-no")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
        (global.set $next (i32.add (local.get $at) (local.get 3)))
        (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
            (then (drop (memory.grow (i32.const 64)))))
        (local.get $at))
    (func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))
    ;; Decisions stand at 2000, three words each: 0 keeps, 1 drops for the reason at a pointer with a length.
    (func $drop-for (param $at i32) (param $length i32)
        (i32.store (i32.const 2000) (i32.const 1))
        (i32.store (i32.const 2004) (local.get $at))
        (i32.store (i32.const 2008) (local.get $length)))
    (func (export "decide") (param i32 i32 i32 i32) (result i32)
        (local $what i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        ;; The result at 100: no error, so many decisions at 2000.
        (i32.store (i32.const 100) (i32.const 0))
        (i32.store (i32.const 104) (i32.const 2000))
        (i32.store (i32.const 108) (local.get 3))
        (if (i32.eqz (local.get 3)) (then (return (i32.const 100))))
        (local.set $what (i32.load8_u (i32.load (local.get 2))))
        (if (i32.eq (local.get $what) (i32.const 0x6c)) (then (loop $forever (br $forever))))                 ;; l
        (if (i32.eq (local.get $what) (i32.const 0x75)) (then unreachable))                                   ;; u
        (if (i32.eq (local.get $what) (i32.const 0x7a)) (then (drop (i32.div_u (i32.const 1) (i32.const 0))))) ;; z
        (if (i32.eq (local.get $what) (i32.const 0x64)) (then (drop (call $deep (i32.const 0)))))             ;; d
        (if (i32.eq (local.get $what) (i32.const 0x67)) (then (loop $more (drop (memory.grow (i32.const 256))) (br $more)))) ;; g
        (if (i32.eq (local.get $what) (i32.const 0x6f)) (then (drop (i32.load (i32.const -4)))))              ;; o
        (if (i32.eq (local.get $what) (i32.const 0x70)) (then (i32.store (i32.const 104) (i32.const -16))))   ;; p
        (if (i32.eq (local.get $what) (i32.const 0x62)) (then (i32.store (i32.const 108) (i32.const 0x10000000)))) ;; b
        (if (i32.eq (local.get $what) (i32.const 0x74)) (then (call $drop-for (i32.const 0) (i32.const 131072)))) ;; t
        (if (i32.eq (local.get $what) (i32.const 0x76)) (then (i32.store (i32.const 2000) (i32.const 7))))    ;; v
        (if (i32.eq (local.get $what) (i32.const 0x69)) (then (call $drop-for (i32.const 1000) (i32.const 2)))) ;; i
        (if (i32.eq (local.get $what) (i32.const 0x77)) (then (call $drop-for (i32.const 1010) (i32.const 10)))) ;; w
        (if (i32.eq (local.get $what) (i32.const 0x6e)) (then (i32.store (i32.const 108) (i32.const 0))))     ;; n
        (if (i32.eq (local.get $what) (i32.const 0x72)) (then                                                 ;; r
            (i32.store (i32.const 100) (i32.const 1)) (i32.store (i32.const 104) (i32.const 1))
            (i32.store (i32.const 108) (i32.const 1010)) (i32.store (i32.const 112) (i32.const 10))))
        (if (i32.eq (local.get $what) (i32.const 0x63)) (then                                                 ;; c
            (i32.store (i32.const 100) (i32.const 1)) (i32.store (i32.const 104) (i32.const 0))
            (i32.store (i32.const 108) (i32.const 1010)) (i32.store (i32.const 112) (i32.const 10))))
        ;; A second call in the same instance would say no.
        (if (i32.gt_u (global.get $calls) (i32.const 1)) (then (call $drop-for (i32.const 1030) (i32.const 7))))
        (i32.const 100))
"#;

fn limits() -> Limits {
    Limits { fuel: 10_000_000, fuel_a_row: 0, memory: 8 << 20, copied: 64 << 10 }
}

fn opened(limits: Limits) -> (Made, std::sync::Arc<dyn Filter>) {
    let plugin = made(&filter(MANIFEST, FILTER, MODULE));
    let opened = PluginHost::new(limits).unwrap().filter(&plugin.spec).unwrap();
    (plugin, opened)
}

fn outcome(answer: &Result<Vec<Kept>, Fault>) -> String {
    match answer {
        Ok(words) => format!("{words:?}"),
        Err(fault) => fault.reason.clone(),
    }
}

#[test]
fn harm_costs_one_record_and_has_a_reason() {
    let (_made, filter) = opened(limits());
    let table: [(&str, &str, &str); 15] = [
        ("kind", "[Yes]", ""),
        ("loop", "plugin-too-slow", "all fuel consumed"),
        ("unreachable", "plugin-trap", "unreachable"),
        ("zero", "plugin-trap", "divide by zero"),
        ("deep", "plugin-trap", "call stack exhausted"),
        ("grow", "plugin-too-large", "it wants 16908288 bytes of memory; 8388608 are the limit"),
        ("outside", "plugin-trap", "out of bounds"),
        ("pointer", "plugin-wrong-answer", "out of bounds"),
        ("big", "plugin-wrong-answer", "out of bounds"),
        ("text", "plugin-too-large", "fuel allocated for hostcalls"),
        ("variant", "plugin-wrong-answer", "discriminant"),
        ("invalid", "plugin-wrong-answer", "utf-8"),
        ("word", "plugin-refused", "`Not a word` is no reason"),
        ("none", "plugin-refused", "1 rows were asked about and 0 decided"),
        ("refuse", "plugin-refused", "Not a word"),
    ];
    let units: Vec<Vec<&str>> = table.iter().map(|(row, ..)| vec![*row]).collect();
    let answers = filter.keep("{}", &units).unwrap();
    for ((row, expected, part), answer) in table.iter().zip(&answers) {
        let detail = answer.as_ref().err().map_or("", |fault| &fault.detail);
        assert_eq!(outcome(answer), *expected, "{row}: {detail}");
        assert!(detail.contains(part), "{row}: {detail}");
    }
    // Alone, or in another order, every record hears the same.
    let backwards: Vec<Vec<&str>> = units.iter().rev().cloned().collect();
    let again = filter.keep("{}", &backwards).unwrap();
    assert!(again.iter().rev().eq(&answers));
    for (unit, answer) in units.iter().zip(&answers) {
        assert_eq!(filter.keep("{}", std::slice::from_ref(unit)).unwrap()[0], *answer);
    }
}

#[test]
fn nothing_is_remembered() {
    let (_made, filter) = opened(limits());
    let units = vec![vec!["kind"]; 20];
    assert!(filter.keep("{}", &units).unwrap().iter().all(|answer| *answer == Ok(vec![Kept::Yes])));
}

#[test]
fn a_refused_configuration_ends_the_stage() {
    let (_made, filter) = opened(limits());
    let answer = filter.keep("{}", &[vec!["kind"], vec!["config"], vec!["kind"]]);
    assert!(matches!(answer, Err(EngineError::Refused(detail)) if detail == "Not a word"));
}

#[test]
fn a_whole_filter_sees_all_rows_at_once_and_fails_as_a_whole() {
    let plugin = made(&filter(&format!("{MANIFEST}scope = 'whole'\n"), FILTER, MODULE));
    let filter = PluginHost::new(limits()).unwrap().filter(&plugin.spec).unwrap();
    // The first row of all says what is done; a call for each unit would loop, or trap.
    let answers = filter.keep("{}", &[vec![], vec!["kind", "loop"], vec!["unreachable"]]).unwrap();
    assert_eq!(answers, [Ok(vec![]), Ok(vec![Kept::Yes; 2]), Ok(vec![Kept::Yes])]);
    let failed = filter.keep("{}", &[vec!["unreachable"], vec!["kind"]]);
    assert!(matches!(&failed, Err(EngineError::Refused(why)) if why.starts_with("plugin-trap: ")), "{failed:?}");
}

#[test]
fn endless_loops_end_by_count_not_by_clock() {
    let start = Instant::now();
    let (_made, filter) = opened(Limits { fuel: 1_000, fuel_a_row: 1_000, ..limits() });
    let rows: Vec<&str> = std::iter::once("loop").chain(std::iter::repeat_n("x", 1000)).collect();
    let faults = [filter.keep("{}", std::slice::from_ref(&rows)), filter.keep("{}", &[rows])]
        .map(|answer| answer.unwrap()[0].clone());
    assert_eq!(faults[0], faults[1]);
    assert_eq!(outcome(&faults[0]), "plugin-too-slow");
    // A million instructions take milliseconds; a minute means that nobody counts.
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn a_limit_counts_all_memories_together() {
    let memories: String = (0..20).map(|_| "(memory 100)").collect();
    let module = format!("(memory (export \"memory\") 1) {memories}{}", MODULE.split_once("2)").unwrap().1);
    let plugin = made(&filter(MANIFEST, FILTER, &module));
    let filter = PluginHost::new(limits()).unwrap().filter(&plugin.spec).unwrap();
    let answer = &filter.keep("{}", &[vec!["kind"]]).unwrap()[0];
    assert_eq!(outcome(answer), "plugin-too-large", "{answer:?}");
}

#[test]
fn a_start_function_has_the_same_limits() {
    let module = MODULE.replace(
        "(func (export \"decide\")",
        "(func $start (loop $forever (br $forever))) (start $start) (func (export \"decide\")",
    );
    let plugin = made(&filter(MANIFEST, FILTER, &module));
    let filter = PluginHost::new(limits()).unwrap().filter(&plugin.spec).unwrap();
    assert_eq!(outcome(&filter.keep("{}", &[vec!["kind"]]).unwrap()[0]), "plugin-too-slow");
}

#[test]
fn a_plugin_that_does_not_fit_is_not_opened() {
    let host = PluginHost::new(limits()).unwrap();
    let of = |bytes: &[u8]| {
        let plugin = made(bytes);
        why(host.filter(&plugin.spec).map(|_| ()))
    };
    let newer = of(&filter(MANIFEST, "sentinel:plugin/filter@0.2.0", MODULE));
    assert!(newer.contains("does not export the interface of `filter`"), "{newer}");
    let extractor = of(&filter(&MANIFEST.replace("\"filter\"", "\"extractor\""), FILTER, MODULE));
    assert!(extractor.contains("it is of world `extractor`, and `filter` is needed"), "{extractor}");
    let mut cut = filter(MANIFEST, FILTER, MODULE);
    cut.truncate(cut.len() / 2);
    assert!(of(&cut).contains("is no plugin: "), "{}", of(&cut));
}
