//! What a person at a terminal sees when a run is over: the program runs on a pseudo-terminal, which `script` of util-linux makes,
//! and what it writes is read as a terminal would show it.

#![cfg(target_os = "linux")]

use std::io::Read;
use std::process::{Command, Stdio};

use crate::desk::{Desk, QUICKSTART};

const ROWS: u16 = 45;
const COLUMNS: u16 = 110;

/// How a run ended, everything that was on the screen at one time or another, and what is there at the end.
struct Seen {
    code: Option<i32>,
    meanwhile: String,
    last: String,
}

fn watch(command: &Command) -> Seen {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| quoted(word.to_str().unwrap())).collect();
    let script = format!("stty rows {ROWS} cols {COLUMNS}; exec {}", words.join(" "));
    let mut typed = Command::new("script");
    typed.args(["--quiet", "--return", "--flush", "--command", &script, "/dev/null"]);
    typed.current_dir(command.get_current_dir().unwrap()).env("TERM", "xterm").env_remove("NO_COLOR");
    typed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = typed.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut written, mut screen) = (child.stdout.take().unwrap(), vt100::Parser::new(ROWS, COLUMNS, 0));
    let (mut bytes, mut meanwhile) = ([0; 4096], String::new());
    while let Ok(count @ 1..) = written.read(&mut bytes) {
        screen.process(&bytes[..count]);
        meanwhile += &screen.screen().contents();
    }
    Seen { code: child.wait().unwrap().code(), meanwhile, last: screen.screen().contents() }
}

#[test]
fn bars_come_and_go_and_the_closing_lines_stay() {
    let desk = Desk::new();
    let Seen { code, meanwhile, last } = watch(&desk.command(&["run", "quickstart.yaml"], &QUICKSTART));
    assert_eq!(code, Some(0), "{last}");
    for bar in ["bootstrap/sample", "units/s", "steps/s"] {
        assert!(meanwhile.contains(bar), "no bar tells `{bar}`: {last}");
    }
    let is_short = |rate: &str| rate.chars().filter(char::is_ascii_digit).count() <= 3 || !rate.contains('.');
    let words: Vec<&str> = meanwhile.split_whitespace().collect();
    let rates: Vec<&str> = words.windows(2).filter(|pair| pair[1].ends_with("s/s")).map(|pair| pair[0]).collect();
    assert!(!rates.is_empty() && rates.iter().all(|rate| is_short(rate)), "{rates:?}");
    let lines: Vec<&str> = last.trim_end().lines().collect();
    for told in ["train ", "after ", "quickstart: 17 stages in", "CHAIR_s", "words", "bootstrap  ", "keep  "] {
        assert!(lines.iter().any(|line| line.trim_start().starts_with(told)), "`{told}` is gone: {last}");
    }
    let places: Vec<&str> = lines[lines.len() - 3..].iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(places, ["results", "report", "store"], "{last}");
    assert!(!last.contains("bootstrap/"), "a bar is left: {last}");
}
