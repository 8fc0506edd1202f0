"""Records transformers' scaled rotary frequencies, for `runner/models/tests/rope.rs`.

usage: python tests/reference/rope.py     (torch 2.15, transformers 5.23; writes tests/fixtures/ops/rope-scaled.json)
"""

import json
from pathlib import Path

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

OUT = Path(__file__).parent.parent / "fixtures" / "ops" / "rope-scaled.json"
POSITIONS = [0, 1, 5, 63]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
SCALINGS = [
    {"rope_type": "default", "rope_theta": 10000.0},
    {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5},
    LLAMA3 | {"rope_theta": 500000.0, "original_max_position_embeddings": 8192},
    LLAMA3 | {"rope_theta": 10000.0, "original_max_position_embeddings": 64},
]


def main():
    recorded = []
    for scaling in SCALINGS:
        config = LlamaConfig(hidden_size=128, num_attention_heads=4, max_position_embeddings=64, rope_parameters=dict(scaling))
        cos, sin = LlamaRotaryEmbedding(config)(torch.zeros(1), torch.tensor([POSITIONS]))
        half = lambda table: [round(x, 7) for x in table[0, :, :16].flatten().tolist()]
        recorded.append({"scaling": scaling, "cos": half(cos), "sin": half(sin)})
    OUT.write_text(json.dumps({"positions": POSITIONS, "head_dim": 32, "recorded": recorded}) + "\n")


main()
