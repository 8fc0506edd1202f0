//! A run as Markdown, for the summaries of continuous integration: what changed between the compared stages, what every stage did,
//! what was set aside. Nothing a record says can become markup.

use super::compare::{Comparison, comparisons};
use super::model::ReportModel;
use super::record::{RunRecord, StageRecord};
use super::text::{compared_row, headline};
use super::wording::{amount, count, counted, duration, safe};

const NAME_CHARS_MAX: usize = 60;
/// Characters of a reason that are told.
const STORY_CHARS_MAX: usize = 300;
const ROWS_MAX: usize = 40;
const ASIDE_MAX: usize = 20;

/// Writes a run as Markdown.
pub fn markdown(model: &ReportModel) -> String {
    let mut text = format!("## {}\n", plain(&headline(&model.run), usize::MAX));
    for compared in comparisons(model) {
        text += &comparison(&compared);
    }
    text += &stages(&model.run);
    text + &aside(&model.run)
}

fn comparison(compared: &Comparison<'_>) -> String {
    let names = compared.stages.iter().map(|stage| plain(stage, NAME_CHARS_MAX));
    let head: Vec<String> =
        std::iter::once(plain(compared.heading, NAME_CHARS_MAX)).chain(names).chain(["change".to_owned()]).collect();
    let rows = compared.rows.iter().take(ROWS_MAX);
    let rows = rows.map(|row| compared_row(row).iter().map(|cell| plain(cell, NAME_CHARS_MAX)).collect());
    table(&head, rows.collect())
}

fn stages(run: &RunRecord) -> String {
    let head = ["stage", "made", "units", "computed", "set aside", "time"].map(str::to_owned);
    let rows = run.stages.iter().filter(|stage| stage.kind != "loop").map(stage_row).collect();
    format!("\n<details><summary>Stages</summary>\n{}\n</details>\n", table(&head, rows))
}

fn stage_row(stage: &StageRecord) -> Vec<String> {
    let made = stage.outputs.iter().map(|output| amount(output.rows, &output.name, output.form));
    let aside: u64 = stage.counts.quarantined.values().sum();
    vec![
        plain(&stage.id, NAME_CHARS_MAX),
        plain(&made.collect::<Vec<_>>().join(", "), 4 * NAME_CHARS_MAX),
        count(stage.counts.units),
        count(stage.counts.computed),
        count(aside),
        duration(stage.wall_ms),
    ]
}

fn aside(run: &RunRecord) -> String {
    if run.quarantined() == 0 {
        return String::new();
    }
    let line = |unit: &super::record::Quarantined| {
        let [stage, record, story] = [&unit.stage, &unit.record, &unit.detail].map(|text| plain(text, STORY_CHARS_MAX));
        format!("- {stage}, {record}: {story}\n")
    };
    let lines: String = run.quarantine.iter().take(ASIDE_MAX).map(line).collect();
    format!("\n{} set aside:\n\n{lines}", counted(run.quarantined(), "record"))
}

fn table(head: &[String], rows: Vec<Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let numbers = std::iter::once("---").chain(head.iter().skip(1).map(|_| "---:")).collect::<Vec<_>>().join(" | ");
    format!("\n{}| {numbers} |\n{}", line(head), rows.iter().map(|row| line(row)).collect::<String>())
}

/// Returns a text of unknown origin as Markdown that shows it.
fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    for letter in safe(text, most).chars() {
        match letter {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '\n' | '\r' => plain.push(' '),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' | '@' => {
                plain.push('\\');
                plain.push(letter);
            }
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_says_is_no_markup() {
        let told = plain("a|b <img src=x> [x](http://y) @all\n# `c`", 100);
        let escaped = r"a\|b &lt;img src=x&gt; \[x\]\(http://y\) \@all";
        assert!(told.starts_with(escaped) && !told.contains('\n') && told.contains(r"\# \`c\`"), "{told}");
        let rows = vec![vec!["x".to_owned(), "1".to_owned()]];
        assert_eq!(table(&["a".to_owned(), "b".to_owned()], rows), "\n| a | b |\n| --- | ---: |\n| x | 1 |\n");
    }
}
