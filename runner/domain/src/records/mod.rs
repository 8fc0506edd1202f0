//! What flows along the edges. One file a record; each is a format with a schema in `schemas/`.
//! The names are the field's: description, sentence, mention, detection, verdict, preference pair, caption.

mod caption;
mod description;
mod detection;
mod dialogue;
mod dropped;
mod measurement;
mod mention;
mod pair;
mod sentence;
mod verdict;

pub use caption::Caption;
pub use description::{Description, End, Memory};
pub use detection::{Detection, FoundBox};
pub use dialogue::Dialogue;
pub use dropped::Dropped;
pub use measurement::Measurement;
pub use mention::Mention;
pub use pair::{Pair, PairType};
pub use sentence::Sentence;
pub use verdict::{Standing, Verdict};
