"""Makes tests/fixtures/detect: small random ONNX detectors, pictures, and what reference programs make of them.

    pip install torch torchvision transformers onnx onnxruntime opencv-python-headless pillow
    python tests/reference/detect.py

`scene.png` is scene 0 of `detectors-test` (examples/tiny-world/detectors/README.md); what the tiny world's two detectors see in
it is recorded too, so run this again when they were trained again.

Resizing is OpenCV's and Pillow's own; DETR pictures and boxes come from transformers' image processors; YOLO boxes from
torchvision's `nms` on boxes offset by class, as ultralytics documents `predict`. With `--ultralytics` (a scratch environment
that has the package) the YOLO numbers are also compared with that program's own functions; nothing of it is kept.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
import transformers
from PIL import Image
from torch import nn
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "tests" / "fixtures" / "detect"
TINY_WORLD = ROOT / "examples" / "tiny-world"
NAMES = ["cat", "hot dog", "baker's cap"]
HEIGHT, WIDTH = 64, 96  # of the YOLO inputs
CONFIDENCE, IOU = 0.25, 0.7


def pictures():
    """Smooth noise in three shapes: wide, tall, and exactly twice the YOLO input."""
    random = np.random.default_rng(7)
    made = {}
    for name, (height, width) in {"wide": (43, 117), "tall": (90, 31), "double": (2 * HEIGHT, 2 * WIDTH)}.items():
        coarse = random.uniform(0, 255, (6, 7, 3)).astype(np.float32)
        pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + random.normal(0, 1, (height, width, 3))
        made[name] = pixels.clip(0, 255).astype(np.uint8)
        Image.fromarray(made[name]).save(OUT / f"{name}.png", optimize=True)
    return made


def resizes(made):
    """One picture resized by both programs: smaller, larger, one axis, halved, to a point."""
    sizes = {"wide": [(96, 35), (40, 40), (117, 20), (200, 90), (1, 1)], "double": [(WIDTH, HEIGHT)]}
    for name, wanted in sizes.items():
        for width, height in wanted:
            by_opencv = cv2.resize(made[name], (width, height), interpolation=cv2.INTER_LINEAR)
            by_pillow = Image.fromarray(made[name]).resize((width, height), Image.BILINEAR)
            Image.fromarray(by_opencv).save(OUT / f"opencv-{name}-{width}x{height}.png", optimize=True)
            by_pillow.save(OUT / f"pillow-{name}-{width}x{height}.png", optimize=True)


# --- YOLO -----------------------------------------------------------------------------------------------------------------

class RawYolo(nn.Module):
    """Output (N, 4 + C, A): large overlapping boxes around the centres of 8x8 cells, scores all over 0..1."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 8, 8), nn.Tanh(), nn.Conv2d(12, 4 + len(NAMES), 1))
        for layer, gain in ((self.body[0], 12.0), (self.body[2], 6.0)):
            nn.init.normal_(layer.weight, std=gain / layer.weight[0].numel() ** 0.5)
        y, x = torch.meshgrid(torch.arange(HEIGHT // 8) + 0.5, torch.arange(WIDTH // 8) + 0.5, indexing="ij")
        self.register_buffer("centres", torch.stack([x, y])[None] * 8)

    def forward(self, images):
        x = self.body(images - 0.5)
        centre = self.centres + 3 * torch.tanh(x[:, :2])
        size = 36 + 36 * torch.sigmoid(x[:, 2:4])
        return torch.cat([centre, size, torch.sigmoid(x[:, 4:] - 4)], 1).flatten(2)


class EndToEndYolo(RawYolo):
    """Output (N, 20, 6): corners, score, class of the twenty best places."""

    def forward(self, images):
        raw = super().forward(images).transpose(1, 2)
        score, label = raw[..., 4:].max(-1)
        score, place = score.topk(20, dim=1)
        box = raw[..., :4].gather(1, place[..., None].expand(-1, -1, 4))
        corners = torch.cat([box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2], -1)
        return torch.cat([corners, score[..., None], label.gather(1, place)[..., None].float()], -1)


def letterbox(picture, width, height):
    """Fits without changing proportions, grey 114 around; returns the canvas, the gain of each axis and the margins."""
    gain = min(height / picture.shape[0], width / picture.shape[1])
    inner = round(picture.shape[1] * gain), round(picture.shape[0] * gain)
    fitted = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
    left, top = (max(round((outer - side) / 2 - 0.1), 0) for outer, side in zip((width, height), inner))
    canvas = np.full((height, width, 3), 114, np.uint8)
    canvas[top:top + inner[1], left:left + inner[0]] = fitted
    return canvas, (inner[0] / picture.shape[1], inner[1] / picture.shape[0]), left, top


def back(boxes, picture, gain, left, top):
    boxes = (boxes - torch.tensor([left, top, left, top])) / torch.tensor([*gain, *gain])
    return torch.stack([boxes[:, i].clamp(0, picture.shape[1 - i % 2]) for i in range(4)], 1)


def read_raw(output):
    prediction = output[0].T  # (A, 4 + C)
    score, label = prediction[:, 4:].max(1)
    kept = score > CONFIDENCE
    box, score, label = prediction[kept, :4], score[kept], label[kept]
    corners = torch.cat([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], 1)
    order = torchvision.ops.nms(corners + label[:, None] * 7680.0, score, IOU)[:300]
    return corners[order], score[order], label[order]


def read_end_to_end(output):
    rows = output[0][output[0][:, 4] > CONFIDENCE]
    return rows[:, :4], rows[:, 4], rows[:, 5].long()


def yolo(name, net, read, made, batch, compare):
    path = OUT / f"{name}.onnx"
    export(net, path, ["images"], ["output0"], (1, 3, HEIGHT, WIDTH), {0: "batch"} if batch is None else {})
    annotate(path, {"names": repr(dict(enumerate(NAMES))), "task": "detect"})
    return yolo_answers(path, WIDTH, HEIGHT, read, made, NAMES, compare)


def yolo_answers(path, width, height, read, made, names, compare):
    session = onnxruntime.InferenceSession(path)
    found = {}
    for picture_name, picture in made.items():
        canvas, gain, left, top = letterbox(picture, width, height)
        images = torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255
        output = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        boxes, scores, labels = read(output)
        boxes = back(boxes, picture, gain, left, top)
        if compare:
            compare_with_ultralytics(picture, canvas, output, path.stem, boxes, scores, labels)
        found[picture_name] = rows(boxes, scores, labels, names)
    return found


def compare_with_ultralytics(picture, canvas, output, name, boxes, scores, labels):
    """Their letterbox, their suppression of overlaps, their way back to the picture."""
    height, width, _ = canvas.shape
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import scale_boxes

    assert np.array_equal(LetterBox((height, width), auto=False)(image=picture), canvas)
    theirs = non_max_suppression(output.clone(), CONFIDENCE, IOU, end2end=name == "yolo-end-to-end")[0]
    moved = scale_boxes((height, width), theirs[:, :4].clone(), picture.shape[:2])
    assert torch.equal(theirs[:, 4], scores) and torch.equal(theirs[:, 5].long(), labels)
    print(name, len(scores), "boxes equal ultralytics' within", float((moved - boxes).abs().max()), "pixels")


# --- DETR -----------------------------------------------------------------------------------------------------------------

def tiny_detr():
    """A DETR of transformers, small."""
    backbone = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 8, 8], depths=[1, 1, 1, 1], layer_type="basic",
                                         out_features=["stage4"])
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, backbone=None, use_pretrained_backbone=False, num_queries=12,
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=24, decoder_ffn_dim=24, encoder_attention_heads=2,
        decoder_attention_heads=2, num_labels=len(NAMES), attn_implementation="eager")
    model = spread(transformers.DetrForObjectDetection(config))
    nn.init.normal_(model.model.query_position_embeddings.weight, std=4.0)
    nn.init.normal_(model.class_labels_classifier.weight, std=1.5)
    model.class_labels_classifier.bias.data = torch.tensor([0.0, 2.0, 0.0, 8.0])
    return model


