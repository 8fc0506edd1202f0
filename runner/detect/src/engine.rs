//! Which engine runs ONNX files in this process: ONNX Runtime if a library of it is found and loads, tract otherwise.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::locate::{self, Candidate, Places, VARIABLE, VERSION_MIN};

/// The tract we are built with; a test compares it with `Cargo.lock`.
pub(crate) const TRACT_VERSION: &str = "0.23.9";

/// What runs ONNX files.
#[derive(Debug, Clone)]
pub enum Engine {
    /// ONNX Runtime, loaded from a library.
    OnnxRuntime(Runtime),
    /// tract, part of the program: slower, needs nothing.
    Tract,
}

impl Engine {
    /// Returns the engine and its version, as keys of results have it.
    pub fn identity(&self) -> String {
        match self {
            Self::OnnxRuntime(runtime) => format!("onnxruntime {}", runtime.version),
            Self::Tract => format!("tract {TRACT_VERSION}"),
        }
    }
}

/// A loaded ONNX Runtime.
#[derive(Clone)]
pub struct Runtime {
    /// Where it was found.
    pub library: Candidate,
    /// Its version, for example `1.32.0`.
    pub version: String,
    pub(crate) environment: ort::environment::Environment,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Runtime")
            .field("library", &self.library)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What the search for a library came to; `Display` tells it to people, a line a finding.
#[derive(Debug, Clone)]
pub struct Search {
    /// The engine in use.
    pub engine: Engine,
    /// Candidates that came first and do not serve, and why.
    pub rejected: Vec<(Candidate, String)>,
    /// Whether `ORT_DYLIB_PATH=none` asked for the fallback.
    pub declined: bool,
}

impl Search {
    /// Searches these places and loads the first library that loads. A process loads one library at most: another one is
    /// rejected from then on.
    pub fn run(places: &Places) -> Self {
        let declined = places.declines_library();
        let mut rejected = Vec::new();
        for candidate in if declined { Vec::new() } else { locate::candidates(places) } {
            match load(&candidate) {
                Ok(runtime) => return Self { engine: Engine::OnnxRuntime(runtime), rejected, declined },
                Err(reason) => rejected.push((candidate, reason)),
            }
        }
        Self { engine: Engine::Tract, rejected, declined }
    }

    /// Returns what the user should know before detectors work: that the library they named does not serve, or that the fallback
    /// is in use without having been asked for, why, and how to get the faster engine.
    pub fn note(&self) -> Option<String> {
        let named = self.rejected.first().filter(|(candidate, _)| candidate.place == VARIABLE);
        let named = named.map(|(candidate, reason)| format!("`{VARIABLE}={}`: {reason}", candidate.path.display()));
        match (&self.engine, named) {
            (Engine::Tract, _) if self.declined => None,
            (Engine::Tract, named) => {
                let why = named.unwrap_or_else(|| "no ONNX Runtime was found".to_owned());
                let (major, minor) = VERSION_MIN;
                Some(format!(
                    "detectors run on the built-in tract, which is slower ({why}); `pip install onnxruntime` ({major}.{minor} or \
                     newer) makes them faster, or name its library in `{VARIABLE}`"
                ))
            }
            (Engine::OnnxRuntime(runtime), named) => {
                let library = runtime.library.path.display();
                named.map(|named| format!("detectors run on `{library}`, not on the library you named ({named})"))
            }
        }
    }
}

impl fmt::Display for Search {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (candidate, reason) in &self.rejected {
            writeln!(out, "not used: `{}` ({}): {reason}", candidate.path.display(), candidate.place)?;
        }
        match &self.engine {
            Engine::OnnxRuntime(Runtime { library, version, .. }) => {
                write!(out, "ONNX Runtime {version}: `{}` ({})", library.path.display(), library.place)
            }
            Engine::Tract if self.declined => write!(out, "tract {TRACT_VERSION}, as `{VARIABLE}=none` asks"),
            Engine::Tract => write!(out, "tract {TRACT_VERSION}, the built-in fallback: no ONNX Runtime found"),
        }
    }
}

/// Returns the search of this process, made once.
pub fn search() -> &'static Search {
    static SEARCH: OnceLock<Search> = OnceLock::new();
    SEARCH.get_or_init(|| Search::run(&Places::of_process()))
}

fn load(candidate: &Candidate) -> Result<Runtime, String> {
    static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = loaded.as_ref() {
        let same = runtime.library.path == candidate.path;
        return same
            .then(|| runtime.clone())
            .ok_or_else(|| format!("`{}` is loaded already", runtime.library.path.display()));
    }
    if !candidate.path.is_file() {
        return Err("there is no such file".to_owned());
    }
    let named = locate::version_of(&candidate.path);
    if let Some(version) = named.as_deref().filter(|version| is_too_old(version)) {
        let (major, minor) = VERSION_MIN;
        return Err(format!("it is version {version}, and {major}.{minor} is the oldest that serves"));
    }
    // Errors come back as values; the library's own log would write over the progress lines.
    let silent = Arc::new(|_: ort::logging::LogLevel, _: &str, _: &str, _: &str, _: &str| {});
    let builder = ort::init_from(&candidate.path).map_err(|error| error.to_string())?;
    let built = builder.with_name("sentinel").with_telemetry(false).with_logger(silent).build();
    let environment = built.map_err(|error| error.to_string())?;
    let version = named.unwrap_or_else(|| ort::info().to_owned());
    let runtime = Runtime { library: candidate.clone(), version, environment };
    *loaded = Some(runtime.clone());
    Ok(runtime)
}

fn is_too_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < VERSION_MIN
}
