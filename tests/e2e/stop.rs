//! Runs that are stopped: however they die, the next one goes on, and what comes out is the same bytes.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::desk::{Desk, QUICKSTART};

/// Stages of the quickstart in an order in which they may finish. The run is killed a moment after each, in the midst of those that
/// come next; more often where these take long, and at its very beginning, which has no name.
const KILLED_AFTER: &str = "  scenes held-out scenes captions-before before scenes scenes bootstrap keep to-sentinel keep to-hadpo \
    to-llama-factory keep train captions-after";

#[test]
fn a_run_killed_again_and_again_gives_the_same_bytes() {
    let undisturbed = Desk::new();
    assert_eq!(undisturbed.run(&QUICKSTART).code, 0);
    let desk = Desk::new();
    let mut killed = 0;
    for (kill, stage) in KILLED_AFTER.split(' ').enumerate() {
        let mut child = desk.start(&QUICKSTART);
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let is_over = stage.is_empty() || told.any(|line| line.split_whitespace().next() == Some(stage));
        assert!(is_over, "`{stage}` never finished");
        // The golden ratio spreads moments evenly; what is left at the end takes no time.
        let pause =
            if matches!(stage, "train" | "captions-after") { Duration::ZERO } else { Duration::from_millis(400) };
        sleep(pause.mul_f64((kill as f64 * 0.618_034).fract()));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed >= 10, "only {killed} runs were killed, the others had ended");
    let last = desk.run(&QUICKSTART);
    assert_eq!(last.code, 0, "{last}");
    assert_eq!(names(&desk), names(&undisturbed));
    for (file, content) in undisturbed.results() {
        assert!(desk.results()[&file] == content, "`{file}` differs");
    }
    let verified = desk.sentinel(&["cache", "verify"], &[]);
    assert_eq!(verified.code, 0, "{verified}");
}

#[test]
fn an_interrupted_run_stops_soon_and_goes_on() {
    let desk = Desk::new();
    for signal in [Signal::INT, Signal::HUP] {
        let asked = Instant::now();
        assert_eq!(signalled(desk.start(&QUICKSTART), signal), Some(130), "{signal:?}");
        assert!(asked.elapsed() < Duration::from_secs(30));
    }
    let deaf = desk.start_by("trap '' HUP; exec \"$0\" \"$@\"", &QUICKSTART);
    assert_eq!(signalled(deaf, Signal::HUP), Some(0), "`nohup` keeps a run going");
    let undisturbed = Desk::new();
    assert_eq!(undisturbed.run(&QUICKSTART).code, 0);
    assert!(desk.results() == undisturbed.results(), "{:?} {:?}", names(&desk), names(&undisturbed));
}

#[test]
fn batches_threads_jobs_and_records_in_flight_change_no_byte() {
    let desk = Desk::new();
    assert_eq!(desk.run(&QUICKSTART).code, 0);
    let other = Desk::new();
    for (stage, exec) in [
        ("n: 10, temperature: 0.7}", "exec: {batch: 1, threads: 1}"),
        ("detectors: [yolo, detr]}", "exec: {batch: 8}"),
        ("needs: {descriptions: held-out}, with: {model: base}", "exec: {batch: 3, threads: 1}"),
    ] {
        other.edit("quickstart.yaml", stage, &format!("{stage}, {exec}"));
    }
    other.edit("quickstart.yaml", "    needs: {pairs: keep}\n", "    needs: {pairs: keep}\n    exec: {threads: 1}\n");
    other.edit("quickstart.yaml", "  bootstrap: ", "  bootstrap:\n    exec: {in_flight: 5}\n    #");
    let told = other.run(&[&QUICKSTART[..], &["--jobs", "1"]].concat());
    assert_eq!(told.code, 0, "{told}");
    assert_eq!(names(&desk), names(&other));
    for (file, content) in desk.results() {
        assert!(other.results()[&file] == content, "`{file}` differs");
    }
}

/// Sends a run a signal when its first stage has finished; returns its exit code.
fn signalled(mut run: Child, signal: Signal) -> Option<i32> {
    let mut told = BufReader::new(run.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(told.any(|line| line.contains("scenes")), "the run ended");
    kill_process(Pid::from_child(&run), signal).unwrap();
    told.for_each(drop);
    run.wait().unwrap().code()
}

fn names(desk: &Desk) -> Vec<String> {
    desk.results().into_keys().collect()
}
