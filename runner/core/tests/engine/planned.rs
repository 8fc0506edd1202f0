//! What is planned is what then happens: units found and computed, stage by stage, and what has to be left open is left open.

use std::collections::BTreeMap;

use sentinel_core::plan::Plan;
use sentinel_core::report::record::RunRecord;
use sentinel_core::session::RunOptions;

use crate::kinds::Lab;
use crate::plain::{PLAIN, expected, plain};
use crate::project::{Project, counts};
use crate::results::{assert_same, project as growing};
use crate::simulation::{SEED, growth, simulate};
use crate::texts::{Text, lines, texts};

/// What is changed of a project that has run, what is planned of it then, and what that computes: units by kind.
type Case = (&'static str, fn(&mut Vec<Text>, &mut String, &Lab), &'static str, &'static [(&'static str, u64)]);

/// Stages stand with the units found and those to be computed; `?` where more is open.
const CASES: &[Case] = &[
    ("nothing", |_, _, _| (), "lines 1+0, words 12+0, few 12+0, totals 1+0, bundle 1+0", &[]),
    (
        "a setting with other results",
        |_, flow, _| *flow = flow.replace("most: 2", "most: 1"),
        "lines 1+0, words 12+0, few 0+12, totals 0+0?, bundle 1+0",
        &[("pick", 12), ("sum", 1)],
    ),
    (
        "a setting with the same results",
        |_, flow, _| *flow = flow.replace("most: 2", "most: 3"),
        "lines 1+0, words 12+0, few 0+12, totals 0+0?, bundle 1+0",
        &[("pick", 12)],
    ),
    (
        "a setting of which one output knows",
        |_, flow, _| *flow = flow.replace("needs: {texts", "with: {all: true}, needs: {texts"),
        "lines 1+0, words 0+12, few 0+0?, totals 0+0?, bundle 0+0?",
        &[("split", 12)],
    ),
    (
        "settings that no result knows",
        |_, flow, _| *flow = flow.replace("exec: {batch: 4}", "exec: {batch: 5, threads: 2}, retries: 2, timeout: 1h"),
        "lines 1+0, words 12+0, few 12+0, totals 1+0, bundle 1+0",
        &[],
    ),
    (
        "names",
        |_, flow, _| *flow = flow.replace("few", "short"),
        "lines 1+0, words 12+0, short 12+0, totals 1+0, bundle 1+0",
        &[],
    ),
    (
        "a text",
        |texts, _, _| texts[3].text = "seven eight".into(),
        "lines 0+1, words 0+0?, few 0+0?, totals 0+0?, bundle 0+0?",
        &[("lines", 1), ("pack", 1), ("pick", 1), ("split", 1), ("sum", 1)],
    ),
    (
        "a text behind what is kept of it",
        |texts, _, _| texts[3].text.push_str(" seven"),
        "lines 0+1, words 0+0?, few 0+0?, totals 0+0?, bundle 0+0?",
        &[("lines", 1), ("pack", 1), ("pick", 1), ("split", 1)],
    ),
    (
        "a remark that no stage sees",
        |texts, _, _| texts[3].remark = "another".into(),
        "lines 0+1, words 0+0?, few 0+0?, totals 0+0?, bundle 0+0?",
        &[("lines", 1)],
    ),
    (
        "a record less",
        |texts, _, _| drop(texts.remove(7)),
        "lines 0+1, words 0+0?, few 0+0?, totals 0+0?, bundle 0+0?",
        &[("lines", 1), ("pack", 1), ("sum", 1)],
    ),
    (
        "a record more",
        |texts, _, _| texts.insert(0, Text { id: "new".into(), text: "nine ten".into(), ..Text::default() }),
        "lines 0+1, words 0+0?, few 0+0?, totals 0+0?, bundle 0+0?",
        &[("lines", 1), ("pack", 1), ("pick", 1), ("split", 1), ("sum", 1)],
    ),
    (
        "another order",
        |texts, _, _| texts.swap(0, 1),
        "lines 0+1, words 0+0?, few 0+0?, totals 0+0?, bundle 0+0?",
        &[("lines", 1), ("pack", 1), ("sum", 1)],
    ),
    (
        "a version",
        |_, _, lab| lab.version("pick", 2, None),
        "lines 1+0, words 12+0, few 0+12, totals 0+0?, bundle 1+0",
        &[("pick", 12)],
    ),
    (
        "an engine of a stage nobody needs",
        |_, _, lab| lab.version("pack", 1, Some("engine 2")),
        "lines 1+0, words 12+0, few 12+0, totals 1+0, bundle 0+1",
        &[("pack", 1)],
    ),
    (
        "a seed that nobody draws from",
        |_, flow, _| flow.push_str("seed: 8\n"),
        "lines 1+0, words 12+0, few 12+0, totals 1+0, bundle 1+0",
        &[],
    ),
];

#[test]
fn what_is_planned_after_an_edit_is_what_happens() {
    for (what, edit, plan, computed) in CASES {
        let (mut texts, mut flow) = (plain(12), PLAIN.to_owned());
        let project = Project::new(&texts);
        project.run(&flow);
        edit(&mut texts, &mut flow, &project.lab);
        project.write("texts.jsonl", &lines(&texts));
        check(&project, &flow, RunOptions::default(), plan, computed, what);
    }
}

