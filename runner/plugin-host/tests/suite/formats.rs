//! The bundled converters through the sandbox: files kept byte for byte under `tests/fixtures/plugins`, and what LLaMA-Factory's own
//! loader reads of them (`tests/reference/llama_factory.py`).

use std::collections::BTreeMap;

use sentinel_domain::fakes;
use sentinel_domain::ports::EngineError;
use sentinel_domain::records::{Pair, PairType};
use serde::Deserialize;

use crate::bench::{host, root, shipped};

fn pair(id: &str, context: &[&str], chosen: &str, rejected: &str) -> Pair {
    let pair_type = if context.is_empty() { PairType::Agnostic } else { PairType::Coherent };
    Pair {
        image_path: format!("pictures/{id}.jpg"),
        question: "Describe this image.".to_owned(),
        objects_of_chosen: vec!["cat".to_owned()],
        hallucinated_in_rejected: vec!["dog".to_owned()],
        factual: vec!["cat".to_owned()],
        pair_type,
        ..fakes::pair(id, context, chosen, rejected)
    }
}

/// Three pictures, one of them not in one piece; quotes, line breaks and letters beyond ASCII.
fn pairs() -> Vec<Pair> {
    vec![
        pair("2324811", &[], "A cat lies on a mat.", "A dog lies on a mat."),
        pair("2324811", &["A cat lies on a mat."], "The cat looks at a cup.", "The cat looks at a dog."),
        pair("17", &["A \"red\" bus waits.", "It rains."], "A man waits, too.", "A dog waits, too."),
        pair(
            "2324811",
            &["A cat lies on a mat."],
            "Café chairs stand around.\n",
            "Tables \\ umbrellas 🐕 stand around.",
        ),
        pair("3", &["A vase stands here."], "Flowers are in it.", "A clock hangs above."),
    ]
}

/// Converts pairs and returns the files.
fn convert(plugin: &str, config: &str, pairs: &[Pair]) -> Result<BTreeMap<String, String>, EngineError> {
    let rows: Vec<String> = pairs.iter().map(|pair| serde_json::to_string(pair).unwrap()).collect();
    let files = host().converter(&shipped(plugin))?.convert(config, &mut rows.iter().map(String::as_str))?;
    Ok(files.into_iter().map(|(path, content)| (path, String::from_utf8(content).unwrap())).collect())
}

/// Compares files with those kept; `UPDATE=1` keeps these.
fn compare(folder: &str, files: &BTreeMap<String, String>) {
    let folder = root().join("tests/fixtures/plugins").join(folder);
    for (name, content) in files {
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), content).unwrap();
        }
        let kept = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(*content, kept, "{} differs; look at it, then UPDATE=1", folder.join(name).display());
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), files.len(), "files too many in {}", folder.display());
}

