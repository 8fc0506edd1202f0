//! Runs that are stopped: however they die, the next one goes on, and what comes out is the same bytes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::desk::{Desk, QUICKSTART};

/// Kills of one run.
const KILLS: u32 = 12;

#[test]
fn a_run_killed_again_and_again_gives_the_same_bytes() {
    let undisturbed = Desk::new();
    let began = Instant::now();
    assert_eq!(undisturbed.run(&QUICKSTART).code, 0);
    let whole = began.elapsed();
    let desk = Desk::new();
    // Moments spread over the whole run, so that every kind of stage is met; the golden ratio spreads them evenly.
    for kill in 0..KILLS {
        let share = (f64::from(kill) * 0.618_034).fract();
        let mut child = desk.start(&QUICKSTART);
        sleep(whole.mul_f64(0.05 + share * 0.6));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let last = desk.run(&QUICKSTART);
    assert_eq!(last.code, 0, "{last}");
    assert_eq!(names(&desk), names(&undisturbed));
    for (file, content) in undisturbed.results() {
        assert!(desk.results()[&file] == content, "`{file}` differs");
    }
    let verified = desk.sentinel(&["cache", "--verify"], &[]);
    assert_eq!(verified.code, 0, "{verified}");
}

#[test]
fn an_interrupted_run_stops_soon_and_goes_on() {
    let desk = Desk::new();
    let child = desk.start(&QUICKSTART);
    sleep(Duration::from_millis(1200));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let asked = Instant::now();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(30));
    let again = desk.run(&QUICKSTART);
    assert_eq!(again.code, 0, "{again}");
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

fn names(desk: &Desk) -> Vec<String> {
    desk.results().into_keys().collect()
}
