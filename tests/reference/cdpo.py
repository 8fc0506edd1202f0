"""Records what PyTorch, transformers and PEFT compute for C-DPO on the tiny LLaVA, for `runner/train/tests/parity.rs`.

usage: python tests/reference/cdpo.py     (torch 2.15, transformers 5.23, peft 0.21; reads tests/fixtures/llava-tiny,
                                           writes tests/fixtures/cdpo)

The adapter touches every linear of the language model, with B not zero, so that A has gradients too. The context stands in
both rows of a pair and is not learnt. Ten AdamW steps follow, with warm-up, cosine and clipping.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlavaForConditionalGeneration, get_cosine_schedule_with_warmup

FIXTURES = Path(__file__).parent.parent / "fixtures"
OUT = FIXTURES / "cdpo"
IMAGE, AT, IMAGES = 159, 3, 16
RANK, ALPHA, BETA = 4, 8, 0.1
STEPS, WARMUP, PEAK, CLIP = 10, 2, 1e-3, 0.05
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def rows():
    """Two pairs; context and answers of different lengths. Chosen rows first, as the batch is laid out."""
    generator = torch.Generator().manual_seed(11)
    draw = lambda n: torch.randint(3, 150, (n,), generator=generator).tolist()
    chosen, rejected = [], []
    for context, win, lose in [(5, 6, 9), (0, 7, 4)]:
        prompt = [1] + draw(AT - 1) + [IMAGE] * IMAGES + draw(4) + draw(context)
        for side, length in [(chosen, win), (rejected, lose)]:
            side.append({"ids": prompt + draw(length), "learnt": [len(prompt), len(prompt) + length]})
    return chosen + rejected


def row_logps(model, batch, pixels):
    longest = max(len(row["ids"]) for row in batch)
    ids = torch.tensor([row["ids"] + [0] * (longest - len(row["ids"])) for row in batch])
    mask = torch.tensor([[1] * len(row["ids"]) + [0] * (longest - len(row["ids"])) for row in batch])
    logits = model(input_ids=ids, attention_mask=mask, pixel_values=pixels).logits
    logp = F.log_softmax(logits[:, :-1].float(), dim=-1).gather(2, ids[:, 1:, None]).squeeze(2)
    keep = torch.zeros_like(logp)
    for i, row in enumerate(batch):
        keep[i, row["learnt"][0] - 1 : row["learnt"][1] - 1] = 1
    return (logp * keep).sum(1)


def short(name):
    return name.split("language_model.")[1].replace(".default.weight", "").replace(".weight", "")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    batch = rows()
    torch.manual_seed(12)
    pixels = torch.randn(2, 3, 56, 56)
    both = torch.cat([pixels, pixels])
    base = LlavaForConditionalGeneration.from_pretrained(FIXTURES / "llava-tiny", dtype=torch.float32)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(base, config).eval()
    adapter = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter in adapter.values():
            parameter.copy_(torch.randn_like(parameter) * 0.05)
    model.peft_config["default"].base_model_name_or_path = "base"
    model.save_pretrained(OUT / "adapter")
    (OUT / "adapter" / "README.md").unlink(missing_ok=True)

    with torch.no_grad(), model.disable_adapter():
        reference = row_logps(model, batch, both)
    optimizer = torch.optim.AdamW(adapter.values(), lr=PEAK, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)
    losses, recorded = [], {"pixels": pixels, "reference": reference}
    for step in range(STEPS):
        policy = row_logps(model, batch, both)
        margins = BETA * ((policy[:2] - policy[2:]) - (reference[:2] - reference[2:]))
        loss = -F.logsigmoid(margins).mean()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            recorded["policy"] = policy.detach()
            recorded |= {f"gradient.{short(n)}": p.grad.clone() for n, p in adapter.items()}
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(adapter.values(), CLIP)
        optimizer.step()
        schedule.step()
    recorded |= {f"trained.{short(n)}": p.detach().clone() for n, p in adapter.items()}
    save_file({name: t.contiguous() for name, t in recorded.items()}, OUT / "expected.safetensors")
    settings = dict(rank=RANK, alpha=ALPHA, beta=BETA, steps=STEPS, warmup=WARMUP, peak=PEAK, clip=CLIP, image_at=AT)
    (OUT / "expected.json").write_text(json.dumps({"rows": batch, "losses": losses, **settings}, indent=1) + "\n")
    print(losses)


main()
