//! Finds the ONNX Runtime library on this computer. It looks at files and starts nothing: which library is used is decided by
//! [`crate::engine`], which loads the first candidate that loads.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The variable that names the library; `none` asks for the fallback.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The oldest ONNX Runtime that serves: the version whose C interface we are built for.
pub const VERSION_MIN: (u32, u32) = (1, ort::MINOR_VERSION);

/// Where the search looks, taken from the process once and passed in by tests.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The value of `ORT_DYLIB_PATH`, if it is set and not empty.
    pub variable: Option<PathBuf>,
    /// The folder of the running program.
    pub program_dir: Option<PathBuf>,
    /// `VIRTUAL_ENV` and `CONDA_PREFIX`, as far as set.
    pub environments: Vec<PathBuf>,
    /// The folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
}

impl Places {
    /// Takes the places from the process's environment.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let program = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
        Self {
            variable: variable(VARIABLE),
            program_dir: program.as_deref().and_then(Path::parent).map(Path::to_owned),
            environments: ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable).collect(),
            path: std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            home: variable("HOME"),
        }
    }

    /// Whether the user asked to use no library.
    pub fn declines_library(&self) -> bool {
        self.variable.as_deref() == Some(Path::new("none"))
    }
}

/// A file that may be the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// Which place it was found in, for people: `ORT_DYLIB_PATH`, `beside the program`, `Python packages`.
    pub place: &'static str,
}

/// Returns every candidate in the order in which they are tried, without repetition. `ORT_DYLIB_PATH` is listed even where it
/// names nothing, so that trying it says so.
pub fn candidates(places: &Places) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |path: PathBuf, place| {
        if !found.iter().any(|known| same_file(&known.path, &path)) {
            found.push(Candidate { path, place });
        }
    };
    if let Some(path) = &places.variable {
        add(path.clone(), VARIABLE);
    }
    for path in places.program_dir.iter().flat_map(|dir| libraries_in(dir)) {
        add(path, "beside the program");
    }
    for packages in package_dirs(places) {
        for path in libraries_in(&packages.join("onnxruntime").join("capi")) {
            add(path, "Python packages");
        }
    }
    found
}

/// Returns the version in a library's file name, or in the name of the `dist-info` folder beside its Python package.
pub fn version_of(library: &Path) -> Option<String> {
    let is_version = |text: &str| text.contains('.') && text.split('.').all(|part| part.parse::<u32>().is_ok());
    let name = library.file_name()?.to_str()?;
    let in_name = name.split_once(".so.").map(|(_, version)| version);
    let in_name = in_name.or_else(|| name.strip_prefix("libonnxruntime.")?.strip_suffix(".dylib"));
    if let Some(version) = in_name.filter(|version| is_version(version)) {
        return Some(version.to_owned());
    }
    let packages = library.parent()?.parent()?.parent()?;
    let version = |name: String| name.strip_prefix("onnxruntime-")?.strip_suffix(".dist-info").map(str::to_owned);
    entries(packages)
        .into_iter()
        .filter_map(|path| version(path.file_name()?.to_str()?.to_owned()))
        .find(|text| is_version(text))
}

/// Python's package folders: those of the active environments, of every `python3` on the path, and the user's own.
fn package_dirs(places: &Places) -> Vec<PathBuf> {
    let mut prefixes = places.environments.clone();
    for dir in &places.path {
        if let Ok(python) = dir.join("python3").canonicalize() {
            // A symbolic link in an environment leads to the base installation: both have packages.
            prefixes.extend(dir.parent().map(Path::to_owned));
            prefixes.extend(python.parent().and_then(Path::parent).map(Path::to_owned));
        }
        if dir.file_name() == Some(OsStr::new("shims")) {
            prefixes.extend(dir.parent().into_iter().flat_map(|root| entries(&root.join("versions"))));
        }
    }
    prefixes.extend(places.home.iter().map(|home| home.join(".local")));
    prefixes.iter().flat_map(|prefix| package_dirs_of(prefix)).collect()
}

fn package_dirs_of(prefix: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![prefix.join("Lib").join("site-packages")];
    for lib in ["lib", "lib64", "local/lib"] {
        let versions = entries(&prefix.join(lib)).into_iter().rev();
        let versions = versions
            .filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("python3")));
        dirs.extend(versions.flat_map(|python| [python.join("site-packages"), python.join("dist-packages")]));
    }
    dirs
}

fn libraries_in(dir: &Path) -> Vec<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name == "onnxruntime.dll"
            || name.starts_with("libonnxruntime.so")
            || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
    };
    entries(dir).into_iter().filter(is_library).filter(|path| path.is_file()).collect()
}

/// Entries of a folder, sorted; none where it cannot be read.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    paths
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
