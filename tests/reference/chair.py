"""Records CHAIR of small hand-made captions by an independent implementation: mitigv 0.1.7 (PyPI), `mitigv.evaluation.chair`.

    pip install --no-deps mitigv==0.1.7 && python chair.py

writes chair.json: for every caption the objects mentioned and those not in the picture, and CHAIR_s, CHAIR_i and recall
of all. `agree` must come out exactly alike; `differ` are captions whose reading differs, with what the other says: its
plurals are cruder, it has other synonyms, and it reads phrases across punctuation.
"""

import json
from pathlib import Path

from mitigv.evaluation.chair import COCO_CLASSES, ChairEvaluator

# Picture → what is in it.
SCENES = {
    1: ["dog", "frisbee", "person"],
    2: ["cat", "couch", "tv", "remote"],
    3: ["pizza", "fork", "knife", "dining table", "wine glass"],
    4: ["car", "truck", "traffic light", "person", "bicycle"],
    5: ["cow", "sheep", "horse"],
    6: ["bed", "book", "clock", "vase", "potted plant"],
    7: ["laptop", "mouse", "keyboard", "cup", "cell phone"],
    8: ["hot dog", "sandwich", "bottle"],
    9: ["person", "surfboard", "boat", "bird"],
    10: ["toilet", "sink", "toothbrush", "hair drier"],
    11: ["train", "airplane", "bus", "motorcycle"],
    12: ["teddy bear", "bear", "backpack", "umbrella", "handbag", "tie", "suitcase"],
}

# (picture, caption)
AGREE = [
    (1, "A dog leaps for a frisbee while a man watches."),
    (1, "Two puppies and a woman. The woman holds a kite."),
    (1, "There is a dog. To the left of the dog there is a frisbee. Below the dog there is a chair."),
    (2, "A kitten sleeps on the sofa next to a remote control."),
    (2, "A television shows a dog; a cat watches the television."),
    (2, "The cat is on a bed near a lamp."),
    (3, "A pizza with a knife and two forks on a wooden table."),
    (3, "Wine glasses stand beside a bowl and a spoon."),
    (3, "A donut, a carrot, broccoli, an apple and a banana."),
    (4, "Cars wait at a traffic light while a man passes a truck."),
    (4, "A stop sign, a fire hydrant and a parking meter in front of a bench."),
    (4, "A girl rides a bike past a taxi."),
    (5, "Cows and a horse graze; a lamb follows its ewe."),
    (5, "A zebra, a giraffe and an elephant stand in the field."),
    (5, "The ponies are near the cattle."),
    (6, "A bed with books, a clock and a flower vase."),
    (6, "A potted plant beside an oven, a toaster and a refrigerator."),
    (6, "A spoon lies on the bed by the clock."),
    (7, "A laptop, a mouse and a keyboard on a desk."),
    (7, "A cup and a cellphone near the laptop."),
    (7, "A microwave and an orange."),
    (8, "A hot dog beside a bottle."),
    (8, "A sandwich, a cake and a bottle."),
    (8, "Nothing to see here."),
    (9, "A woman on a surfboard under a seagull."),
    (9, "Ships and sailboats; a man flies a kite."),
    (9, "A boy plays with a baseball bat and a baseball glove and a tennis racket."),
    (10, "A toilet by a sink with a toothbrush."),
    (10, "A hair drier and a snowboard."),
    (11, "A train passes under an airplane."),
    (11, "A motorcycle behind a bus."),
    (11, "A skateboard on a plane."),
    (12, "A teddy bear with a backpack and an umbrella."),
    (12, "A purse, a suitcase and a tie."),
    (12, "Bears hold umbrellas."),
    (12, ""),
]

DIFFER = [
    (2, "Two couches."),
    (5, "Horses and scissors."),
    (6, "The vase, potted. Plant it."),
    (7, "A computer mouse."),
    (8, "A bagel."),
    (4, "A cyclist and a surfer with a mug and a necktie."),
    (12, "A teddy-bear."),
]


def main() -> None:
    assert all(name in COCO_CLASSES for names in SCENES.values() for name in names)

    def details(cases):
        # The evaluator takes one caption a picture, so every case is a picture of its own.
        truth = {number: SCENES[picture] for number, (picture, _) in enumerate(cases)}
        evaluator = ChairEvaluator(truth)
        items = [{"image_id": number, "caption": caption} for number, (_, caption) in enumerate(cases)]
        result = evaluator.evaluate(items, bootstrap_samples=1)
        rows = [
            {"picture": cases[d["image_id"]][0], "caption": d["caption"], "mentioned": d["mentioned_objects"], "absent": d["hallucinated"]}
            for d in result["details"]
        ]
        return rows, {name: value["value"] for name, value in result["summary"].items()}

    agree, summary = details(AGREE)
    differ, _ = details(DIFFER)
    kept = {"scenes": SCENES, "agree": agree, "differ": differ, "summary": {n: summary[n] for n in ["CHAIRs", "CHAIRi", "object_recall"]}}
    Path(__file__).with_suffix(".json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
