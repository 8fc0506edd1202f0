"""Records what transformers computes with a tiny random LLaVA, for `runner/models/tests/parity.rs`.

usage: python tests/reference/llava.py        (torch 2.15, transformers 5.23; writes tests/fixtures/llava-tiny)

The checkpoint is what `save_pretrained` writes. Every branch that LLaVA-1.5 uses is on: the penultimate hidden state of the
tower, the class token dropped, biases, grouped key and value heads, untied embeddings. Weights are perturbed so that no norm
is the identity and no bias is zero.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

OUT = Path(__file__).parent.parent / "fixtures" / "llava-tiny"
NEW_TOKENS = 32


def tiny_model():
    torch.manual_seed(7)
    vision = CLIPVisionConfig(
        hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14,
        projection_dim=32,
    )
    text = LlamaConfig(
        vocab_size=160, hidden_size=48, intermediate_size=112, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=256, rope_theta=10000.0, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=159, vision_feature_layer=-2)
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.08)
    return model


def main():
    model = tiny_model()
    OUT.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(OUT)
    torch.manual_seed(8)
    pixels = torch.randn(2, 3, 56, 56)
    ids = torch.randint(3, 150, (2, 9))
    ids[:, 0] = 1
    prompt = torch.cat([ids[:, :3], torch.full((2, 16), 159), ids[:, 3:]], dim=1)
    mask = torch.ones_like(prompt)
    with torch.no_grad():
        features = torch.stack(list(model.get_image_features(pixel_values=pixels).pooler_output))
        greedy = model.generate(
            input_ids=prompt, attention_mask=mask, pixel_values=pixels, do_sample=False, max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS, eos_token_id=None,
        )
        logits = model(input_ids=greedy, attention_mask=torch.ones_like(greedy), pixel_values=pixels).logits
    save_file(
        {
            "pixels": pixels, "prompt": prompt.int(), "features": features.contiguous(),
            "greedy": greedy[:, prompt.shape[1]:].int().contiguous(), "logits": logits.contiguous(),
        },
        OUT / "expected.safetensors",
    )


main()
