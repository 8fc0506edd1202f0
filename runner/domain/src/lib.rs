//! The field's words: records, config types, and the ports through which stages reach engines. Data and traits; the only algorithm is
//! [`sentence`], the rule that every engine must keep alike.
//!
//! Reading order: [`records`] (what flows along the edges), [`ports`] (what engines must offer), [`config`] (types shared by
//! `with:` blocks). [`KINDS`] is the one list of artifact kinds.

pub mod config;
#[cfg(feature = "fakes")]
pub mod fakes;
pub mod ports;
pub mod records;
pub mod sentence;

use sentinel_core::artifact::{Form, KindInfo};

use records::{Caption, Description, Detection, Dialogue, Dropped, Measurement, Mention, Pair, Sentence, Verdict};

/// Every artifact kind, sorted by name.
pub static KINDS: &[KindInfo] = &[
    files("adapter", "a LoRA adapter in PEFT layout"),
    files("annotations", "ground truth in COCO instances format"),
    rows("captions", "a whole caption of a picture, sentence by sentence", || schemars::schema_for!(Caption)),
    files("checkpoint", "a model in the Hugging Face directory layout"),
    files("dataset", "records written in another program's format"),
    KindInfo {
        ends_loop: Some(Description::row_ends_loop),
        ..rows("descriptions", "a picture, a question, and the description grown so far", || {
            schemars::schema_for!(Description)
        })
    },
    rows("detections", "boxes one detector found in a picture", || schemars::schema_for!(Detection)),
    rows("dialogues", "a question about a picture and its answer", || schemars::schema_for!(Dialogue)),
    rows("drops", "a record that was left out", || schemars::schema_for!(Dropped)),
    rows("measurements", "a named number", || schemars::schema_for!(Measurement)),
    rows("mentions", "an object named in a sentence", || schemars::schema_for!(Mention)),
    rows("pairs", "a chosen and a rejected sentence in the same context", || schemars::schema_for!(Pair)),
    rows("sentences", "a candidate next sentence", || schemars::schema_for!(Sentence)),
    files("tables", "tables and training curves"),
    rows("verdicts", "what the detectors say of a named object", || schemars::schema_for!(Verdict)),
];

const fn rows(name: &'static str, summary: &'static str, schema: fn() -> schemars::Schema) -> KindInfo {
    KindInfo { name, form: Form::Rows, summary, schema: Some(schema), ends_loop: None }
}

const fn files(name: &'static str, summary: &'static str) -> KindInfo {
    KindInfo { name, form: Form::Files, summary, schema: None, ends_loop: None }
}
