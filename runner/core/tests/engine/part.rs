//! `--only`, `--from`, `--until`: a part of a workflow runs, the rest is left alone.

use sentinel_core::run::{Ending, RunError, Selection, narrow};
use sentinel_core::session::RunOptions;

use crate::plain::{PLAIN, expected, plain};
use crate::project::{Project, work};
use crate::results::assert_same;

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}

#[test]
fn a_part_computes_what_is_asked_for_and_leaves_the_rest_alone() {
    let project = Project::new(&plain(12));
    let until = Selection::Until(ids(&["few"]));
    let finished = project.try_part(PLAIN, &until).unwrap();
    assert_eq!(project.lab.taken(), work([("lines", 1), ("split", 12), ("pick", 12)]));
    assert_eq!(
        finished.record.stages.iter().map(|stage| stage.id.as_str()).collect::<Vec<_>>(),
        ["lines", "words", "few"]
    );
    assert!(project.try_part(PLAIN, &until).unwrap().nothing_to_do);
    let only = Selection::Only(ids(&["bundle"]));
    project.try_part(PLAIN, &only).unwrap();
    assert_eq!(project.lab.taken(), work([("pack", 1), ("page", 4)]));
    let from = Selection::From(ids(&["few"]));
    project.try_part(PLAIN, &from).unwrap();
    assert_eq!(project.lab.taken(), work([("sum", 1)]));
    // Part by part, all of it: no part took away what another wrote.
    assert_same(&project.results("plain"), &expected(&plain(12)));
    project.run(PLAIN);
    assert_eq!(project.lab.taken(), work([]));
    assert_same(&project.results("plain"), &expected(&plain(12)));
}

#[test]
fn what_a_part_needs_must_be_there() {
    let project = Project::new(&plain(12));
    let totals = Selection::Only(ids(&["totals"]));
    let missed = |selection: &Selection, story: &str| {
        let error = project.try_part(PLAIN, selection).err().unwrap();
        assert_eq!((error.to_string().as_str(), error.ending()), (story, Ending::Missed));
        assert_eq!(project.lab.taken(), work([]));
    };
    missed(&totals, "stage `lines` would run: its result is not in the store");
    let plan = project.part(PLAIN, &totals).unwrap().plan(&RunOptions::default()).unwrap().to_string();
    assert!(plan.starts_with("lines   runs 1 unit; it is not asked to, so the run would end here\n"), "{plan}");
    assert!(!plan.contains("bundle"), "{plan}");
    project.try_part(PLAIN, &Selection::Until(ids(&["lines"]))).unwrap();
    project.lab.taken();
    missed(&Selection::From(ids(&["few", "bundle"])), "stage `words` would run: record `t000` is not in the store");
}

#[test]
fn a_name_that_cannot_be_asked_for_is_refused() {
    let project = Project::new(&plain(1));
    let loops = "\
version: 1
stages:
  lines: {kind: lines, with: {file: texts.jsonl}}
  never: {kind: pick, if: \"${{ 1 > 2 }}\", needs: {records: lines}, with: {most: 1}}
";
    for (id, story) in [
        ("linse", "there is no stage `linse`; did you mean `lines`?"),
        ("never", "`never` will not run: its `if` is false"),
    ] {
        match project.part(loops, &Selection::Only(ids(&[id]))) {
            Err(RunError::Unknown(told)) => assert_eq!(told, story),
            _ => panic!("{id} was taken"),
        }
    }
    let growth = crate::simulation::growth(1, 1, 1);
    let error = project.part(&growth, &Selection::Until(ids(&["growth/words"]))).err().unwrap();
    assert_eq!(error.to_string(), "`growth/words` is in a loop, which runs as a whole: name `growth`");
    // What is left alone needs no files: only its own mistakes can be told of it.
    let workflow = narrow(project.load(&growth), &Selection::Until(ids(&["lines"]))).unwrap();
    assert_eq!(workflow.nodes.len(), 1);
}
