"""What the trials share: the binary, folders to work in, runs that are timed, and tables. Standard library only."""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

# A chain of three plugin stages that keep everything: what is left is what the runner costs.
CHAIN = """\
version: 1
name: chain
plugins:
  sieve: {path: pair-filter.wasm}
stages:
  pairs:  {kind: read,   with: {file: pairs.jsonl, format: pairs}}
  first:  {kind: filter, needs: {records: pairs},  with: {plugin: sieve, config: {max_per_image: 3}}}
  second: {kind: filter, needs: {records: first},  with: {plugin: sieve, config: {max_per_image: 2}}}
  third:  {kind: filter, needs: {records: second}, with: {plugin: sieve, config: {max_per_image: 1}}}
"""


def sentinel() -> str:
    """Builds the binary, unless `SENTINEL` names one; returns its path."""
    if "SENTINEL" in os.environ:
        return os.environ["SENTINEL"]
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "sentinel"], cwd=ROOT, check=True)
    return str(TARGET / "release" / "sentinel")


@contextmanager
def workshop():
    """A folder below `target`, on the disk that the repository lies on; it is removed at the end."""
    (TARGET / "trials").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=TARGET / "trials")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Ran:
    """How a command ended."""

    code: int
    wall: float
    rss_mb: float
    told: str


def run(command, cwd, allowed=(0,), **options) -> Ran:
    """Runs a command to its end."""
    with tempfile.TemporaryFile("w+") as told:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, stdout=told, stderr=told, **options)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        text = told.read()
    if process.returncode not in allowed:
        raise SystemExit(f"{command} ended with {process.returncode}:\n{text}")
    return Ran(process.returncode, wall, usage.ru_maxrss / 1024, text)


def chain(folder: Path, records: int, own_pictures=False) -> None:
    """Writes the chain with so many records. They share one picture, unless each has its own."""
    folder.mkdir()
    (folder / ".git").mkdir()
    (folder / "chain.yaml").write_text(CHAIN)
    shutil.copy(ROOT / "plugins/dist/pair-filter.wasm", folder)
    shutil.copy(ROOT / "examples/tiny-world/sprites/cat.png", folder / "picture.png")
    with (folder / "pairs.jsonl").open("w") as lines:
        for index in range(records):
            lines.write(json.dumps(pair(index, own_pictures)) + "\n")
    if own_pictures:
        content = (folder / "picture.png").read_bytes()
        for index in range(records):
            picture = folder / pair(index, True)["image_path"]
            if index % 1000 == 0:
                picture.parent.mkdir(parents=True)
            picture.write_bytes(content + index.to_bytes(4, "little"))


def pair(index: int, own_picture: bool) -> dict:
    picture = f"pictures/{index // 1000:04}/{index:07}.png" if own_picture else "picture.png"
    return {
        "image_id": f"{index:07}", "image_path": picture, "question": "Describe this image.",
        "context": f"A cat sits here, number {index}.", "y_win": "The cat looks to the left.",
        "y_lose": f"The cat looks at dog {index % 97}.", "type": "y+",
    }


def results(folder: Path) -> dict[str, str]:
    """Returns the digest of every file that a run wrote, but for the report and the times of the record."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if name in ("report.html", "run.json", ".lock"):
            continue
        files[name] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    record = json.loads((folder / "run.json").read_text())
    for stage in record["stages"]:
        for output in stage["outputs"]:
            files[f"run.json: {stage['id']}.{output['name']}"] = f"{output['records']} {output['rows']} {output['content']}"
    return files


def same(expected: dict[str, str], found: dict[str, str], what: str) -> None:
    """Ends the trial if two runs did not write the same."""
    differing = [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
    if differing or not expected:
        raise SystemExit(f"{what}: differs in {', '.join(differing) or 'everything'}")


def median(values) -> float:
    return statistics.median(values)


def machine() -> str:
    """Returns what the figures were taken on, and how busy it was meanwhile."""
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return f"{names[0] if names else 'unknown CPU'}, {os.cpu_count()} cores; load in the last 1, 5, 15 minutes: {load}"


def table(head: list[str], rows: list[list[str]]) -> None:
    """Prints a table that is Markdown, too."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    print(line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows), sep="\n")
    sys.stdout.flush()