def tiny_rt_detr():
    """RT-DETR's head on a small body: its own neck is large, and only inputs and outputs are its layout's."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 12, 16, 16), nn.Tanh(), nn.Conv2d(12, len(NAMES) + 4, 1))

        def forward(self, pixel_values):
            x = self.body(pixel_values - 0.5).flatten(2).transpose(1, 2)
            return x[..., :-4] * 3 - 3, torch.sigmoid(x[..., -4:])

    return spread(Net())


def spread(net):
    """Makes a freshly initialised net answer differently to different pictures and queries."""
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=1.6 / parameter[0].numel() ** 0.5)
        elif "norm" not in name:
            nn.init.normal_(parameter, std=0.3)
    return net


class Positional(nn.Module):
    """Gives a transformers model the inputs and outputs of an ONNX export."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values, pixel_mask):
        answer = self.model(pixel_values=pixel_values, pixel_mask=pixel_mask)
        return answer.logits, answer.pred_boxes


def detr(made):
    path = OUT / "detr.onnx"
    inputs = ["pixel_values", "pixel_mask"]
    shown = (torch.rand(1, 3, 96, 128), torch.ones(1, 64, 64, dtype=torch.int64))
    torch.onnx.export(Positional(tiny_detr().eval()), shown, str(path), input_names=inputs,
                      output_names=["logits", "pred_boxes"], opset_version=17, dynamo=False,
                      dynamic_axes={"pixel_values": {0: "batch", 2: "height", 3: "width"}, "pixel_mask": {0: "batch"},
                                    "logits": {0: "batch"}, "pred_boxes": {0: "batch"}})
    tidy(path)
    processor = DetrImageProcessorPil()
    return detr_answers(path, processor, made, {"pixel_mask": np.ones((1, 64, 64), np.int64)}, NAMES)


