//! Scaled rotary frequencies, as a configuration says them, against transformers: `tests/reference/rope.py` recorded them.

use std::path::Path;

use candle_core::{Device, Tensor};
use sentinel_models::config::Config;
use sentinel_models::layers::Rotary;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Recorded {
    positions: Vec<u32>,
    head_dim: usize,
    recorded: Vec<Scaled>,
}

#[derive(Deserialize)]
struct Scaled {
    scaling: Value,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// A LLaVA whose language model has these settings beside the least it needs.
fn config(settings: &Value) -> Result<Config, String> {
    let mut text = json!({"model_type": "llama", "hidden_size": 128, "num_attention_heads": 4, "vocab_size": 9});
    text.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
    let vision = json!({"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 28, "patch_size": 14});
    let whole = json!({"model_type": "llava", "image_token_index": 5, "vision_config": vision, "text_config": text});
    Config::parse(&whole.to_string())
}

#[test]
fn frequencies_are_slowed_down_as_transformers_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/ops/rope-scaled.json");
    let recorded: Recorded = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(recorded.recorded.len(), 4);
    for Scaled { scaling, cos, sin } in recorded.recorded {
        // As transformers 5 writes it, and as 4 did.
        let mut old = scaling.clone();
        let theta = old.as_object_mut().unwrap().remove("rope_theta").unwrap();
        let spellings = [json!({"rope_parameters": scaling}), json!({"rope_scaling": old, "rope_theta": theta})];
        for settings in spellings {
            let text = config(&settings).unwrap().text;
            let rotary =
                Rotary::scaled(recorded.head_dim, text.rope_theta, text.rope_scaling, 64, &Device::Cpu).unwrap();
            let positions = Tensor::new(vec![recorded.positions.clone()], &Device::Cpu).unwrap();
            let (ours_cos, ours_sin) = rotary.gather(&positions).unwrap();
            for (ours, theirs) in [(ours_cos, &cos), (ours_sin, &sin)] {
                let ours = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(ours.len(), theirs.len());
                let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-5, "{settings}: {worst:e}");
            }
        }
    }
}

#[test]
fn scalings_that_are_unknown_or_senseless_are_refused() {
    for (scaling, named) in [
        (json!({"rope_type": "yarn", "factor": 2.0}), "`yarn` is not supported"),
        (json!({"type": "linear"}), "`factor` is missing"),
        (json!({"type": "linear", "factor": 0.0}), "`factor` is 0,"),
        (
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0,
                "original_max_position_embeddings": 8192}),
            "`low_freq_factor` 4 is not below",
        ),
    ] {
        let message = config(&json!({"rope_scaling": scaling})).unwrap_err();
        assert!(message.contains(named), "{message}");
    }
}
