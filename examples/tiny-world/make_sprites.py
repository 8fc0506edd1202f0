"""Makes `sprites/*.png` from the npm package @lobehub/fluent-emoji-3d 1.1.0 (MIT, see sprites/LICENSE).

    npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
    python make_sprites.py package/assets

Each emoji is cropped to the box of its visible pixels and scaled to at most 96 pixels on the longer side. Needs Pillow.
"""

import sys
from pathlib import Path

from PIL import Image

SIDE_MAX = 96
CODE_POINTS = {
    "banana": "1f34c", "bed": "1f6cf-fe0f", "bicycle": "1f6b2", "bird": "1f426", "book": "1f4d5", "bottle": "1f37e",
    "bowl": "1f963", "bus": "1f68c", "cake": "1f382", "car": "1f697", "cat": "1f408", "chair": "1fa91",
    "clock": "1f570-fe0f", "couch": "1f6cb-fe0f", "cow": "1f404", "cup": "2615", "dog": "1f415", "fork": "1f374",
    "frisbee": "1f94f", "horse": "1f40e", "kite": "1fa81", "knife": "1f52a", "laptop": "1f4bb",
    "motorcycle": "1f3cd-fe0f", "person": "1f9cd", "pizza": "1f355", "sheep": "1f411", "skateboard": "1f6f9",
    "truck": "1f69a", "tv": "1f4fa", "umbrella": "2602-fe0f", "vase": "1f3fa",
}


def main(assets: Path) -> None:
    out = Path(__file__).parent / "sprites"
    out.mkdir(exist_ok=True)
    for name, code_point in CODE_POINTS.items():
        picture = Image.open(assets / f"{code_point}.webp").convert("RGBA")
        visible = picture.getchannel("A").point(lambda a: 255 if a > 16 else 0).getbbox()
        picture = picture.crop(visible)
        scale = min(1.0, SIDE_MAX / max(picture.size))
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture.resize(size, Image.Resampling.LANCZOS).save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
