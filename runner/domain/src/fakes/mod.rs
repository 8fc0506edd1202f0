//! Scripted engines and a job in memory: stages, loops, plans and validation are tested with them in milliseconds. Nothing
//! here looks at a picture or runs a model; what a fake answers is what its script says.

mod engines;
mod job;
mod pair;

pub use engines::{
    FakeDetector, FakeEngines, FakeFilter, FakeVlm, LineConverter, NoEngines, PatternScenes, RecordingTrainer, Sight,
    Speech, WordExtractor,
};
pub use job::MemoryJob;
pub use pair::pair;
