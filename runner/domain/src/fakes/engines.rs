//! Engines that answer by script.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_core::job::Exec;

use crate::ports::{
    AdapterRef, Captioned, Captioning, Catalogue, Converter, Detector, DetectorSpec, EngineError, Engines, Extractor,
    Filter, FilterScope, Kept, NextTokenTask, PerRecord, PluginSpec, PreferenceTask, Prompt, Sampling, Scene,
    SceneDialogue, Scenes, ServerSpec, TrainLog, Trainer, Vlm, VlmSpec, Watch,
};
use crate::records::{FoundBox, Mention, Sentence};

fn catalogue() -> Catalogue {
    Catalogue {
        families: vec!["llava"],
        detectors: vec!["detr", "yolo"],
        losses: vec!["c-dpo", "next-token"],
        model_engine: "no model engine".to_owned(),
        server_engine: "no server engine".to_owned(),
        detector_engine: "no detector engine".to_owned(),
        plugin_engine: "no plugin engine".to_owned(),
        scenes_engine: "no scenes engine".to_owned(),
    }
}

/// Names only: opening anything is an error. For `validate`, `plan` and `schema`.
pub struct NoEngines(Catalogue);

impl Default for NoEngines {
    fn default() -> Self {
        Self(catalogue())
    }
}

fn nothing<T>(what: &str) -> Result<T, EngineError> {
    Err(EngineError::Refused(format!("there is no {what} here")))
}

impl Engines for NoEngines {
    fn vlm(&self, _: &VlmSpec, _: &Exec) -> Result<Arc<dyn Vlm>, EngineError> {
        nothing("model")
    }
    fn server(&self, _: &ServerSpec) -> Result<Arc<dyn Vlm>, EngineError> {
        nothing("server")
    }
    fn detector(&self, _: &DetectorSpec, _: &Exec) -> Result<Arc<dyn Detector>, EngineError> {
        nothing("detector")
    }
    fn extractor(&self, _: &PluginSpec) -> Result<Arc<dyn Extractor>, EngineError> {
        nothing("extractor")
    }
    fn filter(&self, _: &PluginSpec) -> Result<Arc<dyn Filter>, EngineError> {
        nothing("filter")
    }
    fn filter_scope(&self, _: &PluginSpec) -> Result<FilterScope, EngineError> {
        Ok(FilterScope::Unit)
    }
    fn converter(&self, _: &PluginSpec) -> Result<Arc<dyn Converter>, EngineError> {
        nothing("converter")
    }
    fn trainer(&self, _: &Exec) -> Result<Arc<dyn Trainer>, EngineError> {
        nothing("trainer")
    }
    fn scenes(&self) -> Arc<dyn Scenes> {
        Arc::new(PatternScenes)
    }
    fn catalogue(&self) -> &Catalogue {
        &self.0
    }
}

/// Whatever is set is opened, whatever is not is an error.
pub struct FakeEngines {
    /// The model, whatever its path.
    pub vlm: Option<Arc<dyn Vlm>>,
    /// Detectors by the name their asset has in the workflow.
    pub detectors: BTreeMap<String, Arc<dyn Detector>>,
    /// The extractor, whatever its path.
    pub extractor: Option<Arc<dyn Extractor>>,
    /// The filter, whatever its path, and its scope.
    pub filter: Option<(FilterScope, Arc<dyn Filter>)>,
    /// The converter, whatever its path.
    pub converter: Option<Arc<dyn Converter>>,
    /// The trainer.
    pub trainer: Option<Arc<dyn Trainer>>,
    /// The scene composer.
    pub scenes: Arc<dyn Scenes>,
    /// The names.
    pub catalogue: Catalogue,
}

impl Default for FakeEngines {
    fn default() -> Self {
        Self {
            vlm: None,
            detectors: BTreeMap::new(),
            extractor: None,
            filter: None,
            converter: None,
            trainer: None,
            scenes: Arc::new(PatternScenes),
            catalogue: catalogue(),
        }
    }
}

fn set<T: ?Sized>(engine: Option<&Arc<T>>, what: &str) -> Result<Arc<T>, EngineError> {
    engine.map_or_else(|| nothing(what), |engine| Ok(engine.clone()))
}

