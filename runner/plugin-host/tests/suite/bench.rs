//! What the tests share: shipped plugins, plugins from text, rows.

use std::path::{Path, PathBuf};

use sentinel_domain::ports::{EngineError, PluginSpec};
use sentinel_plugin_host::{Limits, PluginHost};
use tempfile::TempDir;

/// Returns the repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns a shipped plugin.
pub(crate) fn shipped(name: &str) -> PluginSpec {
    PluginSpec { name: name.to_owned(), path: root().join(format!("plugins/dist/{name}.wasm")) }
}

/// Returns a host with the usual limits.
pub(crate) fn host() -> PluginHost {
    PluginHost::new(Limits::default()).unwrap()
}

/// A plugin made for a test, there as long as this is.
pub(crate) struct Made {
    /// The plugin.
    pub(crate) spec: PluginSpec,
    _folder: TempDir,
}

/// Writes bytes where a plugin is expected.
pub(crate) fn made(bytes: &[u8]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.wasm");
    std::fs::write(&path, bytes).unwrap();
    Made { spec: PluginSpec { name: "made".to_owned(), path }, _folder: folder }
}

/// A manifest that is right for [`filter`].
pub(crate) const MANIFEST: &str = r#"
name = "made"
version = "0.1.0"
world = "filter"
api = "0.1"
summary = "made for a test"
"#;

/// Returns a filter whose code is this core module's text, with a manifest. The module exports `memory`, `realloc` and `decide`
/// (configuration and rows as two pointers with lengths; a pointer to the result).
pub(crate) fn filter(manifest: &str, interface: &str, module: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (@custom "sentinel:manifest" "{manifest}")
            (core module $module {module})
            (core instance $code (instantiate $module))
            (type $decision' (variant (case "keep") (case "drop" string)))
            (type $error' (variant (case "bad-config" string) (case "bad-record" string)))
            (func $decide' (param "config" string) (param "rows" (list string)) (result (result (list $decision') (error $error')))
                (canon lift (core func $code "decide") (memory (core memory $code "memory")) (realloc (core func $code "realloc"))))
            (component $shell
                (type $d (variant (case "keep") (case "drop" string)))
                (import "type-decision" (type $decision (eq $d)))
                (type $e (variant (case "bad-config" string) (case "bad-record" string)))
                (import "type-error" (type $error (eq $e)))
                (import "decide" (func $decide
                    (param "config" string) (param "rows" (list string)) (result (result (list $decision) (error $error)))))
                (export $decision-out "decision" (type $decision))
                (export $error-out "error" (type $error))
                (export "decide" (func $decide) (func
                    (param "config" string) (param "rows" (list string)) (result (result (list $decision-out) (error $error-out))))))
            (instance $filter (instantiate $shell
                (with "type-decision" (type $decision')) (with "type-error" (type $error')) (with "decide" (func $decide'))))
            (export "{interface}" (instance $filter)))"#,
        manifest = manifest.replace('"', "\\22").replace('\n', "\\0a")
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// The interface's name.
pub(crate) const FILTER: &str = "sentinel:plugin/filter@0.1.0";

/// Returns why something could not be opened.
pub(crate) fn why<T>(opened: Result<T, EngineError>) -> String {
    match opened {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}
