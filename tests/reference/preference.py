"""Records what PyTorch, transformers and PEFT do with sentences and pictures when they learn preferences by C-DPO, for
`runner/train/tests/golden.rs`.

usage: python tests/reference/preference.py     (torch 2.15, transformers 5.23, peft 0.21, pillow; reads tests/fixtures/llava-tiny
                                                 and tests/fixtures/cdpo, writes tests/fixtures/preference)

The model is the tiny LLaVA with a tokenizer, a chat template and an image processor of its own. Everything goes the usual way:
the processor renders the conversation, places the picture and tokenises the whole text at once; a sentence's tokens are those
the text without it does not have. SENTINEL's rules (arXiv 2507.12455 eq. 5): the context is not learnt, both sentences keep all
their tokens, and the end of the text is learnt, if at all, only after a description's last sentence, on both sides.
"""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel
from PIL import Image
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoProcessor, LlavaForConditionalGeneration, get_cosine_schedule_with_warmup

from processor import write_json, write_processor

FIXTURES = Path(__file__).parent.parent / "fixtures"
OUT = FIXTURES / "preference"
BETA, STEPS, WARMUP, PEAK, CLIP, DECAY = 0.1, 6, 2, 1e-3, 0.05, 0.01
SIDE = 56
QUESTION = "What is here?"
PAIRS = [
    # picture, context, chosen, rejected, is it the description's last step
    (0, [], "A cat.", "A dog sleeps on the table.", False),
    (0, ["A cat."], "The cat sleeps!", "A dog sleeps.", False),
    (1, [], "Is it a table?", "Wait... a cat and a dog.", True),
    (1, ["A table.", "The dog sleeps."], "A cat sleeps on the table.", "It is a cat.", True),
    (0, ["Is it a cat?", "It is."], "The dog sleeps on a table...", "A table!", False),
]
WORDS = "USER : ASSISTANT What is here ? A a cat dog The the sleeps on table . ! ... Is it It Wait and".split()


def write_model(directory):
    """The tiny LLaVA's configuration and, beside it, what turns words and pictures into tokens and pixels."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    vocabulary = {token: number for number, token in enumerate(["<unk>", "<s>", "</s>", "<pad>", "<image>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|\.\.\.|[^\w\s]"), "removed", invert=True)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    write_processor(directory, tokenizer, special, SIDE, "default")
    config = json.loads((FIXTURES / "llava-tiny" / "config.json").read_text())
    write_json(directory / "config.json", config | {"image_token_index": 4, "image_seq_length": 16})
    write_json(directory / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3})


def write_pictures():
    for number, (width, height) in enumerate([(70, 56), (60, 90)]):
        y, x = np.mgrid[0:height, 0:width]
        channels = [128 + 127 * np.sin((number + 1) * x / 9), 128 + 127 * np.cos(y / 7), (x * 3 + y * 2) % 256]
        Image.fromarray(np.stack(channels, -1).astype(np.uint8)).save(OUT / f"picture-{number}.png")


class Row(NamedTuple):
    ids: list[int]
    start: int  # where learning begins
    is_last: bool
    pixels: torch.Tensor


def rows(processor, pictures):
    """Chosen rows first."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
    prompt = processor.apply_chat_template([turn], add_generation_prompt=True)
    chosen, rejected = [], []
    for picture, context, win, lose, is_last in PAIRS:
        before = " ".join([prompt, *context])
        encode = lambda text: processor(text=text, images=pictures[picture], return_tensors="pt")
        start = encode(before).input_ids.shape[1]
        for side, sentence in [(chosen, win), (rejected, lose)]:
            whole = encode(f"{before} {sentence}")
            side.append(Row(whole.input_ids[0].tolist(), start, is_last, whole.pixel_values[0]))
    return chosen + rejected


def row_logps(model, batch):
    longest = max(len(row.ids) for row in batch)
    ids = torch.tensor([row.ids + [3] * (longest - len(row.ids)) for row in batch])
    mask = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in batch])
    pixels = torch.stack([row.pixels for row in batch])
    logits = model(input_ids=ids, attention_mask=mask, pixel_values=pixels).logits
    logp = F.log_softmax(logits[:, :-1].float(), dim=-1).gather(2, ids[:, 1:, None]).squeeze(2)
    keep = torch.zeros_like(logp)
    for i, row in enumerate(batch):
        keep[i, row.start - 1 : len(row.ids) - 1] = 1
    return (logp * keep).sum(1)


def train(batch):
    base = LlavaForConditionalGeneration.from_pretrained(FIXTURES / "llava-tiny", dtype=torch.float32)
    base.config.image_token_id = base.model.config.image_token_id = 4
    model = PeftModel.from_pretrained(base, FIXTURES / "cdpo" / "adapter", is_trainable=True).eval()
    adapter = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad(), model.disable_adapter():
        reference = row_logps(model, batch)
    optimizer = torch.optim.AdamW(adapter.values(), lr=PEAK, betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)
    half, steps = len(batch) // 2, []
    for _ in range(STEPS):
        policy = row_logps(model, batch)
        margins = BETA * ((policy[:half] - policy[half:]) - (reference[:half] - reference[half:]))
        loss = -F.logsigmoid(margins).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(adapter.values(), CLIP)
        rate = optimizer.param_groups[0]["lr"]
        accuracy = (margins > 0).float().mean()
        steps.append([loss.item(), margins.mean().item(), accuracy.item(), rate, norm.item()])
        optimizer.step()
        schedule.step()
    name = lambda n: n.replace(".default.weight", ".weight")
    return steps, {name(n): p.detach().double().norm().item() for n, p in adapter.items()}


def main():
    write_model(OUT / "model")
    write_pictures()
    processor = AutoProcessor.from_pretrained(OUT / "model", backend="pil")
    pictures = [Image.open(OUT / f"picture-{number}.png") for number in (0, 1)]
    plain = rows(processor, pictures)
    ended = [row._replace(ids=row.ids + [2]) if row.is_last else row for row in plain]
    recorded = {"question": QUESTION, "beta": BETA, "steps": STEPS, "warmup": WARMUP, "peak": PEAK, "clip": CLIP, "decay": DECAY}
    keys = ("picture", "context", "chosen", "rejected", "is_last")
    recorded["pairs"] = [dict(zip(keys, pair)) for pair in PAIRS]
    for key, batch in [("without_end", plain), ("with_end", ended)]:
        steps, norms = train(batch)
        recorded[key] = {"steps": steps, "trained_norms": norms}
        print(key, steps[0], steps[-1])
    (OUT / "expected.json").write_text(json.dumps(recorded, indent=1) + "\n")
    print(processor.tokenizer.convert_ids_to_tokens(ended[3].ids)[ended[3].start :])


main()