impl Engines for FakeEngines {
    fn vlm(&self, _: &VlmSpec, _: &Exec) -> Result<Arc<dyn Vlm>, EngineError> {
        set(self.vlm.as_ref(), "model")
    }
    fn server(&self, _: &ServerSpec) -> Result<Arc<dyn Vlm>, EngineError> {
        set(self.vlm.as_ref(), "model")
    }
    fn detector(&self, spec: &DetectorSpec, _: &Exec) -> Result<Arc<dyn Detector>, EngineError> {
        set(self.detectors.get(&spec.name), "detector")
    }
    fn extractor(&self, _: &PluginSpec) -> Result<Arc<dyn Extractor>, EngineError> {
        set(self.extractor.as_ref(), "extractor")
    }
    fn filter(&self, _: &PluginSpec) -> Result<Arc<dyn Filter>, EngineError> {
        set(self.filter.as_ref().map(|(_, filter)| filter), "filter")
    }
    fn filter_scope(&self, _: &PluginSpec) -> Result<FilterScope, EngineError> {
        self.filter.as_ref().map_or_else(|| nothing("filter"), |(scope, _)| Ok(*scope))
    }
    fn converter(&self, _: &PluginSpec) -> Result<Arc<dyn Converter>, EngineError> {
        set(self.converter.as_ref(), "converter")
    }
    fn trainer(&self, _: &Exec) -> Result<Arc<dyn Trainer>, EngineError> {
        set(self.trainer.as_ref(), "trainer")
    }
    fn scenes(&self) -> Arc<dyn Scenes> {
        self.scenes.clone()
    }
    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}