def rt_detr(made):
    path = OUT / "rt-detr.onnx"
    export(tiny_rt_detr(), path, ["pixel_values"], ["logits", "pred_boxes"], (1, 3, 96, 96), {0: "batch"})
    processor = RTDetrImageProcessorPil(size={"height": 96, "width": 96})
    return detr_answers(path, processor, made, {}, NAMES)


def detr_answers(path, processor, made, more, names):
    session = onnxruntime.InferenceSession(path)
    found = {}
    for name, picture in made.items():
        pixels = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"]
        logits, boxes = session.run(["logits", "pred_boxes"], {"pixel_values": pixels.astype(np.float32), **more})
        answer = transformers.models.detr.modeling_detr.DetrObjectDetectionOutput(
            logits=torch.from_numpy(logits), pred_boxes=torch.from_numpy(boxes))
        read = processor.post_process_object_detection(answer, 0.5, [picture.shape[:2]])[0]
        order = torch.sort(read["scores"], descending=True, stable=True).indices
        found[name] = rows(read["boxes"][order], read["scores"][order], read["labels"][order], names)
    return found


# --- files ----------------------------------------------------------------------------------------------------------------

def export(net, path, inputs, outputs, shape, axes):
    torch.onnx.export(net.eval(), torch.rand(shape), str(path), input_names=inputs, output_names=outputs, opset_version=17,
                      dynamic_axes={name: axes for name in inputs + outputs} if axes else None, dynamo=False)
    tidy(path)


def tidy(path):
    model = onnx.load(path)
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def annotate(path, properties):
    model = onnx.load(path)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)


def rows(boxes, scores, labels, names):
    """Nine digits hold a 32-bit float."""
    short = lambda value: float(f"{float(value):.9g}")
    return [[names[label], short(score), [short(side) for side in box]] for box, score, label in zip(boxes, scores, labels)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--ultralytics", action="store_true")
    compare = arguments.parse_args().ultralytics
    torch.set_num_threads(1)
    torch.manual_seed(3)
    OUT.mkdir(parents=True, exist_ok=True)
    made = pictures()
    resizes(made)
    raw = RawYolo()
    end_to_end = EndToEndYolo()
    end_to_end.load_state_dict(raw.state_dict())
    recorded = {
        "yolo": yolo("yolo", raw, read_raw, made, None, compare),
        "yolo-batch-1": yolo("yolo-batch-1", raw, read_raw, made, 1, False),
        "yolo-end-to-end": yolo("yolo-end-to-end", end_to_end, read_end_to_end, made, None, compare),
        "detr": detr(made),
        "rt-detr": rt_detr(made),
    }
    scene = {"scene": np.asarray(Image.open(OUT / "scene.png").convert("RGB"))}
    names = (TINY_WORLD / "labels.txt").read_text().split("\n")[:-1]
    recorded["tiny-world-yolo"] = yolo_answers(TINY_WORLD / "yolo.onnx", 112, 112, read_raw, scene, names, compare)
    square = DetrImageProcessorPil(size={"height": 112, "width": 112})
    recorded["tiny-world-detr"] = detr_answers(TINY_WORLD / "detr.onnx", square, scene, {}, names)
    (OUT / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    text = json.dumps(recorded, separators=(",", ":"))
    (OUT / "expected.json").write_text(text.replace(',"', ',\n"') + "\n")
    for name, by_picture in recorded.items():
        print(name, {picture: len(found) for picture, found in by_picture.items()})


if __name__ == "__main__":
    main()
