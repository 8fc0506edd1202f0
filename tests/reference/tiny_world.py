"""Records what outside readers see of the tiny world: pycocotools of its annotations, transformers of its model directory.

    cargo run --release -p sentinel-world --example dump -- --seed 7 --count 20 --split held-out --out /tmp/scenes
    python tests/reference/tiny_world.py /tmp/scenes       # writes tests/reference/tiny_world.json

Needs pycocotools, transformers, torch, Pillow. Compared in runner/world/tests/outside.rs.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from PIL import Image
from pycocotools.coco import COCO
from transformers import AutoConfig, AutoProcessor, LlavaForConditionalGeneration

HERE = Path(__file__).parent
MODEL = HERE.parent.parent / "examples" / "tiny-world" / "model"
TEXTS = [
    "This is a living room with a clock and an umbrella. To the right of the clock there is a dog.",
    "At the bottom left sits a cat. A book lies in the middle.",
    "- - clock banana - dog - - cat - - tv.",
]


def coco(folder: Path) -> dict:
    with contextlib.redirect_stdout(io.StringIO()):
        instances = COCO(folder / "annotations.json")
    pictures = {}
    for image in instances.loadImgs(sorted(instances.getImgIds())):
        found = instances.loadAnns(instances.getAnnIds(imgIds=image["id"]))
        names = sorted(instances.loadCats(one["category_id"])[0]["name"] for one in found)
        boxes = sum(sum(one["bbox"]) for one in found)
        # pycocotools turns boxes into masks; a box that left the picture would lose area here.
        inside = all(one["bbox"][0] >= 0 and one["bbox"][0] + one["bbox"][2] <= image["width"] for one in found)
        pixels = sum(Image.open(folder / image["file_name"]).convert("RGB").tobytes())
        pictures[image["file_name"]] = {"names": names, "box_sum": boxes, "inside": inside, "pixel_sum": pixels}
    return pictures


def model() -> dict:
    processor = AutoProcessor.from_pretrained(MODEL)
    network = LlavaForConditionalGeneration(AutoConfig.from_pretrained(MODEL))
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe this picture."}]}]
    prompt = processor.apply_chat_template(turn, add_generation_prompt=True)
    inputs = processor(images=Image.new("RGB", (224, 224)), text=prompt, return_tensors="pt")
    words = processor.tokenizer
    return {
        "prompt": prompt,
        "prompt_ids": inputs["input_ids"][0].tolist(),
        "pixel_values": list(inputs["pixel_values"].shape),
        "logits": list(network(**inputs).logits.shape),
        "parameters": sum(one.numel() for one in network.parameters()),
        "texts": [
            {"text": text, "ids": (ids := words(text, add_special_tokens=False).input_ids), "decoded": words.decode(ids)}
            for text in TEXTS
        ],
    }


if __name__ == "__main__":
    recorded = {"coco": coco(Path(sys.argv[1])), "model": model()}
    (HERE / "tiny_world.json").write_text(json.dumps(recorded, indent=1) + "\n")
