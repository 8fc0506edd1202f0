//! The command line. One variant a command; what a command does stands in `commands/<name>.rs`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sentinel_core::diag::render;
use sentinel_core::run::Selection;
use sentinel_core::workflow::{declared_params, scalar};

use crate::exit::{Exit, HELP};
use crate::printer;

/// Runs declarative workflows that cure vision-language models of object hallucination.
#[derive(Parser)]
#[command(name = "sentinel", version, after_help = HELP, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Tells more on standard error: -v first what a run will compute and why, -vv what is decided on the way. `SENTINEL_LOG`
    /// takes a tracing filter.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, in the order of `--help`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes a folder to start from: a workflow that explains itself, the bundled plugins, and its schema for your editor.
    #[command(
        after_help = "Examples: sentinel new cure\n          sentinel new demo --template quickstart && sentinel run demo/workflow.yaml"
    )]
    New {
        /// The folder; it must be empty or not be there.
        folder: PathBuf,
        /// What to start from.
        #[arg(long, value_enum, default_value_t)]
        template: Template,
    },
    /// Runs a workflow: what is in the store is not computed again.
    #[command(after_help = "Example: sentinel run workflows/quickstart.yaml --set scenes=100")]
    Run(RunArgs),
    /// Says what a run would compute and why, and computes nothing.
    Plan(PlanArgs),
    /// Says why a stage, or one record of it, has to run: which ingredient changed, from what to what.
    Why {
        #[command(flatten)]
        workflow: WorkflowArgs,
        /// The stage; `loop/stage` in a loop's body.
        stage: String,
        /// One record's id.
        record: Option<String>,
    },
    /// Writes down in `sentinel.lock` what a workflow is made of: parameters, and models, plugins and data by their content.
    #[command(after_help = "Example: sentinel lock w.yaml, then sentinel run w.yaml --locked")]
    Lock {
        #[command(flatten)]
        workflow: WorkflowArgs,
        /// Writes nothing, and says what differs.
        #[arg(long)]
        check: bool,
    },
    /// Computes some of what is kept again and compares it, byte by byte: whether the workflow is reproducible here.
    #[command(
        after_help = "Examples: sentinel verify workflows/quickstart.yaml\n          sentinel verify workflows/quickstart.yaml train captions-after --units 20"
    )]
    Verify(VerifyArgs),
    /// Checks a workflow and names every mistake with its place.
    Validate {
        #[command(flatten)]
        workflow: FileArgs,
        /// How mistakes are printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Runs the `tests:` of a workflow: stages on given records, without any model.
    #[command(after_help = "Example: sentinel test examples/own-plugin/workflow.yaml")]
    Test {
        #[command(flatten)]
        workflow: FileArgs,
        /// Writes a JUnit file.
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
    },
    /// Explains a mistake by its code, or lists all codes.
    #[command(after_help = "Example: sentinel explain E0101")]
    Explain {
        /// The code, as it stands in brackets after `error`.
        code: Option<String>,
    },
    /// Draws a workflow's graph.
    Graph {
        #[command(flatten)]
        workflow: FileArgs,
        /// The drawing's language.
        #[arg(long, value_enum, default_value_t)]
        format: Drawing,
    },
    /// Lists what a workflow may name: stages, models, record kinds, detector families, losses.
    List {
        /// A stage kind, for example `sample`: lists what it needs, gives and takes.
        kind: Option<String>,
    },
    /// Prints a JSON Schema: of a workflow file, or of a record kind.
    Schema {
        /// A record kind, for example `pairs`; a workflow file by default.
        kind: Option<String>,
    },
    /// Prints the records of a stage of the last run that came to its end, one JSON object a line.
    #[command(after_help = "Example: sentinel cat workflows/quickstart.yaml bootstrap.pairs | head -3")]
    Cat {
        #[command(flatten)]
        workflow: WorkflowArgs,
        /// `stage`, `stage.output`, or `stage.output/file` where that holds files.
        output: String,
        /// Prints each row with the record it belongs to, and in a loop's body the step.
        #[arg(long)]
        with_id: bool,
    },
    /// Follows one record through the last run: what every stage made of it, by what model, plugin and seed, and from what.
    #[command(after_help = "Example: sentinel trace workflows/quickstart.yaml train-000003 --stage bootstrap/pairs")]
    Trace(TraceArgs),
    /// Lists the runs of this store, the last first.
    Runs {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Writes the report of the last run that came to its end again and prints its path; with two runs, a page that compares them.
    #[command(
        after_help = "Of two, each is named by its workflow's name (the last run of it), by NAME~1 (the one before, and so on), or by the first\ndigits of its digest, as `sentinel runs` lists them.\n\nExamples: sentinel report workflows/quickstart.yaml\n          sentinel report quickstart~1 quickstart"
    )]
    Report {
        #[command(flatten)]
        workflow: WorkflowArgs,
        /// The later of two runs; then WORKFLOW names the earlier.
        other: Option<String>,
    },
    /// Tells how large the store is, checks it, or makes room in it.
    #[command(args_conflicts_with_subcommands = true)]
    Cache {
        #[command(subcommand)]
        what: Option<CacheCommand>,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Says what this machine offers: ONNX Runtime, threads, the store.
    Doctor {
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// What `cache` does beside telling a store's size.
#[derive(Subcommand)]
pub(crate) enum CacheCommand {
    /// Lists what is kept, a line for every way a stage was set up, what was used last first.
    List {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Says how two runs differ: what they were made of, what came in, and which results are other.
    #[command(
        after_help = "A run is named by its workflow (the last run of it), by NAME~1 (the one before, and so on), or by the first digits of\nits digest, as `sentinel runs` lists them.\n\nExamples: sentinel cache diff quickstart~1 quickstart\n          sentinel cache diff 3f09 a41c"
    )]
    Diff {
        /// The earlier run.
        was: String,
        /// The later run; without it, the last run of the same workflow.
        now: Option<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Reads everything and checks it against its digest; what is damaged is removed, and computed anew by the next run.
    Verify {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Removes what was used longest ago: by a run that came to its end, or by the one that computed it.
    #[command(
        after_help = "Examples: sentinel cache prune --older-than 30d\n          sentinel cache prune --max-size 20GiB --dry-run"
    )]
    #[group(id = "room", required = true, multiple = true, args = ["older_than", "max_size"])]
    Prune {
        #[command(flatten)]
        store: StoreArgs,
        /// Lets stay what was used within this time, for example `36h` or `30d`.
        #[arg(long, value_name = "TIME", value_parser = duration)]
        older_than: Option<Duration>,
        /// Lets stay so much, what was used last: `500MiB`, `20GiB`.
        #[arg(long, value_name = "SIZE", value_parser = size)]
        max_size: Option<u64>,
        /// Says what would go, and removes nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let refuse =
        |advice: Option<String>| advice.unwrap_or_else(|| "write a number and a unit: `36h`, `30d`".to_owned());
    scalar::duration(text).map_err(refuse)
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let bytes = units.into_iter().find_map(|(unit, bits)| {
        let count: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        count.checked_mul(1 << bits)
    });
    bytes.ok_or_else(|| "write a whole number and `KiB`, `MiB`, `GiB` or `TiB`".to_owned())
}

/// Which workflow, with which parameters.
#[derive(Args, Clone)]
pub(crate) struct FileArgs {
    /// The workflow file.
    pub(crate) workflow: PathBuf,
    /// Sets a parameter of the workflow.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Reads parameters from a YAML file; `--set` wins over it.
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Vec<PathBuf>,
    /// A further folder the workflow may read.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Vec<PathBuf>,
}

/// Which workflow, on which store.
#[derive(Args, Clone)]
pub(crate) struct WorkflowArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Where results appear; a folder a workflow name.
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Which part of a workflow.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct SelectionArgs {
    /// Only these stages; what they need must be in the store. Other results are left as they are.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    only: Vec<String>,
    /// These stages and all that need them; what else those need must be in the store.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    from: Vec<String>,
    /// These stages and all that they need.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    until: Vec<String>,
}

impl SelectionArgs {
    /// Returns the part that is asked for; `None` for all of it.
    pub(crate) fn selection(&self) -> Option<Selection> {
        let of = |ids: &Vec<String>, make: fn(Vec<String>) -> Selection| (!ids.is_empty()).then(|| make(ids.clone()));
        of(&self.only, Selection::Only)
            .or_else(|| of(&self.from, Selection::From))
            .or_else(|| of(&self.until, Selection::Until))
    }
}

/// Which store.
#[derive(Args, Clone)]
pub(crate) struct StoreArgs {
    /// Where everything computed is kept; by default `.sentinel` beside the repository's root.
    #[arg(long, value_name = "FOLDER", env = "SENTINEL_STORE")]
    pub(crate) store: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) workflow: WorkflowArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretsArgs,
    /// A pilot: lets only so many records out of `read` and `scenes`; the whole run reuses what it computes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Stages that work at the same time at most; by default all whose inputs are there. Changes no byte of a result.
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Tries quarantined records again.
    #[arg(long)]
    pub(crate) retry_quarantined: bool,
    /// Fails at once when anything would have to be computed.
    #[arg(long)]
    pub(crate) fail_on_miss: bool,
    /// Runs only what `sentinel.lock` says: whatever differs is told, and nothing runs.
    #[arg(long)]
    pub(crate) locked: bool,
    /// How the run shows where it is.
    #[arg(long, value_enum)]
    progress: Option<Shown>,
    /// For continuous integration: plain progress, mistakes and failures as GitHub annotations on standard output, and a summary
    /// for the job if GITHUB_STEP_SUMMARY names a file.
    #[arg(long)]
    pub(crate) ci: bool,
    /// Appends a summary in Markdown to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// Writes a JUnit file, a test case a stage.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

impl RunArgs {
    /// Returns how the run shows where it is.
    pub(crate) fn progress(&self) -> Shown {
        self.progress.unwrap_or(if self.ci { Shown::Plain } else { Shown::Auto })
    }
}

/// How a run shows where it is.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    /// Bars on a terminal, plain lines elsewhere.
    Auto,
    /// A line now and then.
    Plain,
    /// An object an event, on standard output.
    Json,
    /// Not at all: warnings and failures only.
    None,
}

/// Arguments of `plan`.
#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) workflow: WorkflowArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Plans a pilot, as `run --limit` would do it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Ends with code 5 when anything would have to be computed.
    #[arg(long)]
    pub(crate) fail_on_miss: bool,
}

