"""Records which tensors transformers gives the published models, and how it sizes pictures for them, for
`runner/models/tests/published.rs`.

usage: python tests/reference/published.py     (torch 2.15, transformers 5.23; reads and writes tests/fixtures/published)

The configurations there were written down from what is known of the published ones, their layouts included, and have not been
compared with the published files; the weights are not needed: models are made on the meta device. Tensors are told by pattern, a layer's number replaced by `*`: how many there are, then their shape. Pictures are
told by height and width: what Qwen2-VL resizes them to, or nothing where it refuses, and how many tokens LLaVA-NeXT gives them.
"""

import json
import random
import re
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    PreTrainedTokenizerFast,
)
from tokenizers import Tokenizer, models
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

OUT = Path(__file__).parent.parent / "fixtures" / "published"


def tensors(path):
    values = json.loads(path.read_text())
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    patterns = {}
    for name, tensor in model.state_dict().items():
        pattern = re.sub(r"(layers|blocks)\.\d+\.", r"\1.*.", name)
        entry = patterns.setdefault(pattern, [0, *tensor.shape])
        assert entry[1:] == list(tensor.shape), name
        entry[0] += 1
    return patterns


def sizes():
    chosen = [
        (480, 640), (427, 640), (1080, 1920), (3024, 4032), (1, 1), (1, 200), (1, 201), (200, 1), (201, 1), (60, 10000), (10000, 60),
        (28, 5600), (13, 9), (14, 14), (42, 42), (70, 70), (70, 98), (336, 336), (337, 336), (672, 673), (8000, 8000), (100, 1),
    ]
    draw = random.Random(5)
    return chosen + [(draw.randint(1, 3000), draw.randint(1, 3000)) for _ in range(120)]


def qwen(height, width):
    settings = json.loads((OUT / "qwen" / "preprocessor_config.json").read_text())
    try:
        return smart_resize(height, width, 28, settings["min_pixels"], settings["max_pixels"])
    except ValueError:
        return None


def main():
    names = sorted(path for path in OUT.glob("*.json") if path.name not in ("tensors.json", "sizes.json"))
    (OUT / "tensors.json").write_text(json.dumps({path.stem: tensors(path) for path in names}, separators=(",", ":")) + "\n")
    images = LlavaNextImageProcessorPil.from_pretrained(OUT / "llava-next")
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<image>": 0}, unk_token="<image>")))
    processor = LlavaNextProcessor(
        images, words, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    tokens = processor._get_num_multimodal_tokens(sizes())["num_image_tokens"]
    rows = [[*size, qwen(*size), count] for size, count in zip(sizes(), tokens)]
    (OUT / "sizes.json").write_text(json.dumps(rows) + "\n")


main()
