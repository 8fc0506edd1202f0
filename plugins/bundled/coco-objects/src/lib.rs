//! The bundled extractor: COCO's 80 objects, by name, synonym and plural.

mod lexicon;

use sentinel_plugin::extractor::{Error, Mention, Sentence};

sentinel_plugin::manifest!("../plugin.toml");
sentinel_plugin::extractor!(extract);

fn extract(_: &str, sentences: Vec<Sentence>) -> Result<Vec<Mention>, Error> {
    let mentions = sentences.iter().flat_map(|sentence| {
        lexicon::mentions(&sentence.text).into_iter().map(|lexicon::Mention { name, start, end }| Mention {
            candidate: sentence.candidate,
            surface: sentence.text[start..end].to_owned(),
            name,
            start: start as u32,
            end: end as u32,
        })
    });
    Ok(mentions.collect())
}
