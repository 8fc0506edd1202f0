//! What each command does, a file each; the way they share stands here: a workflow is loaded and its mistakes are told, a session
//! is opened, an error becomes a message and an exit code.

mod cache;
mod cat;
mod doctor;
mod explain;
mod graph;
mod list;
mod lock;
mod new;
mod plan;
mod report;
mod run;
mod runs;
mod schema;
mod test;
mod trace;
mod validate;
mod verify;
mod why;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_core::cache::store::Store;
use sentinel_core::diag::{Diagnostics, render};
use sentinel_core::last::LastRun;
use sentinel_core::run::{Ending, RunError, Selection, TooMany, narrow};
use sentinel_core::session::{Session, default_store};
use sentinel_core::workflow::params::Given;
use sentinel_core::workflow::paths::Roots;
use sentinel_core::workflow::{Combination, Registry, Settings, Workflow, name_of};
use sentinel_domain::ports::Engines;
use sentinel_plugin_host::Manifests;

use crate::args::{Arguments, Command, FileArgs, RunArgs, StoreArgs, VerifyArgs, WorkflowArgs};
use crate::engines::NativeEngines;
use crate::exit::Exit;
use crate::printer;
use crate::secrets::Secrets;

/// What every command has at hand.
struct Desk {
    engines: Arc<dyn Engines>,
    manifests: Manifests,
}

impl Desk {
    fn registry(&self) -> Registry<'_> {
        sentinel_stages::registry(&self.engines, &self.manifests)
    }
}

/// Does what the command line asks for.
pub(crate) fn dispatch(arguments: &Arguments) -> Exit {
    let secrets = match &arguments.command {
        Command::Run(RunArgs { secrets, .. }) | Command::Verify(VerifyArgs { secrets, .. }) => {
            Secrets::read(secrets.secrets.as_deref())
        }
        _ => Ok(Secrets::default()),
    };
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(message) => {
            printer::say(&format!("error: {message}"));
            return Exit::Wrong;
        }
    };
    let desk = Desk { engines: Arc::new(NativeEngines::new(secrets)), manifests: Manifests };
    let done = match &arguments.command {
        Command::New { folder, template } => new::run(folder, *template),
        Command::Run(args) => run::run(&desk, args, arguments.verbose > 0),
        Command::Plan(args) => plan::run(&desk, args),
        Command::Why { workflow, stage, record } => why::run(&desk, workflow, stage, record.as_deref()),
        Command::Lock { workflow, check } => lock::run(&desk, workflow, *check),
        Command::Verify(args) => verify::run(&desk, args),
        Command::Validate { workflow, format } => validate::run(&desk, workflow, *format),
        Command::Test { workflow, junit } => test::run(&desk, workflow, junit.as_deref()),
        Command::Explain { code } => explain::run(code.as_deref()),
        Command::Graph { workflow, format } => graph::run(&desk, workflow, *format),
        Command::List { kind } => list::run(&desk, kind.as_deref()),
        Command::Schema { kind } => schema::run(&desk, kind.as_deref()),
        Command::Cat { workflow, output, with_id } => cat::run(&desk, workflow, output, *with_id),
        Command::Trace(args) => trace::run(&desk, args),
        Command::Runs { store } => runs::run(store),
        Command::Report { workflow, other } => report::run(&desk, workflow, other.as_deref()),
        Command::Cache { what, store } => cache::run(what.as_ref(), store),
        Command::Doctor { store } => doctor::run(&desk, store.store.as_deref()),
    };
    done.unwrap_or_else(|exit| exit)
}

/// What a command returns: how it ended, with an `Err` for an end that has been told already.
type Told = Result<Exit, Exit>;

/// Loads a combination of a workflow; every mistake is told, a file that is not there too if it is needed.
fn load(desk: &Desk, args: &FileArgs, combination: Combination, needs_files: bool) -> Result<Workflow, Diagnostics> {
    let settings = Settings { needs_files, ..settings(args, combination) };
    sentinel_core::workflow::load(&args.workflow, &desk.registry(), &settings)
}

/// Loads what a command looks at that needs no run: the first combination.
fn look(desk: &Desk, args: &FileArgs) -> Result<Workflow, Exit> {
    load(desk, args, Combination::First, false).map_err(|found| refuse(&found))
}

fn settings(args: &FileArgs, combination: Combination) -> Settings {
    let folder = std::env::current_dir().unwrap_or_default();
    let given = Given { set: args.set.clone(), files: args.params.clone(), folder: folder.clone() };
    let roots = args.root.iter().map(|root| folder.join(root)).collect();
    Settings { given, needs_files: false, combination, roots }
}

/// Finds the last run of a workflow, for commands that need neither its files nor that all of it is right.
fn last(desk: &Desk, args: &WorkflowArgs) -> Result<LastRun, Exit> {
    let settings = settings(&args.file, Combination::Given);
    let (name, roots) = name_of(&args.file.workflow, &desk.registry(), &settings).map_err(|found| {
        let exit = refuse(&found);
        printer::say("hint: without the workflow's name its last run cannot be found; `sentinel runs` lists all");
        exit
    })?;
    let store = args.store.store.clone().unwrap_or_else(|| default_store(&roots));
    LastRun::find(&store, &name, &args.out).map_err(|error| fail(&error))
}

