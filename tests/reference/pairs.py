"""Records what the rules of the released SENTINEL code (commit 0260bc9) make of random steps.

    python pairs.py

writes pairs.json. The rules are written down here once more, as plainly as they can be, and share nothing with the runner: stop
rule, classification by an open and a closed detector, pairs, and the sentences that the context may grow by. The released code
draws the order of candidates from a hash; here they stay in the order they were sampled in.
"""

import json
import random
from pathlib import Path

POOL = [f"o{number}" for number in range(12)]


def step(sentences, objects, factual, uncertain, hallucinated, context_objects, dino, yolo_names, yolo_found):
    distinct = list(dict.fromkeys(s for s in sentences if s))
    stops = (len(sentences) - len(distinct)) / len(sentences) > 0.5
    factual, uncertain, hallucinated = list(factual), list(uncertain), list(hallucinated)
    for sentence in distinct:
        for name in objects[sentence]:
            if name in factual + uncertain + hallucinated:
                continue
            by_dino = name in dino
            by_yolo = name in yolo_found if name in yolo_names else True
            if by_dino and by_yolo:
                factual.append(name)
            elif not by_dino and not by_yolo:
                hallucinated.append(name)
            else:
                uncertain.append(name)
    positives = [s for s in distinct if objects[s] and not set(objects[s]) & set(hallucinated) and not set(objects[s]) & set(uncertain)]
    negatives = [s for s in distinct if set(objects[s]) & set(hallucinated)]
    plus = [s for s in positives if set(objects[s]) & set(context_objects)]
    minus = [s for s in positives if s not in plus]
    pairs = list(zip(plus, negatives)) if len(distinct) > 1 else []
    grows = minus or plus or distinct
    return {
        "stops": stops,
        "factual": sorted(factual),
        "uncertain": sorted(uncertain),
        "hallucinated": sorted(hallucinated),
        "pairs": pairs,
        "grows": grows if len(distinct) > 1 else distinct,
    }


def case(rng):
    names = rng.sample(POOL, len(POOL))
    decided = names[: rng.randrange(6)]
    factual, uncertain, hallucinated = decided[:3], decided[3:4], decided[4:]
    context_objects = factual
    vocabulary = rng.choice([1, 3, 8, 10, 12, 14])
    texts = {f"s{number}": rng.sample(names, rng.choice([0, 1, 1, 1, 2, 2, 3])) for number in range(vocabulary)}
    empty = rng.choice([0.0, 0.0, 0.0, 0.2, 0.5])
    sentences = ["" if rng.random() < empty else rng.choice(list(texts)) for _ in range(10)]
    yolo_names = [name for name in POOL if rng.random() < 0.8]
    dino = [name for name in POOL if rng.random() < 0.6]
    yolo_found = [name for name in yolo_names if (name in dino) == (rng.random() < 0.95)]
    state = dict(factual=factual, uncertain=uncertain, hallucinated=hallucinated, context_objects=context_objects)
    seen = dict(dino=dino, yolo_names=yolo_names, yolo_found=yolo_found)
    objects = {text: texts[text] for text in dict.fromkeys(sentences) if text}
    given = dict(sentences=sentences, objects=objects, **state, **seen)
    return {"given": given, "expected": step(**given)}


def main() -> None:
    rng = random.Random(7)
    drawn = [case(rng) for _ in range(400)]
    # Most random steps make no pair; those that do are worth more.
    fruitful = [c for c in drawn if c["expected"]["pairs"]][:13]
    cases = fruitful + [c for c in drawn if not c["expected"]["pairs"]][:12]
    assert len(cases) == 25 and {c["expected"]["stops"] for c in fruitful} == {False, True}
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