/// Arguments of `trace`.
#[derive(Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    pub(crate) workflow: WorkflowArgs,
    /// The record's id.
    pub(crate) record: String,
    /// One stage; `loop/stage` in a loop's body. Then all rows are told.
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// Prints a JSON object a step, with nothing left out.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) workflow: WorkflowArgs,
    /// Stages; `loop/stage` in a loop's body. By default all but those that work on everything at once on the device: training.
    pub(crate) stages: Vec<String>,
    /// Units of each stage that are computed again at most.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) units: usize,
    /// Numbers that differ by so much of the greater one count as equal: for results of another kind of machine.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) tolerance: f64,
    #[command(flatten)]
    pub(crate) secrets: SecretsArgs,
}

/// Where secrets come from.
#[derive(Args, Default)]
pub(crate) struct SecretsArgs {
    /// A YAML file of secrets, each a name and a text; without it, `secret: NAME` is the environment variable NAME.
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1, for example `1e-3`".to_owned())
}

/// What `new` starts from.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Template {
    /// SENTINEL on your own pictures, with the paper's settings.
    #[default]
    OwnPictures,
    /// SENTINEL on the tiny world, with its pictures, model and detectors: runs at once.
    Quickstart,
}

/// How mistakes are printed.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Format {
    /// With the source underlined.
    #[default]
    Human,
    /// As one JSON document.
    Json,
    /// As GitHub workflow annotations.
    Github,
}

