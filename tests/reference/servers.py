"""Runs `examples/served` against real server programs, and compares what comes out with the native model's words.

usage: python tests/reference/servers.py path/to/sentinel     (transformers 5.23 with fastapi, uvicorn, openai; writes nothing)

transformers serve has the tiny world's own model. Greedy captions through it must be those that `sentinel` makes of the same
checkpoint by itself: the same chat template, picture, tokens and sentences on both ways.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "examples" / "tiny-world" / "model"
COUNT = 8


def main(sentinel: str) -> None:
    port = free_port()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "server.log").open("w") as log:
        command = ["transformers", "serve", str(MODEL), "--device", "cpu", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait(port, server)
            served = run(sentinel, Path(folder), ROOT / "examples/served/served.yaml", "served", f"http://127.0.0.1:{port}/v1")
            again = run(sentinel, Path(folder), ROOT / "examples/served/served.yaml", "served", f"http://127.0.0.1:{port}/v1")
        finally:
            server.terminate()
            server.wait()
        native = Path(folder) / "native.yaml"
        text = (ROOT / "examples/served/served.yaml").read_text()
        text, count = re.subn(r"server: \{.*", f"path: {MODEL}", text)
        assert count == 1
        native.write_text(text.replace("name: served", "name: native"))
        own = run(sentinel, Path(folder), native, "native", "")
    for id, sentences in own.items():
        assert served[id] == sentences, f"{id}: {served[id]} through the server, {sentences} natively"
    assert again == served
    print(f"transformers serve: {len(own)} captions are the native ones")


def run(sentinel: str, folder: Path, workflow: Path, name: str, url: str) -> dict[str, list[str]]:
    """Runs a workflow; returns each record's caption."""
    command = [sentinel, "run", str(workflow), "--root", str(ROOT), "--root", str(folder)]
    command += ["--store", str(folder / "store"), "--out", str(folder / "runs")]
    command += ["--set", f"url={url}", "--set", f"model={MODEL}", "--set", f"count={COUNT}"]
    subprocess.run(command, check=True)
    candidates = lines(folder / "runs" / name / "candidates" / "sentences.jsonl")
    assert len(candidates) == 3 * COUNT and any(candidate["text"] for candidate in candidates)
    return {row["id"]: row["sentences"] for row in lines(folder / "runs" / name / "captions" / "captions.jsonl")}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait(port: int, server: subprocess.Popen) -> None:
    """Waits until the server answers anything at all."""
    for _ in range(600):
        assert server.poll() is None, "the server has ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the server does not answer")


if __name__ == "__main__":
    main(*sys.argv[1:])
