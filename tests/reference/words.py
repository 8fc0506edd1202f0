"""A small language of made-up words, for models that have learnt nothing: a word an id, and what is asked in it."""

VOCABULARY = 160
QUESTION = "bab babe babi?"
CONTEXTS = [[], ["babo gage."], ["babo gage.", "bibi babu 17."]]


def word(number):
    """A word of its own for every id; every sixth ends a sentence, some of them with a number that has a period."""
    syllables = [consonant + vowel for consonant in "bdfghklmnprtv" for vowel in "aeiou"]
    plain = "ba" + syllables[number % 65] + "gi" * (number // 65)
    if number % 6:
        return plain
    return f"{number}." if number % 18 == 0 else plain + ".!?"[number // 6 % 3]
