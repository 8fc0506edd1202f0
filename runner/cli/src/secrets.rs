//! Secrets by name: from the file given on purpose, else from the environment variable a workflow names. They never enter a key, a log
//! or a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sentinel_domain::ports::EngineError;

/// Where secrets come from.
#[derive(Default)]
pub(crate) struct Secrets {
    file: Option<(PathBuf, BTreeMap<String, String>)>,
}

impl Secrets {
    /// Reads a file of secrets, if one is given. Its text is never part of an error.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the secrets in `{}` cannot be read: {error}", path.display()))?;
        let secrets = serde_yaml::from_str(&text)
            .map_err(|_| format!("`{}` is no YAML mapping of names to texts", path.display()))?;
        Ok(Self { file: Some((path.to_owned(), secrets)) })
    }

    /// Returns the secret of a name.
    pub(crate) fn of(&self, name: &str) -> Result<String, EngineError> {
        let missing = |place: String| EngineError::Refused(format!("secret `{name}` is not {place}"));
        match &self.file {
            Some((path, secrets)) => {
                secrets.get(name).cloned().ok_or_else(|| missing(format!("in `{}`", path.display())))
            }
            None => std::env::var(name)
                .map_err(|_| missing("an environment variable, and no `--secrets FILE` is given".to_owned())),
        }
    }
}
