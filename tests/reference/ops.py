"""Records what PyTorch computes, forwards and backwards, for `runner/models/tests/ops.rs`.

usage: python tests/reference/ops.py     (torch 2.15, transformers 5.23; writes tests/fixtures/ops/<operation>.safetensors)

Inputs are drawn by a generator written the same way here and in the test, so that only results are kept: `<case>.out` and
`<case>.d<n>`, the gradient of the n-th input under an output gradient drawn like the inputs. Everything is computed in float64.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

OUT = Path(__file__).parent.parent / "fixtures" / "ops"
INF = float("inf")


def draw(seed, *shape):
    """Numbers in [-2, 2) from a linear congruential generator; each is exact in float32."""
    state, values = seed * 2654435761 % 2**32, []
    for _ in range(torch.Size(shape).numel()):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 8) / 2**22 - 2.0)
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def record(cases):
    kept = {}
    for name, (function, *inputs) in cases.items():
        inputs = [x.requires_grad_() for x in inputs]
        out = function(*inputs)
        gradients = torch.autograd.grad(out, inputs, draw(99, *out.shape))
        kept |= {f"{name}.out": out.detach()} | {f"{name}.d{n}": g for n, g in enumerate(gradients)}
    return {name: tensor.float().contiguous() for name, tensor in kept.items()}


def attention(head_dim, mask):
    def run(q, k, v):
        heads = lambda x: x.unflatten(-1, (-1, head_dim)).transpose(1, 2)
        q, k, v = heads(q), heads(k), heads(v)
        shared = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(shared, 1) for x in (k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)

    return run


def causal(t, s):
    return torch.full((t, s), -INF, dtype=torch.float64).triu(s - t + 1)


def branches():
    """Two rows of a shared beginning of 8 tokens and two ends, 6 and 5 long in the first row, that do not see each other."""
    mask = causal(19, 19).repeat(2, 1, 1, 1)
    mask[0, 0, 14:, 8:14] = -INF
    mask[1, 0, 12:, 8:12] = -INF
    return mask


def rope(head_dim):
    def run(x):
        angles = torch.arange(x.shape[1], dtype=torch.float64)[:, None] / 10000 ** (
            torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
        )
        cos, sin = torch.cat([angles.cos()] * 2, -1)[None], torch.cat([angles.sin()] * 2, -1)[None]
        heads = x.unflatten(-1, (-1, head_dim)).transpose(1, 2)
        return apply_rotary_pos_emb(heads, heads, cos, sin)[0].transpose(1, 2).flatten(2)

    return run


def token_logp(targets):
    return lambda x: F.log_softmax(x, -1).gather(1, torch.tensor(targets)[:, None]).squeeze(1)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    files = {
        "linear": {
            "plain": (F.linear, draw(1, 2, 3, 5), draw(2, 7, 5)),
            "bias": (F.linear, draw(3, 70, 5), draw(4, 7, 5), draw(5, 7)),
            "one-row": (F.linear, draw(6, 1, 33), draw(7, 17, 33)),
        },
        "norm": {
            "rms": (lambda x, w: F.rms_norm(x, (19,), w, 1e-5), draw(1, 3, 2, 19), draw(2, 19)),
            "layer": (lambda x, w, b: F.layer_norm(x, (19,), w, b, 1e-5), draw(3, 70, 19), draw(4, 19), draw(5, 19)),
        },
        "pointwise": {
            "silu-mul": (lambda g, u: F.silu(g) * u, draw(1, 5, 21) * 4, draw(2, 5, 21)),
            "gelu": (F.gelu, draw(3, 5, 21) * 4),
            "quick-gelu": (ACT2FN["quick_gelu"], draw(4, 5, 21) * 4),
            "silu": (F.silu, draw(5, 5, 21) * 4),
        },
        "logp": {
            "token": (token_logp([0, 36, 7]), draw(1, 3, 37) * 8),
            "log-sigmoid": (F.logsigmoid, draw(2, 16) * 60),
        },
        "rope": {"llama": (rope(6), draw(1, 2, 5, 12))},
        "attention": {
            "plain": (attention(6, None), draw(1, 2, 5, 24), draw(2, 2, 7, 12), draw(3, 2, 7, 12)),
            "causal": (attention(20, causal(5, 18)), draw(4, 1, 5, 40), draw(5, 1, 18, 20), draw(6, 1, 18, 20)),
            "branches": (attention(4, branches()), draw(7, 2, 19, 8), draw(8, 2, 19, 4), draw(9, 2, 19, 4)),
        },
    }
    for name, cases in files.items():
        save_file(record(cases), OUT / f"{name}.safetensors")


main()
