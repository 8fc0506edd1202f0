//! Why something has to be computed, told in words.

use sentinel_core::digest::Digest;
use sentinel_core::session::{RunOptions, Session};

use crate::kinds::Mood;
use crate::plain::{PLAIN, plain};
use crate::project::Project;
use crate::results::project as growing;
use crate::simulation::growth;
use crate::texts::lines;

const OPEN: &str = "nothing is missing so far; the rest is decided as what it needs comes";
const NOTHING: &str = "nothing has to be computed: all of it is in the store";
const NAMES: &str = "there are `lines`, `words`, `few`, `totals`, `bundle`";

fn check(session: &Session, stage: &str, record: Option<&str>, reasons: &[&str]) {
    let told = session.why(stage, record).unwrap_or_else(|error| panic!("{stage}: {error}"));
    assert_eq!(told, reasons, "{stage} {record:?}");
}

#[test]
fn what_never_ran_says_so() {
    let project = Project::new(&plain(12));
    let session = project.session(PLAIN);
    check(&session, "lines", None, &["no stage of kind `lines` has run on this store yet"]);
    check(&session, "few", None, &["no stage of kind `pick` has run on this store yet"]);
    project.try_run(PLAIN, &RunOptions { limit: Some(0), ..RunOptions::default() }).unwrap_or_else(|e| panic!("{e}"));
    check(&session, "lines", None, &[NOTHING]);
    check(&session, "words", None, &["no stage of kind `split` has run on this store yet"]);
    project.lab.mood("split", &[Mood::Fine, Mood::World]);
    project.failure(PLAIN);
    let stopped = "an earlier run stopped before these were done, or had other records";
    check(&session, "words", Some("t004"), &[stopped]);
    check(&session, "words", Some("t003"), &[NOTHING]);
    project.run(PLAIN);
    for stage in ["lines", "words", "few", "totals", "bundle"] {
        check(&session, stage, None, &[NOTHING]);
    }
    assert!(project.lab.taken().is_empty());
}

#[test]
fn an_ingredient_is_told_with_what_it_was() {
    let project = Project::new(&plain(12));
    project.lab.version("pick", 1, Some("engine 1"));
    project.run(PLAIN);
    let other = PLAIN.replace("most: 2", "most: 1");
    check(&project.session(&other), "few", None, &["`with.most` was 2 and is 1"]);
    check(&project.session(&other), "few", Some("t004"), &["`with.most` was 2 and is 1"]);
    check(&project.session(&other), "words", None, &[NOTHING]);
    let all = PLAIN.replace("needs: {texts", "with: {all: true}, needs: {texts");
    check(&project.session(&all), "words", None, &["`with.all` was false (the default) and is true"]);
    check(&project.session(&all), "few", None, &[OPEN]);
    project.lab.version("pick", 1, Some("engine 2"));
    check(&project.session(PLAIN), "few", None, &["`engine` was \"engine 1\" and is \"engine 2\""]);
    project.lab.version("pick", 3, Some("engine 1"));
    check(&project.session(PLAIN), "few", None, &["`version` was 1 and is 3"]);
    check(&project.session(&other), "few", None, &["`version` was 1 and is 3", "`with.most` was 2 and is 1"]);
    project.run(&other);
    check(&project.session(PLAIN), "few", None, &["`with.most` was 1 and is 2"]);
    let short = |count: usize| Digest::of(lines(plain(count)).as_bytes()).short();
    project.write("texts.jsonl", &lines(plain(13)));
    let told = format!("`with.file` has other content: {} instead of {}", short(13), short(12));
    check(&project.session(PLAIN), "lines", None, &[&told]);
}

#[test]
fn a_seed_and_a_stream_are_told() {
    let (project, _) = growing();
    let flow = growth(64, 64, 1);
    project.run(&flow);
    check(&project.session(&flow.replace("seed: 7", "seed: 8")), "growth/more", None, &["`seed` was 7 and is 8"]);
    let stream = flow.replace("kind: grow\n", "kind: grow\n          with: {stream: other}\n");
    let told = ["`stream` was \"grow\" and is \"other\"", "`with.stream` was the default and is \"other\""];
    check(&project.session(&stream), "growth/more", Some("t001"), &told);
    check(&project.session(&stream), "growth/words", None, &[OPEN]);
}

#[test]
fn records_are_told_by_name() {
    let mut texts = plain(12);
    let project = Project::new(&texts);
    let options = RunOptions { limit: Some(5), ..RunOptions::default() };
    project.try_run(PLAIN, &options).unwrap_or_else(|error| panic!("{error}"));
    let session = project.session(PLAIN);
    check(&session, "words", None, &["7 records are new: `t005`, `t006`, `t007` and 4 more"]);
    check(&session, "words", Some("t006"), &["1 record is new: `t006`"]);
    check(&session, "words", Some("t001"), &[NOTHING]);
    let stranger = "`words` is not asked for `nobody` as far as can be said before it runs";
    check(&session, "words", Some("nobody"), &[stranger]);
    project.run(PLAIN);
    texts[3].text = "seven eight".into();
    texts[8].text.clear();
    project.write("texts.jsonl", &lines(&texts));
    project.lab.mood("split", &[Mood::World]);
    project.failure(PLAIN);
    let session = project.session(PLAIN);
    let changed = "`texts` came in with other content for 2 records: `t003`, `t008`";
    check(&session, "words", None, &[changed]);
    check(&session, "words", Some("t008"), &["`texts` came in with other content for 1 record: `t008`"]);
    project.lab.mood("sum", &[Mood::World]);
    project.failure(PLAIN);
    check(&project.session(PLAIN), "totals", None, &["`words` came in with other content than last time"]);
    project.run(PLAIN);
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    index
        .execute("DELETE FROM units WHERE fingerprint IN (SELECT id FROM fingerprints WHERE kind = 'pick')", [])
        .unwrap();
    let gone = "what was kept of an earlier run was damaged, set aside, or removed";
    check(&project.session(PLAIN), "few", None, &[gone]);
}

#[test]
fn a_stage_that_is_not_there_has_a_neighbour() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let session = project.session(PLAIN);
    for (stage, advice) in [("totlas", "did you mean `totals`?"), ("something", NAMES), ("", NAMES)] {
        let error = session.why(stage, None).unwrap_err().to_string();
        assert_eq!(error, format!("there is no stage `{stage}` that computes; {advice}"));
    }
    let (growing, _) = growing();
    let error = growing.session(&growth(64, 64, 1)).why("growth", None).unwrap_err().to_string();
    assert!(error.starts_with("there is no stage `growth` that computes; "), "{error}");
}
