"""Trains the tiny world's two object detectors and exports them in the layouts of ultralytics YOLO and of DETR.

Two different nets learn from different scenes, so that they err in different places:

A, `yolo.onnx`: a heat map at stride 4, residual convolutions. Input `images` (N, 3, 112, 112) in 0..1; output `output0`
   (N, 4 + 32, 784): box centre and size in input pixels, then one score a class.
B, `detr.onnx`: a grid at stride 8, depthwise convolutions. Input `pixel_values` (N, 3, 112, 112), ImageNet-normalised;
   outputs `logits` (N, 196, 32 + 1), the last one "no object", and `pred_boxes` (N, 196, 4): centre and size in 0..1.

Both are stopped early on purpose: perfect detectors would never disagree, and the third verdict, "uncertain", would not occur.
README.md beside this file says how the scenes are made and how good the nets are.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

SIDE = 112  # pixels of the nets' input; scenes have twice as many
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
OPSET = 17
# Logits are shifted at export, so that the scores 0.3 and 0.25, where the trained nets balance missing and inventing, become
# those at which the families' own thresholds stand: 0.25 for YOLO, 0.5 for DETR.
SHIFT_YOLO = math.log(0.25 / 0.75) - math.log(0.3 / 0.7)
SHIFT_DETR = math.log(0.5 / 0.5) - math.log(0.25 / 0.75)


# --- scenes ---------------------------------------------------------------------------------------------------------------

def halve_by_mean(picture):
    """The 2x2 box mean: what OpenCV's linear resize does when it halves."""
    pixels = np.asarray(picture, dtype=np.uint16)
    height, width, _ = pixels.shape
    return ((pixels.reshape(height // 2, 2, width // 2, 2, 3).sum((1, 3)) + 2) >> 2).astype(np.uint8)


def halve_by_triangle(picture):
    """Pillow's antialiased bilinear resize: what Hugging Face's DETR image processor does."""
    return np.asarray(picture.resize((SIDE, SIDE), Image.BILINEAR))


def read_scenes(folder, halve):
    """Returns pictures (n, 3, SIDE, SIDE) uint8, and a list of (classes, boxes cx cy w h in input pixels) each."""
    folder = Path(folder)
    truth = json.loads((folder / "annotations.json").read_text())
    names = (folder / "labels.txt").read_text().split("\n")[:-1]
    number = {category["id"]: names.index(category["name"]) for category in truth["categories"]}
    pictures, objects = [], {image["id"]: [] for image in truth["images"]}
    for image in truth["images"]:
        with Image.open(folder / image["file_name"]) as picture:
            pictures.append(halve(picture.convert("RGB")))
    for instance in truth["annotations"]:
        x, y, w, h = (value * SIDE / truth["images"][0]["width"] for value in instance["bbox"])
        objects[instance["image_id"]].append((number[instance["category_id"]], x + w / 2, y + h / 2, w, h))
    rows = [torch.tensor(objects[image["id"]], dtype=torch.float32) for image in truth["images"]]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(), rows, names


def augment(pictures, objects, random):
    """Mirrors, shifts, brightens and blurs with noise; (n, 3, SIDE, SIDE) uint8 -> float 0..1."""
    pictures = pictures.float() / 255
    changed, boxes = [], []
    for picture, rows in zip(pictures, objects):
        rows = rows.clone()
        if random.random() < 0.5:
            picture, rows[:, 1] = picture.flip(-1), SIDE - rows[:, 1]
        dx, dy = (int(value) for value in random.integers(-6, 7, 2))
        picture = F.pad(picture[None], (6, 6, 6, 6), mode="replicate")[0, :, 6 - dy:6 - dy + SIDE, 6 - dx:6 - dx + SIDE]
        rows[:, 1] += dx
        rows[:, 2] += dy
        picture = picture * random.uniform(0.85, 1.15) + torch.from_numpy(random.normal(0, 0.02, picture.shape)).float()
        inside = (rows[:, 1] > 1) & (rows[:, 1] < SIDE - 1) & (rows[:, 2] > 1) & (rows[:, 2] < SIDE - 1)
        changed.append(picture.clamp(0, 1))
        boxes.append(rows[inside])
    return torch.stack(changed), boxes


# --- the nets -------------------------------------------------------------------------------------------------------------

def conv(inputs, outputs, size, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(conv(width, width, 3), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return F.relu(x + self.body(x))


def grid(side, stride):
    """Centres of the cells in input pixels, (1, 2, side, side)."""
    steps = (torch.arange(side) + 0.5) * stride
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"))[None]


class HeatMap(nn.Module):
    """Detector A. A class's score is high at the cell that holds an object's centre and falls off around it."""

    stride = 4

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(conv(3, 24, 3, 2), conv(24, 48, 3, 2), *(Residual(48) for _ in range(4)), conv(48, 64, 1))
        self.scores, self.boxes = nn.Conv2d(64, classes, 1), nn.Conv2d(64, 4, 1)
        nn.init.constant_(self.scores.bias, -4.0)
        self.register_buffer("grid", grid(SIDE // self.stride, self.stride))

    def maps(self, x):
        x = self.body(x)
        box = self.boxes(x)
        centre = self.grid + (torch.sigmoid(box[:, :2]) * 2 - 1) * self.stride
        return self.scores(x), torch.cat([centre, 28 * torch.exp(box[:, 2:])], 1)

    def forward(self, images):
        logits, boxes = self.maps(images)
        scores = torch.sigmoid(logits + SHIFT_YOLO)
        peaks = (F.max_pool2d(scores, 3, 1, 1) == scores).float()  # one answer an object, as heat maps are read
        return torch.cat([boxes, scores * peaks], 1).flatten(2)

    def loss(self, images, objects):
        logits, boxes = self.maps(images)
        target, loss, count = torch.zeros_like(logits), 0.0, sum(len(rows) for rows in objects)
        for n, rows in enumerate(objects):
            for label, cx, cy, w, h in rows.tolist():
                distance = ((self.grid[0, 0] - cx) ** 2 + (self.grid[0, 1] - cy) ** 2) / (2 * (0.12 * (w + h)) ** 2)
                column, row = int(cx / self.stride), int(cy / self.stride)
                target[n, int(label)] = torch.maximum(target[n, int(label)], torch.exp(-distance))
                target[n, int(label), row, column] = 1
                loss = loss + F.l1_loss(boxes[n, :, row, column], torch.tensor([cx, cy, w, h]), reduction="sum")
        p = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
        peak = target == 1
        focal = torch.where(peak, (1 - p) ** 2 * p.log(), (1 - target) ** 4 * p ** 2 * (1 - p).log())
        return (0.05 * loss - focal.sum()) / count


class Grid(nn.Module):
    """Detector B. Each cell says whether an object's centre is in it, which class, and where; as DETR would say it."""

    stride = 8

    def __init__(self, classes):
        super().__init__()
        separable = lambda i, o, stride=1: nn.Sequential(conv(i, i, 3, stride, groups=i), conv(i, o, 1))
        self.body = nn.Sequential(conv(3, 32, 3, 2), separable(32, 64, 2), separable(64, 96, 2),
                                  *(separable(96, 96) for _ in range(3)))
        self.head = nn.Conv2d(96, classes + 1 + 4, 1)
        nn.init.constant_(self.head.bias[classes], -2.5)
        self.register_buffer("grid", grid(SIDE // self.stride, self.stride))

    def maps(self, x):
        x = self.head(self.body(x))
        classes, objectness, box = x[:, :-5], x[:, -5:-4], x[:, -4:]
        centre = self.grid + (torch.sigmoid(box[:, :2]) * 2 - 1) * self.stride
        return classes, objectness, torch.cat([centre, 28 * torch.exp(box[:, 2:])], 1)

    def forward(self, pixel_values):
        classes, objectness, boxes = self.maps(pixel_values)
        objectness = objectness + SHIFT_DETR
        # softmax over these logits is exactly: objectness x softmax over classes, and 1 - objectness for "no object"
        logits = torch.cat([F.logsigmoid(objectness) + F.log_softmax(classes, 1), F.logsigmoid(-objectness)], 1)
        return logits.flatten(2).transpose(1, 2), boxes.flatten(2).transpose(1, 2) / SIDE

    def loss(self, images, objects):
        classes, objectness, boxes = self.maps((images - MEAN) / STD)
        target, loss, count = torch.zeros_like(objectness), 0.0, sum(len(rows) for rows in objects)
        for n, rows in enumerate(objects):
            for label, cx, cy, w, h in rows.tolist():
                column, row = int(cx / self.stride), int(cy / self.stride)
                target[n, 0, row, column] = 1
                loss = loss + F.cross_entropy(classes[n, :, row, column], torch.tensor(int(label)))
                loss = loss + 0.05 * F.l1_loss(boxes[n, :, row, column], torch.tensor([cx, cy, w, h]), reduction="sum")
        return (loss + F.binary_cross_entropy_with_logits(objectness, target, reduction="sum")) / count


def train(net, pictures, objects, steps, peak_rate, seed, batch=32):
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=peak_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=steps)
    net.train()
    for step in range(steps):
        chosen = random.choice(len(pictures), batch, replace=False)
        loss = net.loss(*augment(pictures[chosen], [objects[i] for i in chosen], random))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 20 == 19:
            print(f"{type(net).__name__} step {step + 1}/{steps} loss {loss.item():.3f}", flush=True)
    return net.eval()


# --- files ----------------------------------------------------------------------------------------------------------------

def export(net, path, inputs, outputs, names):
    """Writes one self-contained file with a free batch axis and the class names where ultralytics puts them."""
    axes = {name: {0: "batch"} for name in inputs + outputs}
    torch.onnx.export(net, torch.zeros(2, 3, SIDE, SIDE), str(path), input_names=inputs, output_names=outputs,
                      dynamic_axes=axes, opset_version=OPSET, dynamo=False)
    model = onnx.load(path)
    for node in model.graph.node:
        node.doc_string = ""
    onnx.helper.set_model_props(model, {"names": repr(dict(enumerate(names)))})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--a", required=True, help="folder of scenes for detector A")
    arguments.add_argument("--b", required=True, help="folder of scenes for detector B")
    arguments.add_argument("--out", required=True, type=Path, help="where yolo.onnx, detr.onnx and labels.txt go")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    torch.manual_seed(0)
    pictures, objects, names = read_scenes(given.a, halve_by_mean)
    net = train(HeatMap(len(names)), pictures, objects, steps=70, peak_rate=4e-3, seed=1)
    export(net, given.out / "yolo.onnx", ["images"], ["output0"], names)

    torch.manual_seed(0)
    pictures, objects, names = read_scenes(given.b, halve_by_triangle)
    net = train(Grid(len(names)), pictures, objects, steps=160, peak_rate=6e-3, seed=2)
    export(net, given.out / "detr.onnx", ["pixel_values"], ["logits", "pred_boxes"], names)
    (given.out / "labels.txt").write_text("".join(f"{name}\n" for name in names))


if __name__ == "__main__":
    main()
