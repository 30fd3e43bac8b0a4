"""List the cases of the step suite, as data. Imports nothing but the standard library.

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
    dtype: Dtype = "float32"  # bfloat16: mixed precision, as `bf16: true` has it
    head: HeadMode = "full"  # frozen: neither head nor embedding has a gradient, as under LoRA
    tied: bool = False  # the head is the embedding
    loss: Literal["apo_zero", "sigmoid"] = "apo_zero"
    beta: float = 0.1
    seed: int = 0
    learning_rate: float = 1e-6

    @property
    def response_tokens(self) -> int:
        """Tokens that have a log-prob in the loss."""
        return sum(pair.chosen + pair.rejected for pair in self.lengths)

    @property
    def padded_tokens(self) -> int:
        """Positions of the padded batch: two rows a pair, all of the longest row's length."""
        longest = max(pair.prompt + max(pair.chosen, pair.rejected) for pair in self.lengths)
        return 2 * len(self.lengths) * longest

    @property
    def packed_tokens(self) -> int:
        """Tokens of both rows of every pair, without padding."""
        return sum(2 * pair.prompt + pair.chosen + pair.rejected for pair in self.lengths)

    @property
    def shared_tokens(self) -> int:
        """Tokens without padding and with every prompt counted once."""
        return sum(pair.prompt + pair.chosen + pair.rejected for pair in self.lengths)

    def to_json(self) -> dict[str, Any]:
        """Return the case as JSON has it, with its token counts."""
        names = ("response_tokens", "padded_tokens", "packed_tokens", "shared_tokens")
        return asdict(self) | {name: getattr(self, name) for name in names}

    def describe(self) -> str:
        count = f"{len(self.lengths)} pair{'s' * (len(self.lengths) > 1)}"
        tie = ", tied to the embedding" if self.tied else ""
        return (
            f"V={self.vocabulary} D={self.hidden}, {self.layers} layers, {self.dtype}, {self.head} "
            f"head{tie}, {self.loss}; {count}, {self.response_tokens} response "
            f"tokens; {self.padded_tokens} padded positions, {self.packed_tokens} packed, "
            f"{self.shared_tokens} with prompts shared"
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
# Long prompts, and responses of 64 to 512 tokens whose two sides are of like length.
_MIXED = _pairs(
    (512, 64, 128),
    (512, 128, 64),
    (512, 192, 256),
    (512, 256, 192),
    (512, 320, 384),
    (512, 384, 320),
    (512, 448, 512),
    (512, 512, 448),
)
# Half of a pair's tokens are prompt: all three texts counted once.
_HALF = _pairs((512, 256, 256), (512, 192, 320), (512, 288, 224), (512, 240, 272))
# Half of each row's tokens are prompt.
_HALF_ROWS = _pairs((384, 384, 384), (256, 256, 256), (320, 320, 320), (448, 448, 448))

SUITE: tuple[StepCase, ...] = (
    StepCase("v32k-mixed", 32768, 512, 8, _MIXED),
    StepCase("v32k-share50", 32768, 512, 8, _HALF),
    StepCase("v32k-share50-rows", 32768, 512, 8, _HALF_ROWS),
    StepCase("v32k-chat", 32768, 512, 4, _CHAT),
    StepCase("v32k-document", 32768, 512, 4, _DOCUMENT, loss="sigmoid"),
    StepCase("v32k-essay", 32768, 512, 4, _ESSAY),
    StepCase("v32k-essay-frozen", 32768, 512, 4, _ESSAY, head="frozen"),
    StepCase("v32k-chat-bf16", 32768, 512, 4, _CHAT, dtype="bfloat16"),
    StepCase("v152k", 151936, 896, 2, _LARGE, tied=True),
    StepCase("v152k-frozen", 151936, 896, 2, _LARGE, head="frozen", tied=True),
)

QUICK: tuple[StepCase, ...] = (
    StepCase("tiny", 512, 64, 2, _TINY),
    StepCase("small", 8192, 256, 2, _CHAT),
    StepCase("small-frozen", 8192, 256, 2, _CHAT, head="frozen", loss="sigmoid"),
)
