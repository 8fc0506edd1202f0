"""Records what LLaMA-Factory 0.9.5 (PyPI `llamafactory`) reads of the data sets that the bundled converter writes.

    pip install --target lf --no-deps llamafactory==0.9.5 datasets omegaconf pyarrow dill multiprocess xxhash fsspec pandas av librosa
    PYTHONPATH=lf python llama_factory.py

The data sets stand in tests/fixtures/plugins/llama-factory (written by `UPDATE=1 cargo test --release -p sentinel-plugin-host`).
Its own parser reads dataset_info.json, its own converter aligns every row, its own plugin counts the marks of pictures; the result
is llama_factory.json. torchaudio, which it imports and pairs never need, is replaced by an empty module.
"""

import importlib.machinery
import json
import shutil
import sys
import tempfile
import types
from pathlib import Path

torchaudio = types.ModuleType("torchaudio")
torchaudio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = torchaudio

from datasets import load_dataset  # noqa: E402
from llamafactory.data.converter import get_dataset_converter  # noqa: E402
from llamafactory.data.mm_plugin import BasePlugin  # noqa: E402
from llamafactory.data.parser import get_dataset_list  # noqa: E402

HERE = Path(__file__).parent
FIXTURES = HERE / "../fixtures/plugins/llama-factory"


def read(folder: Path) -> list:
    with tempfile.TemporaryDirectory() as copy:
        copy = Path(copy)
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        name = next(iter(json.loads((copy / "dataset_info.json").read_text())))
        (attributes,) = get_dataset_list([name], str(copy))
        data = load_dataset("json", data_files=[str(copy / attributes.dataset_name)], split="train", cache_dir=str(copy / "cache"))
        for row in data:
            picture = copy / row["images"][0]
            picture.parent.mkdir(exist_ok=True)
            picture.touch()
        converter = get_dataset_converter(attributes.formatting, attributes, types.SimpleNamespace(media_dir=str(copy)))
        rows = []
        for row in data:
            aligned = converter(row)
            images = [str(Path(image).relative_to(copy)) for image in aligned["_images"]]
            for answer in aligned["_response"]:
                BasePlugin._validate_messages(None, aligned["_prompt"] + [answer], images, [], [])
            rows.append({"prompt": aligned["_prompt"], "response": aligned["_response"], "images": images, "context": row.get("context")})
        return rows


def main() -> None:
    kept = {folder.name: read(folder) for folder in sorted(FIXTURES.iterdir())}
    Path(__file__).with_suffix(".json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