#[test]
fn what_is_planned_after_part_of_the_work_is_what_happens() {
    let options = |limit| RunOptions { limit, ..RunOptions::default() };
    let project = Project::new(&plain(12));
    let plan = "lines 0+1, words 0+0?, few 0+0?, totals 0+0?, bundle 0+0?";
    let computed: &[_] = &[("lines", 1), ("pack", 1), ("pick", 5), ("split", 5), ("sum", 1)];
    check(&project, PLAIN, options(Some(5)), plan, computed, "a pilot of nothing kept");
    let plan = "lines 1+0, words 5+7, few 5+0?, totals 0+0?, bundle 0+0?";
    let computed: &[_] = &[("pack", 1), ("pick", 7), ("split", 7), ("sum", 1)];
    check(&project, PLAIN, options(None), plan, computed, "all after a pilot");
    let plan = "lines 1+0, words 5+0, few 5+0, totals 1+0, bundle 1+0";
    check(&project, PLAIN, options(Some(5)), plan, &[], "the pilot again");
    assert_same(&project.results("plain"), &expected(&plain(5)));
}

/// Plans, then runs; the plan must be this, the work that, and what was planned without a doubt must be what the record tells.
fn check(project: &Project, flow: &str, options: RunOptions, plan: &str, computed: &[(&'static str, u64)], what: &str) {
    project.lab.taken();
    let planned = project.session(flow).plan(&options).unwrap();
    assert_eq!(written(&planned), plan, "{what}");
    assert_eq!(project.lab.taken(), BTreeMap::new(), "{what}: a plan computes nothing");
    let finished = project.try_run(flow, &options).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut taken = project.lab.taken();
    taken.remove("page");
    assert_eq!(taken, computed.iter().copied().collect(), "{what}");
    if !finished.nothing_to_do {
        assert_kept(&planned, &finished.record, what);
    }
}

fn assert_kept(planned: &Plan, record: &RunRecord, what: &str) {
    for stage in &planned.stages {
        let counts = counts(record, &stage.id);
        if stage.undecided {
            assert!(counts.computed >= stage.runs && counts.hits >= stage.cached, "{what}: {stage:?}: {counts:?}");
        } else {
            assert_eq!((counts.computed, counts.hits), (stage.runs, stage.cached), "{what}: {}", stage.id);
        }
    }
}

fn written(plan: &Plan) -> String {
    let stages = plan
        .stages
        .iter()
        .map(|stage| format!("{} {}+{}{}", stage.id, stage.cached, stage.runs, if stage.undecided { "?" } else { "" }));
    stages.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_seed_changes_what_is_drawn_and_what_hangs_on_it() {
    let (project, _) = growing();
    let flow = growth(64, 64, 1);
    project.run(&flow);
    let other = flow.replace(&format!("seed: {SEED}"), "seed: 8");
    let planned = project.session(&other).plan(&RunOptions::default()).unwrap();
    // Of 70 records 5 have ended before they begin, so that they come out whatever is drawn, and one has no hints to grow from.
    let plan = "lines 1+0, some 1+0, hints 69+0, stock 1+0, growth/words 65+0?, growth/kept 65+0?, growth/more 0+64?, \
                after 5+0?, bundle 0+0?, looked 0+0?, totals 0+0?";
    let sorted = |text: &str| text.split(", ").map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&written(&planned)), sorted(plan));
    let record = project.finished(&other).record;
    assert_kept(&planned, &record, "a seed");
    let texts = texts(70);
    let some: Vec<Text> =
        texts.iter().filter(|text| text.id != "t011").map(|text| Text { fear: None, ..text.clone() }).collect();
    let expected = simulate(8, &texts, &some);
    assert_same(&project.results("growth"), &expected.results);
    assert_eq!(counts(&record, "growth/more").computed, expected.asked["more"], "all of it is drawn anew");
}

#[test]
fn a_plan_is_told_in_words() {
    let project = Project::new(&plain(12));
    project.run(PLAIN);
    let plan = project.session(&PLAIN.replace("most: 2", "most: 1")).plan(&RunOptions::default()).unwrap();
    let told = "\
lines   cached (1 unit)
words   cached (12 units)
few     runs 12 units
          because `with.most` was 2 and is 1
totals  decided after few: cached where that gives the same records
bundle  cached (1 unit)
";
    assert_eq!(plan.to_string(), told);
    // The first step waits for what the loop runs over, a later one for the step before.
    let (project, _) = crate::results::project();
    let flow = crate::simulation::growth(1, 1, 1);
    let after = |flow: &str, stage: &str| {
        let plan = project.session(flow).plan(&RunOptions::default()).unwrap();
        plan.stages.into_iter().find(|planned| planned.id == stage).unwrap().after
    };
    assert_eq!(after(&flow, "growth/words"), ["lines"]);
    project.run(&flow);
    project.lab.version("grow", 2, None);
    assert_eq!(after(&flow, "growth/words"), ["growth/more"]);
}
