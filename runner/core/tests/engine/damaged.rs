//! A store with damaged, torn or missing files, and what a killed run leaves: found, told, removed and made anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use sentinel_core::cache::verify::Verified;
use sentinel_core::run::Ending;

use crate::plain::{PLAIN, expected, plain};
use crate::project::Project;
use crate::results::{assert_same, project as growing};
use crate::simulation::{growth, splits};

/// Returns every file of the folder of blobs.
fn blobs(project: &Project) -> Vec<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = below(project.path("store/v1/blobs")).flat_map(below).collect();
    found.sort();
    found
}

fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

type Damage = (&'static str, fn(&Path));

const DAMAGES: &[Damage] = &[
    ("altered", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        replace(path, &bytes);
    }),
    ("torn", |path| replace(path, &fs::read(path).unwrap()[1..])),
    ("emptied", |path| replace(path, b"")),
    ("removed", |path| fs::remove_file(path).unwrap()),
];

#[test]
fn a_damaged_file_is_made_anew() {
    for (how, damage) in DAMAGES {
        let (project, expected) = growing();
        let flow = growth(64, 64, 1);
        project.run(&flow);
        blobs(&project).iter().for_each(|path| damage(path));
        fs::remove_dir_all(project.path("runs")).unwrap();
        project.told("");
        let computed = project.run(&flow);
        assert_same(&project.results("growth"), &expected.results);
        assert!(computed["pack"] > 0, "{how}: what was packed is packed anew");
        assert!(!project.told("Warning").is_empty(), "{how}");
        // What no stage reads any more is found by a look at everything.
        let verify = || project.session(&flow).store().verify().unwrap();
        assert_eq!(verify().entries_damaged, 0, "{how}");
        project.run(&flow);
        assert!(project.finished(&flow).nothing_to_do, "{how}");
        assert_same(&project.results("growth"), &expected.results);
        let Verified { entries_damaged, blobs_damaged, .. } = verify();
        assert_eq!((entries_damaged, blobs_damaged), (0, 0), "{how}");
    }
}

#[test]
fn one_damaged_file_costs_what_it_belonged_to() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let count = fs::read(project.path("runs/plain/bundle/bundle/count.txt")).unwrap();
    let packed: Vec<PathBuf> = blobs(&project).into_iter().filter(|path| fs::read(path).unwrap() == count).collect();
    assert_eq!(packed.len(), 1);
    for (how, damage) in DAMAGES {
        damage(&packed[0]);
        fs::remove_dir_all(project.path("runs")).unwrap();
        let computed = project.run(PLAIN);
        assert_eq!(computed.keys().copied().collect::<Vec<_>>(), ["pack", "page"], "{how}");
        assert_same(&project.results("plain"), &expected(&plain(12)));
    }
}

#[test]
fn a_damaged_memo_is_computed_anew() {
    let flow = "\
version: 1
name: memos
stages:
  lines: {kind: lines, with: {file: texts.jsonl}}
  words: {kind: split, needs: {texts: lines}}
  looked: {kind: look, exec: {threads: 1}, needs: {words: words}}
";
    let project = Project::new(&plain(12));
    // Of the texts' words, `one`, `two`, `three`, `four` and `five` are wanted.
    let look = |version, memos: u64| {
        project.lab.version("look", version, None);
        assert_eq!(project.run(flow)["look"], 12);
        assert_eq!(project.lab.memos.swap(0, Ordering::Relaxed), memos);
        let words = splits("words", &plain(12), &mut Default::default());
        let rows = words.values().flatten().map(|word| {
            let page = blake3::hash(format!("the word {}", word.word).as_bytes()).to_hex();
            format!("{{\"word\":\"{}\",\"letters\":{},\"page\":\"{page}\"}}\n", word.word, word.letters)
        });
        assert_eq!(project.results("memos")["looked/words.jsonl"], rows.collect::<String>());
    };
    look(1, 5);
    look(2, 0);
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    for (version, damage) in [(3, "UPDATE memos SET value = CAST('9' AS BLOB)"), (4, "UPDATE memos SET proof = value")]
    {
        index.execute(damage, []).unwrap();
        project.told("");
        look(version, 5);
        assert_eq!(project.told("Warning { text: \"a memo in the store").len(), 5, "{damage}");
    }
    index.execute("DELETE FROM memos", []).unwrap();
    look(5, 5);
    assert!(project.told("Warning").is_empty());
}

#[test]
fn an_index_that_is_none_is_told() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let index = project.path("store/v1/index.db");
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(project.path(&format!("store/v1/index.db{end}")));
    }
    fs::write(&index, "no index at all\n".repeat(1000)).unwrap();
    let error = project.failure(PLAIN);
    let store = project.path("store");
    let story = format!("the index of the store `{}` is damaged: ", store.display());
    assert!(error.to_string().starts_with(&story), "{error}");
    assert!(error.to_string().ends_with("; move the folder away, and everything is computed anew"), "{error}");
    assert_eq!(error.ending(), Ending::Failed);
    fs::rename(&store, project.path("away")).unwrap();
    project.run(PLAIN);
    assert_same(&project.results("plain"), &expected(&plain(12)));
}

#[test]
fn what_a_killed_run_left_is_gone_and_was_never_a_result() {
    let project = Project::new(&plain(12));
    let leave = || {
        project.write("runs/plain/.aside/half.jsonl", "{\"word\":");
        project.write("runs/plain/.aside/folder/letters/a.txt", "a\n");
        // Between two renames, the old files are away and the new ones not yet there.
        let _ = fs::remove_dir_all(project.path("runs/plain/bundle/bundle"));
        project.write("store/v1/tmp/1-0.lock", "");
        project.write("store/v1/tmp/1-0/7", "half a blob");
    };
    leave();
    for flow in [PLAIN, PLAIN, &PLAIN.replace("most: 2", "most: 3")] {
        assert!(!project.finished(flow).nothing_to_do);
        assert_same(&project.results("plain"), &expected(&plain(12)));
        assert!(!project.path("runs/plain/.aside").exists());
        assert_eq!(fs::read_dir(project.path("store/v1/tmp")).unwrap().count(), 0);
        leave();
    }
}
