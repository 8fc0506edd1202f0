//! Units at fault are set aside, counted, kept like any result, and tried again when that is asked for. Too many of them fail the
//! stage, and with `on_error: fail` the first does.

use sentinel_core::last::LastRun;
use sentinel_core::report::text;
use sentinel_core::run::Ending;
use sentinel_core::session::RunOptions;

use crate::kinds::Mood;
use crate::plain::{PLAIN, afraid, expected, plain};
use crate::project::{Project, counts, work};
use crate::results::{assert_same, project as growing};
use crate::simulation::growth;
use crate::texts::{Text, lines, texts};

const AGAIN: RunOptions = RunOptions { limit: None, fail_on_miss: false, retry_quarantined: true, jobs: None };

#[test]
fn a_report_leaves_alone_what_a_later_run_failed_by() {
    let project = Project::new(&plain(3));
    project.run(PLAIN);
    project.write("texts.jsonl", &lines(afraid(3, &[0])));
    project.failure(PLAIN);
    let list = project.path("runs/plain/set-aside.jsonl");
    assert!(list.is_file());
    let last = LastRun::find(&project.path("store"), "plain", &project.path("runs")).unwrap_or_else(|e| panic!("{e}"));
    assert!(last.report().is_ok_and(|written| written.is_some()));
    assert!(list.is_file(), "it is the next run that takes it away");
}

