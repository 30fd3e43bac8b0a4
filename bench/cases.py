"""The points that are measured, as data. Imports nothing but the standard library.

A case gives explicit lengths, so that two machines measure the same padding and the same share of
response tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Dtype = Literal["float32", "bfloat16"]
HeadMode = Literal["frozen", "full"]


@dataclass(frozen=True)
class PairLengths:
    """Tokens of one preference pair."""

    prompt: int
    chosen: int
    rejected: int


@dataclass(frozen=True)
class StepCase:
    """One training step: a random Llama of this shape on one batch of pairs."""

    name: str
    vocabulary: int
    hidden: int
    layers: int
    lengths: tuple[PairLengths, ...]
    dtype: Dtype = "float32"
    head: HeadMode = "full"  # frozen: neither head nor embedding has a gradient, as under LoRA
    tied: bool = False  # the head is the embedding
    loss: Literal["apo_zero", "sigmoid"] = "apo_zero"
    beta: float = 0.1
    seed: int = 0

    @property
    def response_tokens(self) -> int:
        """Tokens that have a log-prob in the loss."""
        return sum(pair.chosen + pair.rejected for pair in self.lengths)

    @property
    def padded_tokens(self) -> int:
        """Positions of the padded batch: two rows a pair, all of the longest row's length."""
        longest = max(pair.prompt + max(pair.chosen, pair.rejected) for pair in self.lengths)
        return 2 * len(self.lengths) * longest

    def to_json(self) -> dict[str, Any]:
        """Return the case as JSON has it, with its token counts."""
        counts = {"response_tokens": self.response_tokens, "padded_tokens": self.padded_tokens}
        return asdict(self) | counts

    def describe(self) -> str:
        """Return the case in one line for people."""
        count = f"{len(self.lengths)} pair{'s' * (len(self.lengths) > 1)}"
        tie = ", tied to the embedding" if self.tied else ""
        return (
            f"V={self.vocabulary} D={self.hidden}, {self.layers} layers, {self.dtype}, {self.head} "
            f"head{tie}, {self.loss}; {count}, {self.response_tokens} response "
            f"tokens in {self.padded_tokens} padded positions"
        )


def _pairs(*lengths: tuple[int, int, int]) -> tuple[PairLengths, ...]:
    return tuple(PairLengths(*entry) for entry in lengths)


# Two short questions whose answers are as unlike in length as a real batch has them.
_CHAT = _pairs((48, 96, 80), (96, 40, 120))
# A long document with a short answer: most positions are prompt.
_DOCUMENT = _pairs((448, 64, 48))
# A short question with a long answer: nearly all positions are response.
_ESSAY = _pairs((32, 352, 320))
_LARGE = _pairs((48, 96, 88))
_TINY = _pairs((12, 20, 16), (6, 24, 18))

SUITE: tuple[StepCase, ...] = (
    StepCase("v32k-chat", 32768, 512, 4, _CHAT),
    StepCase("v32k-document", 32768, 512, 4, _DOCUMENT, loss="sigmoid"),
    StepCase("v32k-essay", 32768, 512, 4, _ESSAY),
    StepCase("v32k-essay-frozen", 32768, 512, 4, _ESSAY, head="frozen"),
    StepCase("v32k-chat-bf16", 32768, 512, 4, _CHAT, dtype="bfloat16"),
    StepCase("v152k", 151936, 896, 2, _LARGE, tied=True),
    StepCase("v152k-frozen", 151936, 896, 2, _LARGE, head="frozen", tied=True),
    StepCase("v152k-frozen-bf16", 151936, 896, 2, _LARGE, dtype="bfloat16", head="frozen",
             tied=True),
)  # fmt: skip

QUICK: tuple[StepCase, ...] = (
    StepCase("tiny", 512, 64, 2, _TINY),
    StepCase("small", 8192, 256, 2, _CHAT),
    StepCase("small-frozen", 8192, 256, 2, _CHAT, head="frozen", loss="sigmoid"),
)
