//! A folder to work in: the quickstart with everything it names, a store, a place for results, and the binary.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// Parameters that make the quickstart small.
pub(crate) const QUICKSTART: [&str; 4] = ["--set", "scenes=12", "--set", "held-out=12"];

/// A folder to work in.
pub(crate) struct Desk {
    folder: TempDir,
}

/// How a call ended.
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        // A process that a signal ended has no code.
        Self { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

impl Desk {
    /// Copies the quickstart into a fresh folder, with its paths made absolute: it reads this repository's assets.
    pub(crate) fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        let text = fs::read_to_string(repository().join("workflows/quickstart.yaml")).unwrap();
        desk.write("quickstart.yaml", &text.replace("../", &format!("{}/", repository().display())));
        desk
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path().join("runs")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    /// Edits a file: what is replaced must be there.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path().join(file)).unwrap();
        assert!(text.contains(from), "`{from}` is not in `{file}`");
        self.write(file, &text.replace(from, to));
    }

    pub(crate) fn command(&self, words: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
        command.args(words).args(more).current_dir(self.path());
        if matches!(words[0], "run" | "plan" | "why" | "validate" | "graph" | "cat" | "report" | "trace" | "verify") {
            command.arg("--root").arg(repository());
        }
        command.env("SENTINEL_STORE", self.path().join("store")).env_remove("SENTINEL_LOG");
        command
    }

    pub(crate) fn sentinel(&self, words: &[&str], more: &[&str]) -> Told {
        self.command(words, more).output().unwrap().into()
    }

    /// Runs the quickstart.
    pub(crate) fn run(&self, more: &[&str]) -> Told {
        self.sentinel(&["run", "quickstart.yaml"], more)
    }

    /// Starts the quickstart and does not wait for it; what it tells can be read.
    pub(crate) fn start(&self, more: &[&str]) -> Child {
        self.command(&["run", "quickstart.yaml"], more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts the quickstart by a script of the shell, which gets the program and its arguments.
    pub(crate) fn start_by(&self, script: &str, more: &[&str]) -> Child {
        let own = self.command(&["run", "quickstart.yaml"], more);
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(own.get_program()).args(own.get_args()).current_dir(self.path());
        shell.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Lets a folder be written, or no longer.
    pub(crate) fn permit(&self, folder: &str, write: bool) {
        let mode = if write { "u+w" } else { "a-w" };
        let changed = Command::new("chmod").args(["-R", mode, folder]).current_dir(self.path()).status();
        assert!(changed.unwrap().success());
    }

    /// Reads every result: path below the run's folder → content. The record and the report tell how long things took, so that
    /// of the record only what does not is kept, and of the report only that it is there.
    pub(crate) fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        read_below(&self.out().join("quickstart"), "", &mut files);
        files.remove(".lock");
        files.entry("report.html".into()).and_modify(Vec::clear);
        files.entry("run.json".into()).and_modify(|content| *content = timeless(content));
        files
    }
}

fn read_below(folder: &Path, name: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let own = format!("{name}{}", entry.file_name().into_string().unwrap());
        match entry.path().is_dir() {
            true => read_below(&entry.path(), &format!("{own}/"), files),
            false => {
                files.insert(own, fs::read(entry.path()).unwrap());
            }
        }
    }
}

/// A record without what may differ between equal runs: times, and what came from the store.
fn timeless(record: &[u8]) -> Vec<u8> {
    let mut record: serde_json::Value = serde_json::from_slice(record).unwrap();
    for name in ["started", "wall_ms"] {
        record[name].take();
    }
    for stage in record["stages"].as_array_mut().unwrap() {
        stage["wall_ms"].take();
        stage["when"].take();
        stage["counts"]["hits"].take();
        stage["counts"]["computed"].take();
    }
    serde_json::to_vec(&record).unwrap()
}
