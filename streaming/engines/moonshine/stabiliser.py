"""Reduces changes in partials, and computes the stable prefix that later partials keep. `engine.py` calls it.

The recogniser decodes the open line again at each update, and so changes words that the viewer has already seen. The
stabiliser shows a word when two successive updates agree on it and on all words before it (local agreement: Liu et al.,
2020, "Low-Latency Sequence-to-Sequence Speech Recognition").
"""

# In a line's first update no word is confirmed yet. Its last words may be cut off, so hide them until the next update.
WITHHELD_WORDS = 5
# The last words on which two updates agree still change sometimes, so they are not declared stable. With a margin of
# two words the final contradicted the stable prefix in 2 % of the lines, with four in 0.7 % (measured with 150 lines of
# speech at other speeds and with noise).
MARGIN_WORDS = 4
PUNCTUATION = ".,;:!?…"  # at the end of a partial it marks the end of the audio, not of a sentence


class Stabiliser:
    """Stabilises the partials of one line, in a language that separates words by spaces."""

    def __init__(self) -> None:
        self._previous: list[str] = []  # the words of the last update
        self._shown: list[str] = []
        self._stable: list[str] = []

    def show(self, text: str) -> tuple[str, int]:
        """Return the text to show for an update, and how many of its characters (code points) are stable.

        All later texts of this line begin with exactly these characters.
        """
        words = self._with_stable_prefix(text.split())
        confirmed = max(agreement(words, self._previous), len(self._stable))
        if self._shown and agreement(words, self._shown) == len(self._shown):
            shown = max(confirmed, len(self._shown))  # a line must not become shorter while its words are unchanged
        else:
            # The first update of a line, or one that contradicts the shown words. Show unconfirmed words, because a
            # line that disappears until the next update would disturb more.
            most = len(self._shown) or len(words)
            shown = max(confirmed, min(most, len(words) - WITHHELD_WORDS), 1)
        self._previous = words
        self._shown = without_last_punctuation(words[:shown])
        if confirmed - MARGIN_WORDS > len(self._stable):
            self._stable = without_last_punctuation(words[: confirmed - MARGIN_WORDS])
        return " ".join(self._shown), len(" ".join(self._stable))

    def _with_stable_prefix(self, words: list[str]) -> list[str]:
        """Return the update's words, with its first words replaced by the stable ones if they differ."""
        count = len(self._stable)
        if agreement(words, self._stable) == count:
            return words  # the same words; the last stable one may have gained punctuation
        return self._stable + words[count:]


def agreement(words: list[str], others: list[str]) -> int:
    """Return the number of equal words from the first on. The last of them may differ in its punctuation."""
    count = 0
    for word, other in zip(words, others, strict=False):
        if word == other:
            count += 1
        else:
            return count + (word.rstrip(PUNCTUATION) == other.rstrip(PUNCTUATION))
    return count


def without_last_punctuation(words: list[str]) -> list[str]:
    return [*words[:-1], words[-1].rstrip(PUNCTUATION)] if words else []
