"""Records what transformers' PIL image processor makes of small pictures, for `runner/models/tests/pictures.rs`, and which cut JPEG
files Pillow refuses, for `runner/pictures/tests/cut.rs`.

usage: python tests/reference/pictures.py    (transformers 5.23, Pillow; writes tests/fixtures/pictures)

`CLIPImageProcessorPil` is the backend that works with Pillow; the uint8 values are taken after resizing and cropping, before
rescaling, and the normalised values at the end.
"""

import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPImageProcessorPil

OUT = Path(__file__).parent.parent / "fixtures" / "pictures"
SIDE = 28


def picture(width, height, seed):
    """Smooth colours with hard edges and some noise: overshoot and rounding both occur."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 120 * np.sin(x / (3 + c) + seed) * np.cos(y / (4 + c)) for c in range(3)]
    pixels = np.stack(waves, axis=2)
    pixels[height // 3 : height // 2, width // 4 :] = rng.integers(0, 256, 3)
    pixels += rng.normal(0, 6, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def is_read(content):
    try:
        Image.open(io.BytesIO(content)).convert("RGB")
    except OSError:
        return False
    return True


def cut_jpegs():
    """Saves a JPEG in both modes and returns, for each, how many bytes were cut off, what followed, and whether Pillow reads that."""
    judged = {}
    for name, progressive in [("cut", False), ("cut-progressive", True)]:
        path = OUT / f"{name}.jpg"
        picture(80, 60, 12).save(path, progressive=progressive, quality=80)
        whole = path.read_bytes()
        ends = [b"", b"\xff\xd9", b"\xff\xff\xd9", b"\xff\xd0\xff\xd9"]
        cuts = [0, 2, 3, 10, 50, len(whole) // 3, len(whole) // 2, len(whole) - 700]
        judged[name] = [[cut, end.hex(), is_read(whole[: len(whole) - cut] + end)] for cut in cuts for end in ends]
    (OUT / "cut.json").write_text(json.dumps(judged) + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    alpha = picture(40, 31, 4).convert("RGBA")
    alpha.putalpha(Image.fromarray((np.arange(40 * 31) % 256).reshape(31, 40).astype(np.uint8)))
    pictures = {
        "even": picture(56, 56, 1), "odd": picture(61, 47, 2), "small": picture(13, 9, 3), "alpha": alpha,
        "gray": picture(50, 33, 5).convert("L"), "palette": picture(45, 52, 6).quantize(32), "narrow": picture(1, 40, 7),
        "same": picture(28, 28, 8), "long": picture(200, 20, 9), "gray-alpha": picture(30, 44, 10).convert("LA"),
        "bilevel": picture(39, 41, 11).convert("1"),
    }
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(OUT)
    bytes_only = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_rescale=False, do_normalize=False
    )
    recorded = {}
    for name, image in pictures.items():
        image.save(OUT / f"{name}.png")
        again = Image.open(OUT / f"{name}.png")
        crop = np.asarray(bytes_only(again, return_tensors="np")["pixel_values"][0])
        assert crop.dtype == np.uint8 or (crop == crop.round()).all(), crop.dtype
        recorded[f"{name}.uint8"] = torch.from_numpy(crop.astype(np.uint8)).permute(1, 2, 0).contiguous()
        recorded[f"{name}.pixels"] = processor(again, return_tensors="pt")["pixel_values"][0].contiguous()
    save_file(recorded, OUT / "expected.safetensors")
    cut_jpegs()
    (OUT / "names.json").write_text(json.dumps(sorted(pictures)) + "\n")


main()
