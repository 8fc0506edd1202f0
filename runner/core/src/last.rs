//! The last run of a workflow, as the store remembers it: what it told and gave can be looked at when its inputs are gone and its
//! file is half edited.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::artifact::FileSet;
use crate::cache::kept::{Artifact, UnitRef};
use crate::cache::store::{Store, StoreError};
use crate::digest::Digest;
use crate::report::model::ReportModel;
use crate::report::record::{OutputRecord, RunRecord, StageRecord};
use crate::report::wording::{counted, named};
use crate::report::{ReportUnit, collect, html};
use crate::run::RunError;
use crate::run::publish::{Publisher, REPORT};
use crate::session::unknown;

/// Larger files are not printed.
const PRINTED_BYTES_MAX: u64 = 16 << 20;

/// The last run of a workflow.
pub struct LastRun {
    store: Store,
    record: RunRecord,
    /// Where its results appear.
    folder: PathBuf,
}

/// What an output holds.
pub enum Content<'s> {
    /// Rows.
    Units(KeptUnits<'s>),
    /// The text of a file.
    Text(String),
}

/// The units of an output.
pub struct KeptUnits<'s> {
    store: &'s Store,
    units: Arc<Vec<UnitRef>>,
}

impl KeptUnits<'_> {
    /// Reads their rows back, unit by unit.
    pub fn iter(&self) -> impl Iterator<Item = Result<ReportUnit, StoreError>> {
        collect::in_order(self.store, &self.units)
    }
}

impl LastRun {
    /// Finds the last run of the workflow called `name`. `out` is the folder in which every workflow has a folder of its own.
    pub fn find(store: &Path, name: &str, out: &Path) -> Result<Self, RunError> {
        if !store.exists() {
            return Err(RunError::Unknown(format!(
                "`{name}` has not run yet: there is no store at `{}`",
                store.display()
            )));
        }
        let store = Store::open(store)?;
        let record = record(&store, name)?;
        Ok(Self { store, record, folder: out.join(name) })
    }

    /// Returns the store that remembers it.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns its record.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Writes its report again and returns where it is; `None` if the store no longer has what it was made from.
    pub fn report(&self) -> Result<Option<PathBuf>, RunError> {
        let Some(model) = shown(&self.store, &self.record)? else { return Ok(None) };
        let page = html::html(&model, &pictures(&self.store)?);
        Publisher::open(&self.folder)?.text(REPORT, &page)?;
        Ok(Some(self.folder.join(REPORT)))
    }

    /// Reads an output back: `stage`, `stage.output`, or of files `stage.output/file`.
    pub fn content(&self, output: &str) -> Result<Content<'_>, RunError> {
        let (id, rest) = output.split_once('.').map_or((output, None), |(id, rest)| (id, Some(rest)));
        let (name, file) = rest.map_or((None, None), |rest| match rest.split_once('/') {
            Some((name, file)) => (Some(name), Some(file)),
            None => (Some(rest), None),
        });
        let Some(stage) = self.record.stage(id) else {
            let names = self.record.stages.iter().map(|stage| stage.id.as_str());
            return Err(unknown(&format!("the last run has no stage `{id}`"), id, names));
        };
        let Some(found) = stage.outputs.iter().find(|output| name.is_none_or(|name| name == output.name)) else {
            let name = name.unwrap_or_default();
            let names = stage.outputs.iter().map(|output| output.name.as_str());
            return Err(unknown(&format!("`{id}` has no output `{name}`"), name, names));
        };
        match (collect::listing(&self.store, &found.listing)?, file) {
            (Artifact::Rows(units), None) => Ok(Content::Units(KeptUnits { store: &self.store, units })),
            (Artifact::Rows(_), Some(_)) => {
                Err(RunError::Unknown(format!("`{id}.{}` is records, and holds no files", found.name)))
            }
            (Artifact::Files(files), file) => self.file(stage, found, &files, file).map(Content::Text),
        }
    }

    /// Reads a file of an output: the one that is named, or the only one.
    fn file(
        &self,
        stage: &StageRecord,
        output: &OutputRecord,
        files: &FileSet,
        file: Option<&str>,
    ) -> Result<String, RunError> {
        let whole = format!("{}.{}", stage.id, output.name);
        let place = self.folder.join(&stage.id).join(&output.name);
        let names = || files.files.keys().map(String::as_str);
        let chosen = match file {
            Some(file) => files.files.get_key_value(file),
            None if files.files.len() == 1 => files.files.first_key_value(),
            None => None,
        };
        let Some((name, entry)) = chosen else {
            if let Some(file) = file {
                let near =
                    crate::diag::did_you_mean(file, names()).map_or_else(String::new, |advice| format!("; {advice}"));
                return Err(RunError::Unknown(format!("`{whole}` has no file `{file}`{near}")));
            }
            let (count, first) = (counted(files.files.len() as u64, "file"), names().next().unwrap_or("…"));
            let story = format!("`{whole}` is {count} in `{}`: {}", place.display(), named(names()));
            return Err(RunError::Unknown(format!("{story}; `{whole}/{first}` prints one of them")));
        };
        let place = place.join(name);
        if entry.bytes > PRINTED_BYTES_MAX {
            return Err(RunError::Unknown(format!(
                "`{}` has {} bytes, too many to print",
                place.display(),
                entry.bytes
            )));
        }
        let bytes = self.store.blob(&entry.digest)?;
        let bytes = bytes.ok_or_else(|| StoreError::Lost(format!("the file `{}`", place.display())))?;
        String::from_utf8(bytes).map_err(|_| RunError::Unknown(format!("`{}` is no text", place.display())))
    }
}

/// Returns the record of a workflow's last run.
pub(crate) fn record(store: &Store, workflow: &str) -> Result<RunRecord, RunError> {
    let mut runs = store.runs(Some(workflow), 1)?;
    runs.pop().ok_or_else(|| RunError::Unknown(format!("`{workflow}` has not run yet")))
}

/// Returns what the report of a run shows; `None` if the store no longer has what that was made from.
pub(crate) fn shown(store: &Store, run: &RunRecord) -> Result<Option<ReportModel>, StoreError> {
    let model = store.report(&run.workflow, &run.digest)?;
    let model = model.and_then(|text| serde_json::from_str::<ReportModel>(&text).ok());
    // Of several runs of the same, the store knows what the last of them showed: the same, but for times.
    Ok(model.map(|model| ReportModel { run: run.clone(), ..model }))
}

/// Returns how the content of pictures is found, as far as it still is.
pub(crate) fn pictures(store: &Store) -> Result<impl Fn(Digest) -> Option<Vec<u8>> + '_, StoreError> {
    let sources = store.remembered_sources()?;
    Ok(move |digest| match store.blob(&digest) {
        Ok(Some(bytes)) => Some(bytes),
        _ => source(&sources, &digest),
    })
}

/// Reads a file of the user's again, if it still has this content.
fn source(sources: &BTreeMap<Digest, PathBuf>, digest: &Digest) -> Option<Vec<u8>> {
    let path = sources.get(digest).filter(|path| path.is_file())?;
    std::fs::read(path).ok().filter(|bytes| Digest::of(bytes) == *digest)
}
