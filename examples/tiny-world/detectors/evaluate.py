"""Says how good the two detectors are on scenes they have not seen, and how often they agree. See README.md."""

import argparse

import numpy as np
import onnxruntime

from train import MEAN, STD, halve_by_mean, halve_by_triangle, read_scenes


def presence_yolo(path, pictures):
    """Returns the best score of each class in each picture, (n, classes)."""
    session = onnxruntime.InferenceSession(path)
    best = [session.run(None, {"images": picture[None].float().numpy() / 255})[0][0, 4:].max(1) for picture in pictures]
    return np.stack(best)


def presence_detr(path, pictures, classes):
    session = onnxruntime.InferenceSession(path)
    best = np.zeros((len(pictures), classes))
    for n, picture in enumerate(pictures):
        logits = session.run(["logits"], {"pixel_values": ((picture.float() / 255 - MEAN) / STD)[None].numpy()})[0][0]
        score = np.exp(logits - logits.max(1, keepdims=True))
        score = (score / score.sum(1, keepdims=True))[:, :-1]
        label = score.argmax(1)
        np.maximum.at(best[n], label, score.max(1))
    return best


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--test", required=True, help="folder of scenes")
    arguments.add_argument("--yolo", required=True)
    arguments.add_argument("--detr", required=True)
    given = arguments.parse_args()
    pictures, objects, names = read_scenes(given.test, halve_by_mean)
    present = np.zeros((len(objects), len(names)), bool)
    for n, rows in enumerate(objects):
        present[n, rows[:, 0].long().numpy()] = True
    a = presence_yolo(given.yolo, pictures)
    b = presence_detr(given.detr, read_scenes(given.test, halve_by_triangle)[0], len(names))
    for threshold_a, threshold_b in [(0.25, 0.5), (0.15, 0.3), (0.5, 0.7)]:  # the families' own; lower; higher
        found_a, found_b = a > threshold_a, b > threshold_b
        print(f"thresholds {threshold_a}, {threshold_b}")
        for name, found in [("A", found_a), ("B", found_b)]:
            right = (found & present).sum()
            print(f"  {name} precision {right / found.sum():.3f} recall {right / present.sum():.3f}")
        for name, where in [("present", present), ("absent", ~present)]:
            both, neither = (found_a & found_b)[where].mean(), (~found_a & ~found_b)[where].mean()
            print(f"  {name}: factual {both:.3f} uncertain {1 - both - neither:.3f} hallucinated {neither:.3f}")


if __name__ == "__main__":
    main()
