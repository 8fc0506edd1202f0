"""Records what PyTorch and transformers compute when all parameters learn by next-token loss, for `runner/train/tests/full.rs`.

usage: python tests/reference/next_token.py     (torch 2.15, transformers 5.23; reads tests/fixtures/llava-tiny,
                                                 writes tests/fixtures/next-token)

Two pictures with two groups of rows each; three steps on the first group, then three on the second with a schedule of its own.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlavaForConditionalGeneration

FIXTURES = Path(__file__).parent.parent / "fixtures"
OUT = FIXTURES / "next-token"
IMAGE, AT, IMAGES = 159, 3, 16
PHASES = [
    {"group": "long", "steps": 3, "warmup": 1, "peak": 1e-3, "floor": 4e-4},
    {"group": "short", "steps": 3, "warmup": 0, "peak": 5e-4, "floor": 1e-5},
]
CLIP, BETAS, DECAY = 0.5, (0.9, 0.98), 0.03
# Kept whole; of the others the norm is kept.
WHOLE = ["vision_tower.embeddings.class_embedding", "lm_head.weight", "multi_modal_projector.linear_1.bias"]


def lessons():
    generator = torch.Generator().manual_seed(21)
    draw = lambda n: torch.randint(3, 150, (n,), generator=generator).tolist()
    pictures = []
    for long, short in [(11, 3), (8, 5)]:
        prompt = [1] + draw(AT - 1) + [IMAGE] * IMAGES + draw(4)
        row = lambda n: {"ids": prompt + draw(n), "learnt": [len(prompt), len(prompt) + n]}
        pictures.append({"long": row(long), "short": row(short)})
    return pictures


def rate(phase, step):
    if step < phase["warmup"]:
        return phase["peak"] * step / phase["warmup"]
    done = (step - phase["warmup"]) / max(1, phase["steps"] - phase["warmup"])
    return phase["floor"] + (phase["peak"] - phase["floor"]) * 0.5 * (1 + math.cos(math.pi * done))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    pictures = lessons()
    torch.manual_seed(22)
    pixels = torch.randn(2, 3, 56, 56)
    model = LlavaForConditionalGeneration.from_pretrained(FIXTURES / "llava-tiny", dtype=torch.float32).train()
    named = {name.removeprefix("model."): p for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(named.values(), lr=1.0, betas=BETAS, eps=1e-8, weight_decay=DECAY)
    losses, norms = [], []
    for phase in PHASES:
        batch = [picture[phase["group"]] for picture in pictures]
        longest = max(len(row["ids"]) for row in batch)
        ids = torch.tensor([row["ids"] + [0] * (longest - len(row["ids"])) for row in batch])
        labels = torch.full_like(ids, -100)
        for i, row in enumerate(batch):
            labels[i, slice(*row["learnt"])] = ids[i, slice(*row["learnt"])]
        mask = torch.tensor([[1] * len(row["ids"]) + [0] * (longest - len(row["ids"])) for row in batch])
        for step in range(phase["steps"]):
            logits = model(input_ids=ids, attention_mask=mask, pixel_values=pixels).logits
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            losses.append(loss.item())
            norms.append(torch.nn.utils.clip_grad_norm_(named.values(), CLIP).item())
            optimizer.param_groups[0]["lr"] = rate(phase, step)
            optimizer.step()
    trained = {name: p.detach() for name, p in named.items()}
    save_file({"pixels": pixels} | {n: trained[n].contiguous() for n in WHOLE}, OUT / "expected.safetensors")
    recorded = {
        "pictures": pictures, "phases": PHASES, "clip": CLIP, "betas": BETAS, "weight_decay": DECAY, "image_at": AT,
        "losses": losses, "gradient_norms": norms, "trained_norms": {n: p.double().norm().item() for n, p in trained.items()},
    }
    (OUT / "expected.json").write_text(json.dumps(recorded, indent=1) + "\n")
    print(losses, norms)


main()
