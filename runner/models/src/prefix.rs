//! What stands before a sentence, as the decoder remembers it: keys and values of the prompt and of the sentences so far. It is
//! always computed in the same pieces, prompt first, then sentence by sentence, so that its bits do not depend on what was
//! remembered; remembering it only saves time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::{Result, Tensor};
use sentinel_core::digest::Digest;

use crate::families::llama::{KeyValue, Llama, Positions};
use crate::layers::{Adapter, causal_mask};
use crate::model::Place;

/// Keys and values of everything said so far, and the logits of what comes next.
pub(crate) struct Prefix {
    /// A layer's keys and values: (1, P, G·D) each.
    pub(crate) layers: Vec<KeyValue>,
    /// P.
    pub(crate) length: usize,
    /// Position of the token after it: P, or less after a picture whose tokens share positions.
    pub(crate) next: usize,
    /// Logits of the token after it.
    pub(crate) logits: Vec<f32>,
}

impl Prefix {
    /// Goes on from `past` with embedded tokens (1, T, C); `picture` is where one stands among them, and how.
    pub(crate) fn extend(
        decoder: &Llama,
        past: Option<&Self>,
        embedded: &Tensor,
        picture: Option<(usize, Place)>,
        adapter: Option<&Adapter>,
    ) -> Result<Self> {
        let t = embedded.dim(1)?;
        let start = past.map_or(0, |past| past.length);
        let mask = causal_mask(t, start + t, embedded.device())?;
        let mut new: Vec<KeyValue> = Vec::new();
        let layers = past.map(|past| past.layers.as_slice());
        let keep = |key_value| new.push(key_value);
        let from = past.map_or(0, |past| past.next);
        let axes = picture.map(|(at, place)| place.axes(at, t, embedded.device())).transpose()?.flatten();
        let positions = axes.as_ref().map_or(Positions::From(from), Positions::Axes);
        let hidden = decoder.forward(embedded, positions, Some(&mask), layers, adapter, keep)?;
        let logits = decoder.logits(&hidden.narrow(1, t - 1, 1)?)?.flatten_all()?.to_vec1::<f32>()?;
        let layers = match layers {
            None => new,
            Some(old) => old.iter().zip(&new).map(appended).collect::<Result<_>>()?,
        };
        let next = picture.map_or(from + t, |(at, place)| place.position(at, t)[0]);
        Ok(Self { layers, length: start + t, next, logits })
    }

    fn bytes(&self) -> usize {
        self.layers.iter().map(|(keys, values)| 4 * (keys.elem_count() + values.elem_count())).sum()
    }
}

fn appended((old, new): (&KeyValue, &KeyValue)) -> Result<KeyValue> {
    Ok((Tensor::cat(&[&old.0, &new.0], 1)?, Tensor::cat(&[&old.1, &new.1], 1)?))
}

/// Prefixes by what they were made of; those used longest ago go first.
pub(crate) struct Prefixes {
    room: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kept: BTreeMap<Digest, (Arc<Prefix>, u64)>,
    bytes: usize,
    clock: u64,
}

impl Prefixes {
    /// Keeps at most so many bytes.
    pub(crate) fn with_room(room: usize) -> Self {
        Self { room, inner: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &Digest) -> Option<Arc<Prefix>> {
        let mut inner = self.inner.lock().expect("no holder of the lock panics");
        inner.clock += 1;
        let now = inner.clock;
        let (prefix, used) = inner.kept.get_mut(key)?;
        *used = now;
        Some(prefix.clone())
    }

    /// Keeps a prefix in place of the one it was made from.
    pub(crate) fn put(&self, key: Digest, prefix: &Arc<Prefix>, instead_of: Option<&Digest>) {
        let mut inner = self.inner.lock().expect("no holder of the lock panics");
        if let Some((old, _)) = instead_of.and_then(|old| inner.kept.remove(old)) {
            inner.bytes -= old.bytes();
        }
        inner.clock += 1;
        let now = inner.clock;
        inner.bytes += prefix.bytes();
        if let Some((old, _)) = inner.kept.insert(key, (prefix.clone(), now)) {
            inner.bytes -= old.bytes();
        }
        while inner.bytes > self.room {
            let oldest = inner.kept.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let Some((old, _)) = oldest.and_then(|oldest| inner.kept.remove(&oldest)) else { break };
            inner.bytes -= old.bytes();
        }
    }
}
