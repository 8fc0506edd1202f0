"""Records how transformers warps logits, for `runner/models/tests/sampler.rs`.

usage: python tests/reference/sampler.py        (torch 2.15, transformers 5.23; writes tests/fixtures/sampler.json)

The warpers run in f64 and in the order `generate` puts them: temperature, top-k, top-p. No two logits are equal: of equals
transformers keeps all at the edge of top-k, where this project keeps the first.
"""

import json
from pathlib import Path

import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

OUT = Path(__file__).parent.parent / "fixtures" / "sampler.json"
SETTINGS = [
    # temperature, top_p, top_k
    (1.0, 1.0, 0), (0.7, 1.0, 0), (1.0, 0.9, 0), (1.0, 1.0, 5), (0.7, 0.9, 40), (1.5, 0.5, 7), (0.2, 0.999, 0), (3.0, 0.01, 3),
]


def warped(logits, temperature, top_p, top_k):
    scores = TemperatureLogitsWarper(temperature)(None, logits[None])
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    return torch.softmax(scores, -1)[0]


def main():
    torch.manual_seed(3)
    cases = []
    for width, spread in [(2, 1.0), (24, 0.3), (24, 2.0), (64, 5.0)]:
        logits = (torch.randn(width) * spread).double()
        for temperature, top_p, top_k in SETTINGS:
            kept = warped(logits, temperature, top_p, min(top_k, width))
            kept = {token: float(f"{p:.12g}") for token, p in enumerate(kept.tolist()) if p > 0}
            settings = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
            cases.append({"logits": len(cases) // len(SETTINGS), **settings, "kept": kept})
        cases[-1]["values"] = logits.tolist()
    values = [case.pop("values") for case in cases if "values" in case]
    text = json.dumps({"logits": values, "cases": cases}).replace('{"logits": ', '\n{"logits": ')
    OUT.write_text(text.lstrip() + "\n")


main()