/// A drawing's language.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Drawing {
    /// Indented text.
    #[default]
    Text,
    /// Mermaid.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// Parses the command line; help goes to standard output, mistakes to standard error.
pub(crate) fn parse() -> Result<Arguments, Exit> {
    Arguments::try_parse().map_err(|error| {
        // Nothing can be told when the terminal itself is gone.
        let _ = error.print();
        let is_help = error.kind() == clap::error::ErrorKind::DisplayHelp;
        let more = if is_help { parameters(std::env::args_os().skip(1)) } else { String::new() };
        match printer::data(&more) {
            Err(exit) => exit,
            Ok(_) if error.use_stderr() => Exit::Wrong,
            Ok(_) => Exit::Done,
        }
    })
}

/// Lists the parameters of the first workflow file a call for help names: `sentinel run w.yaml --help`.
fn parameters(mut words: impl Iterator<Item = OsString>) -> String {
    let is_workflow = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let Some(path) = words.by_ref().map(PathBuf::from).find(is_workflow) else { return String::new() };
    let here = std::env::current_dir().unwrap_or_default();
    let declared = match declared_params(&path, &here) {
        Ok(declared) => declared,
        Err(found) => return format!("\n{}\n", render::human(&found, false)),
    };
    if declared.is_empty() {
        return format!("\n{} has no parameters.\n", path.display());
    }
    let lines = declared.iter().map(|param| format!("  {:<20} {} ({})\n", param.name, param.help, param.takes()));
    format!("\nParameters of {} (--set NAME=VALUE):\n{}", path.display(), lines.collect::<String>())
}
