//! A preference pair that a test fills in where it matters.

use sentinel_core::digest::Digest;

use crate::records::{Pair, PairType};

/// Returns a pair about the picture whose bytes are `id`, in this context; no objects are told, and the rest follows from these.
#[must_use]
pub fn pair(id: &str, context: &[&str], chosen: &str, rejected: &str) -> Pair {
    Pair {
        id: id.to_owned(),
        step: context.len() as u32,
        picture: Digest::of(id.as_bytes()),
        image_path: format!("{id}.png"),
        question: "Describe this picture.".to_owned(),
        context: context.iter().map(|sentence| (*sentence).to_owned()).collect(),
        chosen: chosen.to_owned(),
        rejected: rejected.to_owned(),
        objects_of_chosen: Vec::new(),
        hallucinated_in_rejected: Vec::new(),
        factual: Vec::new(),
        named: Vec::new(),
        named_hallucinated: Vec::new(),
        is_last: false,
        pair_type: PairType::Agnostic,
    }
}
