//! Why something has to be computed, told in words.

use sentinel_core::diff::{self, Difference};
use sentinel_core::digest::Digest;
use sentinel_core::session::{RunOptions, Session};

use crate::kinds::Mood;
use crate::plain::{PLAIN, plain};
use crate::project::Project;
use crate::results::project as growing;
use crate::simulation::growth;
use crate::texts::{Text, lines};

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
    let told = "`stream` was \"grow\" and is \"other\"";
    check(&project.session(&stream), "growth/more", Some("t001"), &[told]);
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
    check(&project.session(PLAIN), "totals", None, &["`words` came in with other content"]);
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

/// Says how the last run differs from the one before.
fn differences(project: &Project) -> Difference {
    let session = project.session(PLAIN);
    let find = |name| diff::find(session.store(), name).unwrap_or_else(|error| panic!("{error}"));
    diff::diff(session.store(), &find("plain~1"), &find("plain")).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn two_runs_are_compared() {
    let mut texts = plain(12);
    let project = Project::new(&texts);
    project.run(PLAIN);
    project.run(&PLAIN.replace("most: 2", "most: 1"));
    let told = differences(&project);
    let few = ["`with.most` was 2 and is 1 (of `few`)", "`totals`: `words` came in with other content"];
    assert_eq!(told.causes, few);
    assert_eq!((told.results, told.same), (vec!["few.records".to_owned(), "totals.totals".to_owned()], 4));
    project.run(PLAIN);
    texts[3].text = "seven eight".into();
    let left = texts.remove(5).id;
    texts.push(Text { id: "t099".into(), ..texts[0].clone() });
    project.write("texts.jsonl", &lines(&texts));
    project.run(PLAIN);
    let told = differences(&project);
    let other = |slot: &str| format!("`{slot}` came in with other content for 1 record: `t003`");
    let (new, gone) = ("1 record is new: `t099`", format!("no longer asked for: `{left}`"));
    assert!(told.causes[0].starts_with("`with.file` has other content"), "{told:?}");
    let units = [("words", "texts"), ("few", "records")]
        .map(|(stage, slot)| [new.to_owned(), other(slot), gone.clone()].map(|line| format!("`{stage}`: {line}")));
    let wholes = ["`totals`: `words` came in with other content", "`bundle`: `words` came in with other content"];
    let expected: Vec<String> = units.into_iter().flatten().chain(wholes.map(str::to_owned)).collect();
    assert_eq!(told.causes[1..], expected);
    assert_eq!(told.same, 0, "{told:?}");
}

#[test]
fn two_runs_are_shown_on_one_page() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    project.run(&PLAIN.replace("most: 2", "most: 1"));
    let session = project.session(PLAIN);
    let find = |name| diff::find(session.store(), name).unwrap_or_else(|error| panic!("{error}"));
    let (was, now) = (find("plain~1"), find("plain"));
    let path = diff::page(session.store(), &was, &now, &project.path("runs")).unwrap_or_else(|error| panic!("{error}"));
    let named = format!("{}-{}.html", was.digest.short(), now.digest.short());
    assert_eq!(path, project.path("runs/compared").join(named));
    let page = std::fs::read_to_string(&path).unwrap();
    let fates = ["lines", "words", "few", "totals", "bundle"].map(|stage| {
        let row = page.split(&format!("<th scope=\"row\">{stage}</th>")).nth(1).unwrap();
        row.split("</td>").next().unwrap().replace("<td>", "")
    });
    assert_eq!(fates, ["the same", "the same", "set up otherwise, other results", "other results", "the same"]);
    assert!(page.contains("<code>with.most</code><span> was 2 and is 1 (of </span>"), "{page}");
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    index.execute("UPDATE runs SET report = NULL", []).unwrap();
    let error = diff::page(session.store(), &was, &now, &project.path("runs")).unwrap_err().to_string();
    assert!(error.contains("no longer has what the report of `plain`") && error.ends_with("run it again"), "{error}");
}

#[test]
fn a_run_has_names() {
    let project = Project::new(&plain(3));
    project.run(PLAIN);
    let session = project.session(PLAIN);
    let find = |name: &str| diff::find(session.store(), name);
    let run = find("plain").unwrap();
    let digest = run.digest.to_string();
    for name in [&digest[..4], &digest[..12], &digest, &digest.to_uppercase(), "plain~0"] {
        assert_eq!(find(name).unwrap(), run, "{name}");
    }
    for (name, story) in [
        ("plane", "there is no run `plane`; there are `plain`"),
        ("plain~1", "`plain~1` names no run: 1 run of `plain` came to an end"),
        ("plain~x", "`plain~x` names no run: after `~` stands how many runs before the last"),
        (&digest[..3], ""),
    ] {
        let error = find(name).unwrap_err().to_string();
        assert!(error.starts_with(story), "{name}: {error}");
    }
}

#[test]
fn what_is_kept_is_listed() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    project.run(&PLAIN.replace("most: 2", "most: 1"));
    project.lab.mood("pick", &[Mood::World]);
    project.failure(&PLAIN.replace("most: 2", "most: 3"));
    let session = project.session(PLAIN);
    let listed = session.store().list().unwrap();
    let index = rusqlite::Connection::open(project.path("store/v1/index.db")).unwrap();
    let count = |table: &str, fingerprint: &Digest| -> i64 {
        let select = format!(
            "SELECT count(*) FROM {table} JOIN fingerprints ON fingerprints.id = fingerprint WHERE digest = ?1"
        );
        index.query_row(&select, [fingerprint.as_bytes()], |row| row.get(0)).unwrap()
    };
    for listed in &listed {
        let results = count("units", &listed.fingerprint) + count("wholes", &listed.fingerprint);
        assert_eq!(listed.results, results.cast_unsigned(), "{listed:?}");
        assert!(listed.bytes > 0 && listed.used > 1_700_000_000, "{listed:?}");
    }
    let told: Vec<(&str, u64, usize)> =
        listed.iter().map(|listed| (listed.kind.as_str(), listed.results, listed.stages.len())).collect();
    let picks: Vec<_> = told.iter().filter(|(kind, ..)| *kind == "pick").collect();
    assert_eq!(picks.len(), 2, "what failed at once keeps nothing: {told:?}");
    assert!(told.iter().all(|(_, _, stages)| *stages == 1), "{told:?}");
    assert!(listed.iter().any(|listed| listed.stages.contains(&("plain".into(), "bundle".into()))));
}