/// Loads a workflow and opens its session, for commands that need its files and look at one combination.
fn open(desk: &Desk, args: &WorkflowArgs) -> Result<Session, Exit> {
    session(desk, args, load_part(desk, args, Combination::Given, None, false)?)
}

/// Loads every combination of a workflow, or of a part of it; mistakes are annotations, too, if `annotates`.
fn load_all(
    desk: &Desk,
    args: &WorkflowArgs,
    selection: Option<&Selection>,
    annotates: bool,
) -> Result<Vec<Workflow>, Exit> {
    let first = load_part(desk, args, Combination::First, selection, annotates)?;
    let others: Vec<Combination> = first.combinations().skip(1).collect();
    let others = others.into_iter().map(|one| load_part(desk, args, one, selection, annotates));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn load_part(
    desk: &Desk,
    args: &WorkflowArgs,
    combination: Combination,
    selection: Option<&Selection>,
    annotates: bool,
) -> Result<Workflow, Exit> {
    let refuse = |found: &Diagnostics| match annotates {
        true => printer::data(&render::github(found)).map_or_else(|exit| exit, |_| refuse(found)),
        false => refuse(found),
    };
    // What is left alone needs no files.
    let is_told = matches!(combination, Combination::At(_));
    let workflow = load(desk, &args.file, combination, selection.is_none()).map_err(|found| refuse(&found))?;
    let workflow = match selection {
        Some(selection) => narrow(workflow, selection).map_err(|error| fail(&error))?,
        None => workflow,
    };
    let missing = workflow.missing_paths();
    if missing.has_errors() {
        return Err(refuse(&missing));
    }
    // What there is to remark of one combination has been said of the first.
    if !workflow.warnings.is_empty() && !is_told {
        let warnings = Diagnostics { list: workflow.warnings.clone(), omitted: 0 };
        printer::say(&render::human(&warnings, printer::colour()));
    }
    Ok(workflow)
}

fn session(desk: &Desk, args: &WorkflowArgs, workflow: Workflow) -> Result<Session, Exit> {
    let store = args.store.store.clone().unwrap_or_else(|| default_store(&workflow.roots));
    Session::open(workflow, &desk.registry(), &store, &args.out).map_err(|error| fail(&error))
}

/// Opens a store no workflow is named for: the given one, or that of the repository around the working directory.
fn open_store(args: &StoreArgs) -> Result<Store, Exit> {
    Store::open(&store_folder(args)?).map_err(|error| fail(&error.into()))
}

/// Returns where it lies.
fn store_folder(args: &StoreArgs) -> Result<PathBuf, Exit> {
    let folder = args.store.clone().unwrap_or_else(nearest_store);
    if !folder.exists() {
        printer::say(&format!("error: there is no store at `{}`", folder.display()));
        printer::say("hint: `--store` names another; the first `sentinel run` makes one");
        return Err(Exit::Wrong);
    }
    Ok(folder)
}

fn nearest_store() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    default_store(&Roots::of(&here))
}

/// Tells what is wrong with a workflow.
fn refuse(found: &Diagnostics) -> Exit {
    printer::say(&render::human(found, printer::colour()));
    Exit::Wrong
}

/// Tells an error with what caused it and what to do about it.
fn fail(error: &RunError) -> Exit {
    printer::say(&format!("error: {error}"));
    if let RunError::Quarantine(TooMany { list: Some(list), .. }) = error {
        printer::say(&format!("all of them, with their reasons: {}", shown(list)));
    }
    if let Some(hint) = hint(error) {
        printer::say(&format!("hint: {hint}"));
    }
    match error {
        RunError::Unknown(_) => Exit::Wrong,
        error => ended(error.ending()),
    }
}

fn ended(ending: Ending) -> Exit {
    match ending {
        Ending::Done => Exit::Done,
        Ending::Quarantined => Exit::Quarantined,
        Ending::Failed => Exit::Failed,
        Ending::Interrupted => Exit::Interrupted,
        Ending::Missed => Exit::Missing,
        Ending::Bug => Exit::Bug,
    }
}

fn hint(error: &RunError) -> Option<&'static str> {
    match error {
        RunError::Stage { .. } if error.ending() == Ending::Bug => {
            Some("this is a mistake in sentinel itself; please report it with the output of `sentinel doctor`")
        }
        RunError::Stage { .. } | RunError::Output { .. } => {
            Some("what was done is kept; run again when this is mended")
        }
        RunError::Fault(_) => Some("`on_error: quarantine` sets such records aside and goes on"),
        RunError::Quarantine(_) => Some(
            "mend or remove these records; what fails now and then, `sentinel run --retry-quarantined` tries again",
        ),
        RunError::Miss { .. } => Some("`sentinel why` says what changed; nothing is computed that was not asked for"),
        RunError::Interrupted | RunError::Aborted => Some("run the same command again to go on"),
        RunError::Store(_) | RunError::Unknown(_) => None,
    }
}

/// Returns a path as people read it: relative to the working directory where that is shorter.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