/// What a [`FakeVlm`] says to a prompt: sentences, of which an empty one is the model ending at once.
pub type Speech = dyn Fn(&Prompt<'_>) -> Vec<String> + Send + Sync;

/// A model whose candidates are scripted. A caption is the first candidate of each step, until that is empty.
pub struct FakeVlm(pub Box<Speech>);

impl FakeVlm {
    fn candidates(&self, prompt: &Prompt<'_>, n: usize) -> Vec<Sentence> {
        let said = (self.0)(prompt);
        let sentence = |(candidate, text): (u32, &String)| {
            let tokens = text.split_whitespace().count() as u32 + 1;
            Sentence { candidate, text: text.clone(), ended: text.is_empty(), cut: false, tokens }
        };
        (0..).zip(said.iter().cycle().take(if said.is_empty() { 0 } else { n })).map(sentence).collect()
    }
}

impl Vlm for FakeVlm {
    fn sample(
        &self,
        requests: &[Prompt<'_>],
        settings: &Sampling,
        _: Option<&AdapterRef>,
        _: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<Sentence>>>, EngineError> {
        Ok(requests.iter().map(|prompt| Ok(self.candidates(prompt, settings.n as usize))).collect())
    }

    fn caption(
        &self,
        requests: &[Prompt<'_>],
        settings: &Captioning,
        _: Option<&AdapterRef>,
        _: &dyn Watch,
    ) -> Result<Vec<PerRecord<Captioned>>, EngineError> {
        let complete = |prompt: &Prompt<'_>| {
            let mut sentences = prompt.context.to_vec();
            loop {
                let prompt = Prompt { context: &sentences.clone(), ..prompt.clone() };
                let next = self.candidates(&prompt, 1).into_iter().next().filter(|next| !next.ended);
                let cut = sentences.len() >= settings.max_sentences as usize;
                match next.filter(|_| !cut) {
                    Some(next) => sentences.push(next.text),
                    None => return Ok(Captioned { tokens: sentences.len() as u32, sentences, cut }),
                }
            }
        };
        Ok(requests.iter().map(complete).collect())
    }
}

/// What a [`FakeDetector`] finds in an encoded picture.
pub type Sight = dyn Fn(&[u8]) -> Vec<String> + Send + Sync;

/// A detector that finds what its script says in a picture.
pub struct FakeDetector {
    /// The names it can see; `None` for an open vocabulary.
    pub vocabulary: Option<Vec<String>>,
    /// Picture bytes → names found, each with a box of the same place.
    pub finds: Box<Sight>,
}

impl Detector for FakeDetector {
    fn vocabulary(&self) -> Option<&[String]> {
        self.vocabulary.as_deref()
    }

    fn detect(
        &self,
        pictures: &[Arc<Vec<u8>>],
        phrases: &[Vec<String>],
        _: &dyn Watch,
    ) -> Result<Vec<PerRecord<Vec<FoundBox>>>, EngineError> {
        let answer = |(picture, phrases): (&Arc<Vec<u8>>, &Vec<String>)| {
            let asked = |name: &String| self.vocabulary.is_some() || phrases.contains(name);
            let found = (self.finds)(picture).into_iter().filter(asked);
            Ok(found.map(|name| FoundBox { name, score: 0.9, xyxy: [1.0, 2.0, 30.0, 40.0] }).collect())
        };
        Ok(pictures.iter().zip(phrases).map(answer).collect())
    }
}

/// An extractor that knows some words: surface → canonical name.
pub struct WordExtractor(pub BTreeMap<String, String>);

impl Extractor for WordExtractor {
    fn extract(&self, _: &str, units: &[Vec<Sentence>]) -> Result<Vec<PerRecord<Vec<Mention>>>, EngineError> {
        let mentions = |sentence: &Sentence| {
            let mut found = Vec::new();
            for (start, _) in sentence.text.char_indices() {
                let rest = &sentence.text[start..];
                let length = rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len());
                let inside = sentence.text[..start].ends_with(char::is_alphanumeric);
                if let (Some(name), false) = (self.0.get(&rest[..length].to_lowercase()), inside) {
                    let (surface, end) = (rest[..length].to_owned(), (start + length) as u32);
                    found.push(Mention {
                        candidate: sentence.candidate,
                        name: name.clone(),
                        surface,
                        start: start as u32,
                        end,
                    });
                }
            }
            found
        };
        Ok(units.iter().map(|sentences| Ok(sentences.iter().flat_map(mentions).collect())).collect())
    }
}

/// A filter that asks a function about every row.
pub struct FakeFilter(pub Box<dyn Fn(&str) -> Kept + Send + Sync>);

impl Filter for FakeFilter {
    fn keep(&self, _: &str, units: &[Vec<&str>]) -> Result<Vec<PerRecord<Vec<Kept>>>, EngineError> {
        Ok(units.iter().map(|rows| Ok(rows.iter().map(|row| (self.0)(row)).collect())).collect())
    }
}

/// A converter that writes the rows as they are, one a line.
pub struct LineConverter;

impl Converter for LineConverter {
    fn convert(&self, _: &str, rows: &mut dyn Iterator<Item = &str>) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        let lines: Vec<&str> = rows.collect();
        Ok(vec![("rows.jsonl".to_owned(), lines.join("\n").into_bytes())])
    }
}

/// A trainer that writes what it was given to learn into the file a real one would write weights to.
pub struct RecordingTrainer;

impl Trainer for RecordingTrainer {
    fn preference(&self, task: &PreferenceTask<'_>, _: &dyn Watch) -> Result<TrainLog, EngineError> {
        let pairs: Vec<String> = task.pairs.iter().map(|pair| format!("{} > {}", pair.chosen, pair.rejected)).collect();
        let text = format!("{} rank {} beta {}\n{}\n", task.loss, task.rank, task.beta, pairs.join("\n"));
        write(task.out, "adapter_model.safetensors", &text)
    }

    fn next_token(&self, task: &NextTokenTask<'_>, _: &dyn Watch) -> Result<TrainLog, EngineError> {
        let answers: Vec<String> = task.dialogues.iter().map(|dialogue| dialogue.answer.join(" ")).collect();
        write(task.out, "model.safetensors", &answers.join("\n"))
    }
}

fn write(out: &std::path::Path, name: &str, text: &str) -> Result<TrainLog, EngineError> {
    std::fs::write(out.join(name), text).map_err(|error| EngineError::World(error.to_string()))?;
    let readings = ["loss", "margin", "accuracy"].map(str::to_owned).to_vec();
    Ok(TrainLog { readings, steps: vec![vec![0.7, 0.0, 0.5], vec![0.5, 0.4, 0.75]] })
}

/// Scenes whose picture is a text that names them.
pub struct PatternScenes;

impl Scenes for PatternScenes {
    fn compose(&self, seed: u64, split: &str, index: u32) -> Result<Scene, EngineError> {
        let id = format!("{split}-{index:06}");
        Ok(Scene {
            png: format!("picture of {id} under {seed}").into_bytes(),
            truth: format!("{{\"of\":\"{id}\"}}"),
            id,
        })
    }

    fn annotations(&self, scenes: &[Scene]) -> Result<Vec<u8>, EngineError> {
        let image =
            |(number, scene): (usize, &Scene)| format!("{{\"id\":{},\"file_name\":\"{}.png\"}}", number + 1, scene.id);
        let images: Vec<String> = scenes.iter().enumerate().map(image).collect();
        Ok(format!("{{\"images\":[{}],\"annotations\":[],\"categories\":[]}}", images.join(",")).into_bytes())
    }

    fn dialogues(&self, _: u64, scene: &Scene, _: f64) -> Result<Vec<SceneDialogue>, EngineError> {
        let (group, question) = ("describe".to_owned(), "Describe this picture.".to_owned());
        Ok(vec![SceneDialogue { group, question, answer: vec![format!("This is {}.", scene.id)] }])
    }
}
