//! Adapters this build cannot serve are refused by name; `generate.rs` shows that those it can serve do what PEFT's do.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use sentinel_models::adapter;
use sentinel_models::config::Config;
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/generate")
}

/// What reading says of the recorded adapter with another configuration and other tensors.
fn read(config: &Value, change: impl Fn(&mut HashMap<String, Tensor>)) -> Result<usize, String> {
    let (from, dir) = (fixtures().join("adapter"), tempfile::tempdir().unwrap());
    let text = std::fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    for (name, value) in config.as_object().unwrap() {
        whole[name] = value.clone();
    }
    std::fs::write(dir.path().join("adapter_config.json"), whole.to_string()).unwrap();
    let file = "adapter_model.safetensors";
    let mut tensors = candle_core::safetensors::load(from.join(file), &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, dir.path().join(file)).unwrap();
    let base = Config::read(&fixtures().join("model")).unwrap();
    match adapter::read(dir.path(), &base.text, &Device::Cpu) {
        Ok(adapter) => Ok(adapter.layers.iter().flatten().flatten().count()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn what_peft_can_ask_for_and_this_build_cannot_do_is_refused() {
    for config in [json!({}), json!({"init_lora_weights": "gaussian"}), json!({"bias": "none", "modules_to_save": []})]
    {
        assert_eq!(read(&config, |_| ()), Ok(4), "{config}");
    }
    for (config, named) in [
        (json!({"peft_type": "IA3"}), "IA3"),
        (json!({"r": 0}), "`r` 0"),
        (json!({"use_dora": true}), "use_dora"),
        (json!({"fan_in_fan_out": true}), "fan_in_fan_out"),
        (json!({"bias": "lora_only"}), "biases"),
        (json!({"modules_to_save": ["lm_head"]}), "modules_to_save"),
        (json!({"rank_pattern": {"q_proj": 8}}), "by pattern"),
        (json!({"alpha_pattern": {"q_proj": 8}}), "by pattern"),
        (json!({"init_lora_weights": "pissa_niter_4"}), "pissa_niter_4"),
        (json!({"alora_invocation_tokens": [1]}), "alora_invocation_tokens"),
        (json!({"layer_replication": [[0, 2]]}), "layer_replication"),
        (json!({"use_qalora": true}), "use_qalora"),
    ] {
        let error = read(&config, |_| ()).unwrap_err();
        assert!(error.contains(named) && error.contains("adapter_config.json"), "{config}: {error}");
    }
}

#[test]
fn tensors_of_another_base_or_half_a_pair_are_refused() {
    const A: &str = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight";
    let rename = |tensors: &mut HashMap<String, Tensor>, name: &str| {
        let tensor = tensors.remove(A).unwrap();
        tensors.insert(name.to_owned(), tensor);
    };
    for (to, named) in [
        (A.replace("layers.0", "layers.7"), "this one has 2 layers"),
        (
            A.replace("q_proj", "down_proj").replace("self_attn", "mlp"),
            "shape [4, 48]; this base and rank ask for [4, 96]",
        ),
        (A.replace("q_proj", "rotary"), "is no low-rank update"),
        (A.replace("lora_A.weight", "lora_A.bias"), "is no low-rank update"),
        (A.replace("language_model", "vision_tower"), "is no low-rank update"),
    ] {
        let error = read(&json!({}), |tensors| rename(tensors, &to)).unwrap_err();
        assert!(error.contains(named), "{to}: {error}");
    }
    let error = read(&json!({}), |tensors| drop(tensors.remove(A))).unwrap_err();
    assert!(error.contains("layer 0, `self_attn.q_proj`: one matrix of the pair is missing"), "{error}");
    let error = read(&json!({"r": 8}), |_| ()).unwrap_err();
    assert!(error.contains("this base and rank ask for"), "{error}");
    let error = read(&json!({}), HashMap::clear).unwrap_err();
    assert!(error.contains("no tensors"), "{error}");
}
