"""Calm partials: show of a line only what successive updates agree on, and promise the prefix that will not change.

A recogniser that decodes the open line again at each update rewrites words that the reader has seen. The rule here is
local agreement (Liu et al., 2020, "Low-Latency Sequence-to-Sequence Speech Recognition"): a word is shown when two
successive updates agree on it and on all words before it. `LocalEngine` uses it.
"""

# Of a line's first update nothing is confirmed: its last words, which are cut off in mid-speech, wait for the second.
HELD_WORDS = 5
# The last words that two updates agree on still change now and then. With a margin of two words the final contradicted
# the promised prefix in 2 % of the lines, with four in 0.7 % (150 lines of speech at other speeds and with noise).
MARGIN_WORDS = 4
PUNCTUATION = ".,;:!?…"  # at the end of a partial it says where the audio was cut, not where the sentence ends


class Stabiliser:
    """The partials of one line, in a language that separates words by spaces."""

    def __init__(self) -> None:
        self._previous: list[str] = []  # the words of the last update
        self._shown: list[str] = []
        self._stable: list[str] = []

    def show(self, text: str) -> tuple[str, int]:
        """Return the text to show of an update, and how many of its characters (code points) are stable.

        The texts that follow begin with exactly the stable characters.
        """
        words = self._with_stable_prefix(text.split())
        confirmed = max(agreement(words, self._previous), len(self._stable))
        if self._shown and agreement(words, self._shown) == len(self._shown):
            shown = max(confirmed, len(self._shown))  # a line never gets shorter while its words stand
        else:
            # The first update of a line, or one that contradicts what is shown. Unconfirmed words disturb less than a
            # line that disappears for a third of a second.
            most = len(self._shown) or len(words)
            shown = max(confirmed, min(most, len(words) - HELD_WORDS), 1)
        self._previous = words
        self._shown = without_last_punctuation(words[:shown])
        if confirmed - MARGIN_WORDS > len(self._stable):
            self._stable = without_last_punctuation(words[: confirmed - MARGIN_WORDS])
        return " ".join(self._shown), len(" ".join(self._stable))

    def _with_stable_prefix(self, words: list[str]) -> list[str]:
        """Return the update with the stable words in their places, whatever it says there now."""
        count = len(self._stable)
        if agreement(words, self._stable) == count:
            return words  # the last stable word may have got its punctuation
        return self._stable + words[count:]


def agreement(words: list[str], others: list[str]) -> int:
    """Return how many words from the first on are the same; the last of them may differ in its punctuation."""
    count = 0
    for word, other in zip(words, others, strict=False):
        if word == other:
            count += 1
        else:
            return count + (word.rstrip(PUNCTUATION) == other.rstrip(PUNCTUATION))
    return count


def without_last_punctuation(words: list[str]) -> list[str]:
    return [*words[:-1], words[-1].rstrip(PUNCTUATION)] if words else []