#[test]
fn up_to_one_in_twenty_may_be_set_aside() {
    let many = |faults, of, names| {
        format!(
            "stage `words`: {faults} of {of} records were set aside, and more than 5 % is too many: {names}; \
             the first: afraid: `one two` is afraid"
        )
    };
    let cases: [(usize, &[usize], Option<String>); 6] = [
        (40, &[], None),
        (40, &[3, 39], None),
        (40, &[0, 3, 39], Some(many(3, 40, "`t000`, `t003`, `t039`"))),
        (20, &[0, 1, 2, 3, 19], Some(many(5, 20, "`t000`, `t001`, `t002` and 2 more"))),
        (19, &[0], Some(many(1, 19, "`t000`"))),
        (1, &[0], Some(many(1, 1, "`t000`"))),
    ];
    for (count, numbers, failure) in cases {
        let texts = afraid(count, numbers);
        let project = Project::new(&texts);
        if let Some(failure) = failure {
            for _ in 0..2 {
                let error = project.failure(PLAIN);
                assert_eq!((error.to_string(), error.ending()), (failure.clone(), Ending::Failed));
            }
            assert_eq!(project.lab.taken(), work([("lines", 1), ("split", count as u64)]), "faults are kept");
            let list = project.results("plain")["set-aside.jsonl"].clone();
            assert_eq!(list.lines().count(), numbers.len(), "each is listed with its reason: {list}");
            assert!(
                list.starts_with(r#"{"stage":"words","record":"t000","step":0,"reason":"afraid","detail":"`"#),
                "{list}"
            );
            project.write("texts.jsonl", &lines(plain(count)));
            project.run(PLAIN);
            assert_same(&project.results("plain"), &expected(&plain(count)));
            continue;
        }
        let record = project.finished(PLAIN).record;
        assert_same(&project.results("plain"), &expected(&texts));
        let told: Vec<_> = record.quarantine.iter().map(|one| (one.record.clone(), one.reason.as_str())).collect();
        let faults: Vec<_> = numbers.iter().map(|number| (format!("t{number:03}"), "afraid")).collect();
        assert_eq!(told, faults);
        assert_eq!(record.quarantined(), numbers.len() as u64);
        assert_eq!(counts(&record, "few").units, (count - numbers.len()) as u64, "what is set aside goes no further");
        let again = project.finished(PLAIN);
        assert!(again.nothing_to_do);
        let whole = "nothing to do: everything is there and whole".to_owned();
        let but = if faults.is_empty() { "" } else { ", but 2 records are set aside: `t003`, `t039`" };
        assert_eq!(text::nothing_to_do(&again.record), whole + but);
        if !faults.is_empty() {
            let closing = text::text(&again.report, &[]);
            assert!(closing.contains("2 records set aside: 2 afraid: `t003`, `t039`"), "{closing}");
            let plan = project.session(PLAIN).plan(&RunOptions::default()).unwrap().to_string();
            assert!(plan.contains("words   38 units cached, 2 set aside\n"), "{plan}");
            let why = |stage: &str, record| project.session(PLAIN).why(stage, Some(record)).unwrap().join("\n");
            assert!(why("words", "t003").starts_with("set aside because afraid: `"));
            assert!(why("few", "t003").starts_with("set aside by `words` because afraid: `"));
            assert_eq!(why("few", "t004"), "nothing has to be computed: all of it is in the store");
        }
    }
}

#[test]
fn only_what_was_set_aside_is_tried_again() {
    let project = Project::new(&plain(80));
    let flow = PLAIN.replace("batch: 4", "batch: 2");
    project.lab.mood("split", &[Mood::Fine, Mood::Afraid, Mood::Fine, Mood::Afraid]);
    project.run(&flow);
    let four = afraid(80, &[2, 3, 6, 7]);
    let without = expected(&four)["words/words.jsonl"].clone();
    assert_eq!(project.results("plain")["words/words.jsonl"], without);
    assert!(project.finished(&flow).nothing_to_do, "a fault is kept like a result");
    let planned = project.session(&flow).plan(&AGAIN).unwrap();
    let runs: Vec<(&str, u64)> = planned.stages.iter().map(|stage| (stage.id.as_str(), stage.runs)).collect();
    assert_eq!(runs[..2], [("lines", 0), ("words", 4)]);
    project.lab.mood("split", &[Mood::Fine, Mood::Afraid]);
    project.try_run(&flow, &AGAIN).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(project.lab.taken(), work([("page", 4), ("pack", 1), ("pick", 2), ("split", 4), ("sum", 1)]));
    project.try_run(&flow, &AGAIN).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(project.lab.taken()["split"], 2);
    assert_same(&project.results("plain"), &expected(&plain(80)));
    project.told("");
    assert!(project.try_run(&flow, &AGAIN).unwrap_or_else(|error| panic!("{error}")).nothing_to_do);
}

#[test]
fn with_on_error_fail_the_first_is_the_last() {
    let texts = afraid(40, &[6, 30]);
    let project = Project::new(&texts);
    let strict = PLAIN.replace("exec: {batch: 4}", "exec: {batch: 4}, on_error: fail");
    let story = "stage `words`: record `t006` is at fault: afraid: `three` is afraid";
    let fails = || {
        let error = project.failure(&strict);
        assert_eq!((error.to_string().as_str(), error.ending()), (story, Ending::Failed));
    };
    fails();
    assert_eq!(project.lab.taken(), work([("lines", 1), ("split", 8)]), "two batches, and nothing more");
    fails();
    assert_eq!(project.lab.taken(), work([]), "a fault is kept like a result");
    assert_eq!(project.run(PLAIN)["split"], 32, "and is no other stage's with `on_error: quarantine`");
    assert_same(&project.results("plain"), &expected(&texts));
    fails();
    assert_eq!(project.lab.taken(), work([]));
    assert!(project.session(&strict).plan(&RunOptions::default()).unwrap().is_all_cached());
}

#[test]
fn in_a_loop_records_are_counted_not_steps() {
    let (project, _) = growing();
    let mut texts = texts(70);
    texts.iter_mut().for_each(|text| text.fear = None);
    // Four of seventy are more than one in twenty, however many steps the others go through.
    for text in &mut texts[20..24] {
        text.fear = Some(1);
    }
    project.write("texts.jsonl", &lines(&texts));
    let error = project.failure(&growth(3, 7, 2)).to_string();
    assert!(error.starts_with("stage `growth/words`: 4 of 70 records were set aside"), "{error}");
}

#[test]
fn a_record_whose_file_is_missing_waits_for_it() {
    let shelf = PLAIN.replace("file: texts.jsonl", "file: texts.jsonl, shelf: shelf");
    let attach = |(number, text): (usize, Text)| Text { attached: Some(format!("{number}.bin")), ..text };
    let texts: Vec<Text> = plain(40).into_iter().enumerate().map(attach).collect();
    let project = Project::new(&texts);
    (0..40).filter(|number| *number != 7).for_each(|number| project.write(&format!("shelf/{number}.bin"), "x"));
    let session = project.session(&shelf);
    let record = project.finished(&shelf).record;
    let told: Vec<_> = record.quarantine.iter().map(|one| (one.record.as_str(), one.detail.as_str())).collect();
    assert_eq!(told, [("t007", "`7.bin`: no such file")]);
    assert_eq!(project.lab.taken()["split"], 39);
    assert!(project.finished(&shelf).nothing_to_do, "a missing file is kept like a result");
    assert!(session.plan(&RunOptions::default()).unwrap().is_all_cached());
    project.try_run(&shelf, &AGAIN).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(project.lab.taken(), work([("lines", 1)]), "it was looked for again");

    project.write("shelf/7.bin", "x");
    let why = project.session(&shelf).why("lines", None).unwrap();
    assert_eq!(why, ["`7.bin` can be read; it was: no such file"]);
    assert_eq!(project.finished(&shelf).record.quarantined(), 0);
    assert_eq!(
        project.lab.taken(),
        work([("lines", 1), ("page", 4), ("pack", 1), ("pick", 1), ("split", 1), ("sum", 1)])
    );

    std::fs::remove_file(project.path("shelf/7.bin")).unwrap();
    let strict = shelf.replace("shelf: shelf}", "shelf: shelf}, on_error: fail");
    let error = project.failure(&strict).to_string();
    assert_eq!(error, "stage `lines`: record `t007` is at fault: missing: `7.bin`: no such file");
    (0..2).for_each(|number| std::fs::remove_file(project.path(&format!("shelf/{number}.bin"))).unwrap());
    let error = project.failure(&shelf).to_string();
    assert!(error.contains("stage `lines`: 3 of 40 records were set aside"), "{error}");
}

#[test]
fn only_regular_files_are_read() {
    let shelf = PLAIN.replace("file: texts.jsonl", "file: texts.jsonl, shelf: shelf");
    let attach = |(number, text): (usize, Text)| Text { attached: (number == 7).then(|| "pipe".into()), ..text };
    let texts: Vec<Text> = plain(40).into_iter().enumerate().map(attach).collect();
    let project = Project::new(&texts);
    project.write("shelf/other.bin", "x");
    let made = std::process::Command::new("mkfifo").arg(project.path("shelf/pipe")).status().unwrap();
    assert!(made.success());
    let record = project.finished(&shelf).record;
    assert_eq!(record.quarantine[0].detail, "`pipe`: not a regular file");
}
