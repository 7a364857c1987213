"""The texts of the recordings in the recogniser's wheel, and the word error rate of a transcript."""

import re

TWO_CITIES = """
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the
epoch of belief, it was the epoch of incredulity, it was the season of light, it was the season of darkness, it was the
spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all going
direct to heaven, we were all going direct the other way. In short, the period was so far like the present period that
some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of
comparison only.
"""
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
# The largest accepted word error rates: slightly more than the recogniser's own errors.
LARGEST_ERROR = {"two_cities": 0.12, "beckett": 0.34}
TEXTS = {"two_cities": TWO_CITIES, "beckett": BECKETT}


def bare(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def word_error_rate(expected: str, transcript: str) -> float:
    """Return the number of inserted, deleted and changed words, divided by the number of expected words."""
    reference, hypothesis = bare(expected), bare(transcript)
    row = list(range(len(hypothesis) + 1))
    for count, word in enumerate(reference, start=1):
        diagonal, row[0] = row[0], count
        for index, other in enumerate(hypothesis, start=1):
            diagonal, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, diagonal + (word != other))
    return row[-1] / len(reference)