/// LLaMA-Factory's configurations under test, by the folder of their files.
const LLAMA_FACTORY: [(&str, &str); 4] = [
    ("alpaca", "{}"),
    ("alpaca-column", r#"{"context": "column"}"#),
    ("sharegpt", r#"{"layout": "sharegpt", "name": "my-pairs"}"#),
    ("sharegpt-column", r#"{"layout": "sharegpt", "context": "column"}"#),
];

#[test]
fn llama_factory_files_are_as_kept() {
    for (folder, config) in LLAMA_FACTORY {
        compare(&format!("llama-factory/{folder}"), &convert("llama-factory", config, &pairs()).unwrap());
    }
}

/// A row as LLaMA-Factory aligns it.
#[derive(Debug, PartialEq, Deserialize)]
struct Aligned {
    prompt: Vec<Turn>,
    response: Vec<Turn>,
    images: Vec<String>,
    context: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Turn {
    role: String,
    content: String,
}

#[test]
fn llama_factory_reads_what_the_pairs_say() {
    let text = std::fs::read_to_string(root().join("tests/reference/llama_factory.json")).unwrap();
    let read: BTreeMap<String, Vec<Aligned>> = serde_json::from_str(&text).unwrap();
    assert!(read.keys().eq(LLAMA_FACTORY.iter().map(|(folder, _)| folder)));
    for (folder, rows) in &read {
        let apart = folder.ends_with("-column");
        let turn = |role: &str, content: String| Turn { role: role.to_owned(), content };
        let expected = pairs().into_iter().map(|pair| {
            let before = pair.context.join(" ");
            let answer = |sentence: String| match before.as_str() {
                "" => sentence,
                _ if apart => sentence,
                before => format!("{before} {sentence}"),
            };
            Aligned {
                prompt: vec![turn("user", "<image>Describe this image.".to_owned())],
                response: vec![turn("assistant", answer(pair.chosen)), turn("assistant", answer(pair.rejected))],
                images: vec![pair.image_path],
                context: Some(before.clone()).filter(|before| apart && !before.is_empty()),
            }
        });
        assert_eq!(*rows, expected.collect::<Vec<_>>(), "{folder}");
    }
}

#[test]
fn llama_factorys_marks_stand_where_it_counts_them() {
    let mut marked = pair("1", &[], "A cat.", "A dog.");
    marked.question = "<image>\nWhat is this?".to_owned();
    let files = convert("llama-factory", "{}", std::slice::from_ref(&marked)).unwrap();
    assert!(files["sentinel.json"].contains(r#""instruction":"<image>\nWhat is this?""#), "{files:?}");
    for (question, context, chosen) in [
        ("<image><image>Which?", "", "A cat."),
        ("Which?", "See <image>.", "A cat."),
        ("Which?", "", "A <video>."),
        ("Hear <audio>?", "", "A cat."),
    ] {
        let wrong = Pair { question: question.to_owned(), ..pair("1", &[context], chosen, "A dog.") };
        let refused = convert("llama-factory", "{}", &[wrong]);
        assert!(
            matches!(&refused, Err(EngineError::Refused(why)) if why.contains("mark of LLaMA-Factory")),
            "{refused:?}"
        );
    }
}

#[test]
fn hadpo_files_are_as_kept() {
    compare("hadpo", &convert("hadpo", r#"{"file": "desc.json"}"#, &pairs()).unwrap());
}

/// The layout of `spec` as SENTINEL's trainer reads it: an object from image id to pairs, each with a context that may be null.
#[test]
fn hadpo_keeps_every_pair_under_its_image() {
    let files = convert("hadpo", "{}", &pairs()).unwrap();
    let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&files["pairs.json"]).unwrap();
    let expected = serde_json::json!({
        "2324811": [
            { "question": "Describe this image.", "context": null, "y_win": "A cat lies on a mat.",
              "y_lose": "A dog lies on a mat.", "type": "y-" },
            { "question": "Describe this image.", "context": "A cat lies on a mat.", "y_win": "The cat looks at a cup.",
              "y_lose": "The cat looks at a dog.", "type": "y+" },
            { "question": "Describe this image.", "context": "A cat lies on a mat.", "y_win": "Café chairs stand around.\n",
              "y_lose": "Tables \\ umbrellas 🐕 stand around.", "type": "y+" },
        ],
        "17": [{ "question": "Describe this image.", "context": "A \"red\" bus waits. It rains.", "y_win": "A man waits, too.",
                 "y_lose": "A dog waits, too.", "type": "y+" }],
        "3": [{ "question": "Describe this image.", "context": "A vase stands here.", "y_win": "Flowers are in it.",
                "y_lose": "A clock hangs above.", "type": "y+" }],
    });
    assert_eq!(serde_json::Value::Object(read), expected);
    assert_eq!(files["pairs.json"].matches("\"2324811\"").count(), 1, "a key that stands twice loses its first pairs");
}

#[test]
fn no_pairs_are_an_empty_data_set() {
    assert_eq!(convert("hadpo", "{}", &[]).unwrap()["pairs.json"], "{\n}\n");
    assert_eq!(convert("llama-factory", "{}", &[]).unwrap()["sentinel.json"], "[]\n");
}

#[test]
fn what_is_no_pair_or_configuration_is_refused() {
    for plugin in ["hadpo", "llama-factory"] {
        let converter = host().converter(&shipped(plugin)).unwrap();
        let row = r#"{"id": "1", "question": 3}"#;
        let refused = converter.convert("{}", &mut std::iter::once(row));
        assert!(
            matches!(&refused, Err(EngineError::Refused(why)) if why.contains("invalid type: integer `3`")),
            "{refused:?}"
        );
    }
    let refused = convert("llama-factory", r#"{"layout": "csv"}"#, &[]);
    assert!(matches!(&refused, Err(EngineError::Refused(why)) if why.contains("unknown variant `csv`")), "{refused:?}");
}
