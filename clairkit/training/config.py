"""Hold the configuration of a training run: its keys and their defaults, checked."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from clairkit.batching.chat_settings import ChatSettings
from clairkit.choices import (
    AUTO_LOSS,
    Dtype,
    Kernel,
    LossMask,
    SpecialTokens,
    Thoughts,
    Truncation,
    size_in_bytes,
)
from clairkit.errors import UsageError, suggest
from clairkit.losses import LossMix, loss_options, parse_loss
from clairkit.training.arguments.defaults import derived_defaults
from clairkit.training.arguments.ranges import check_numbers, fits, type_name
from clairkit.training.reference.spec import Ref, parse_ref

# Arguments of the Trainer that clairkit sets itself.
_RESERVED = {
    "output_dir": "use -o/--output",
    "remove_unused_columns": "batches are made by clairkit",
    "label_names": "batches are made by clairkit",
    "resume_from_checkpoint": "use --resume",
    "label_smoothing_factor": "use label_smoothing, with a loss that reads it",
    "use_liger_kernel": "clairkit brings its own kernels, see `kernel`",
    "neftune_noise_alpha": "noise makes the policy differ from the reference",
    "length_column_name": "batches are made by clairkit",
}
_SEEDS = ("seed", "data_seed")
_COUNTS = (
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
)


@dataclass(frozen=True)
class TrainConfig:
    """What a run is. Unknown keys go to `arguments` when TrainingArguments has them."""

    model: str
    """Folder or Hub id of the model to train; it is the reference, too."""
    pairs: str
    """File, folder or Hub id of the training pairs."""
    output: str
    """The run directory."""
    eval_pairs: str | None = None
    """Pairs to evaluate the loss on, held out."""
    loss: str = "apo_zero"
    """Name of the loss, see `clairkit.losses.LOSSES`, or a sum such as apo_zero+0.1*sft. auto:
    apo_zero or apo_down, whichever verdicts on the pairs speak for."""
    votes: str | None = None
    """What `label import` wrote about the pairs, for loss auto; None: their judge's verdicts."""
    beta: float = 0.1
    """Strength of the anchor to the reference."""
    label_smoothing: float | None = None
    """Share of flipped labels that robust, exo_pair and aot assume; None: the loss's own."""
    discopop_tau: float | None = None
    """Temperature of discopop's mixture; None: 0.05."""
    kernel: Kernel = "auto"
    """How log-probs are computed: auto, triton, native, torch or eager."""
    memory_budget: int | str | None = None
    """Bytes of products that a trained head may keep, so as not to make them twice; None: on a
    CPU a sixteenth of its memory, 1 GiB at most, elsewhere 32 MiB; "auto": a quarter of the free
    memory."""
    max_length: int | None = 1024
    """Tokens of prompt and response together; None for no limit."""
    truncation: Truncation = "drop"
    """What a longer pair gets: error, drop, keep_start or edit_window."""
    ref: str = "start"
    """The reference: start (the model before training, as it is), base (the same with adapters
    off), adapter:PATH, model:ID or cache:FILE."""
    f_divergence_type: str = "reverse_kl"
    """What measures the distance to the reference, for losses of a log-ratio difference."""
    f_alpha_divergence_coef: float = 0.5
    """Alpha of f_divergence_type alpha_divergence."""
    loss_mask: LossMask = "all"
    """Response tokens that count: all, those in edit spans, or the shared ones at shared_weight."""
    shared_weight: float = 0.1
    """Weight of tokens outside of edit spans, for loss_mask weighted."""
    tokens_per_step: int | Literal["auto"] | None = "auto"
    """Tokens in one forward pass; a batch of more is run in parts, with the same loss. auto: 1024
    on a CPU, else 8192. None for no limit."""
    padding_free: bool | Literal["auto"] = "auto"
    """Sequences packed without padding; auto: where the model's attention admits it."""
    share_prompt: bool | Literal["auto"] = "auto"
    """What both sides of a pair begin with is computed once; auto: where it is worth it."""
    adapter: str | None = None
    """Folder or Hub id of a LoRA adapter to go on training."""
    use_peft: bool = False
    """Train a new LoRA adapter instead of the weights."""
    lora_r: int = 16
    """Rank of the adapter."""
    lora_alpha: float = 32
    """Scale of the adapter, divided by its rank."""
    lora_dropout: float = 0.0
    """Dropout of the adapter's input; needs disable_dropout: false."""
    lora_target_modules: Sequence[str] | str | None = None
    """Modules that get an adapter; None: all linear layers but the head."""
    lora_modules_to_save: Sequence[str] | None = None
    """Modules that are trained in full beside the adapter."""
    use_rslora: bool = False
    """Scale the adapter by alpha / sqrt(r)."""
    use_dora: bool = False
    """Train magnitude and direction apart (DoRA)."""
    load_in_4bit: bool = False
    """Quantise the frozen weights to 4 bits (QLoRA); needs the [bnb] extra."""
    merge_adapter: bool = False
    """Write the final model with its adapter merged into the weights."""
    early_stopping_patience: int | None = None
    """Evaluations in a row without a better metric_for_best_model after which the run ends."""
    early_stopping_threshold: float = 0.0
    """What the metric must gain to count as better."""
    skip_bad: bool = False
    """Leave out rows that can't be read instead of stopping."""
    prompt_column: str | None = None
    """The column that holds the prompt, if not `prompt`."""
    system_column: str | None = None
    """A column whose text goes in front of the prompt as the system turn."""
    ignore_column: Sequence[str] = ()
    """Columns of the pairs that are left out."""
    chat_template_path: str | None = None
    """A Jinja file to use in place of the tokenizer's chat template."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the chat template."""
    thoughts: Thoughts = "drop"
    """What thoughts before an answer get (<think>…</think>): drop leaves them out, keep trains."""
    special_tokens: SpecialTokens = "tokens"
    """Special tokens spelt in an answer, those of the template aside: tokens, or plain text."""
    assistant_only_loss: bool = False
    """Train on the assistant's turns alone where a side holds a tool's or a user's, too."""
    fold_system: bool = False
    """Put a system turn into the first user turn, for templates that have none."""
    dtype: Dtype = "float32"
    """What weights are loaded in; "auto" takes the checkpoint's."""
    trust_remote_code: bool = False
    """Run model code that comes with the weights."""
    disable_dropout: bool = True
    """Dropout makes the policy differ from the reference before any step."""
    freeze: Sequence[str] = ()
    """Glob patterns of parameters that are not trained, for instance "lm_head*"."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Keys of transformers.TrainingArguments."""

    def __post_init__(self) -> None:
        _check_text(dataclasses.asdict(self))
        object.__setattr__(self, "loss", AUTO_LOSS if self.loss_is_open else str(self.mix))
        loss_options(self.mix, self.beta, self.loss_options)
        _check_choices(self)
        budget = self.memory_budget
        if isinstance(budget, str) and budget != "auto":
            object.__setattr__(self, "memory_budget", size_in_bytes(budget, "memory_budget"))
        elif not (budget in (None, "auto") or (isinstance(budget, int) and budget >= 0)):
            remedy = "write bytes, or a size such as 512MB"
            problem = 'memory_budget must be a size, "auto" or null'
            raise UsageError(problem, received=budget, remedy=remedy)
        _ = self.reference
        _check_adapter(self)
        _check_arguments(self.arguments)
        if self.max_length is not None and self.max_length < 2:
            raise UsageError("max_length must be at least 2 tokens", received=self.max_length)
        tokens = self.tokens_per_step
        if not (tokens in (None, "auto") or (isinstance(tokens, int) and tokens >= 1)):
            raise UsageError('tokens_per_step must be at least 1, "auto" or null', received=tokens)
        _check_early_stopping(self.early_stopping_patience, self.early_stopping_threshold)
        if not 0 <= self.shared_weight <= 1:
            raise UsageError("shared_weight must lie in [0, 1]", received=self.shared_weight)

    @functools.cached_property
    def mix(self) -> LossMix:
        """The loss, its terms apart; an open one reads and costs what apo_zero does."""
        return parse_loss("apo_zero" if self.loss_is_open else self.loss)

    @property
    def loss_is_open(self) -> bool:
        """Whether verdicts on the pairs have yet to choose the loss."""
        return self.loss.strip().lower() == AUTO_LOSS

    @functools.cached_property
    def reference(self) -> Ref:
        return parse_ref(self.ref)

    @property
    def trains_adapter(self) -> bool:
        """Whether an adapter is trained instead of the weights."""
        return self.use_peft or self.adapter is not None

    @functools.cached_property
    def derived(self) -> dict[str, tuple[Any, str]]:
        """The arguments that were not given and get a default of clairkit's, with its origin."""
        given = {**self.arguments, "early_stopping_patience": self.early_stopping_patience}
        return derived_defaults(given, adapter=self.trains_adapter)

    @property
    def default_arguments(self) -> dict[str, Any]:
        return {key: value for key, (value, _) in self.derived.items()}

    @property
    def chat(self) -> ChatSettings:
        return ChatSettings(self.chat_template_kwargs, self.special_tokens, self.fold_system)

    @property
    def loss_options(self) -> dict[str, Any]:
        keys = ("label_smoothing", "discopop_tau", "f_divergence_type", "f_alpha_divergence_coef")
        return {key: value for key in keys if (value := getattr(self, key)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration flat, as its YAML file holds it: without secrets."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        own = {key: list(v) if isinstance(v, tuple) else v for key, v in own.items()}
        own["chat_template_kwargs"] = dict(self.chat_template_kwargs)
        arguments = {k: v for k, v in own.pop("arguments").items() if not k.endswith("_token")}
        return {**own, **self.default_arguments, **arguments}


@functools.cache
def own_types() -> dict[str, Any]:
    """Return the type of each key of clairkit's own."""
    hints = typing.get_type_hints(TrainConfig)
    return {f.name: hints[f.name] for f in dataclasses.fields(TrainConfig) if f.name != "arguments"}


def _check_arguments(values: Mapping[str, Any]) -> None:
    """Check names and types; transformers itself refuses a text for a number only when it runs."""
    from transformers import TrainingArguments

    hints = typing.get_type_hints(TrainingArguments)
    known = {f.name for f in dataclasses.fields(TrainingArguments) if f.init}
    for key, value in values.items():
        if key in _RESERVED:
            raise UsageError(f"the key {key} can't be set", remedy=_RESERVED[key])
        if key not in known:
            remedy = f"{suggest(key, known | set(own_types()))}See docs/training.md for the keys"
            raise UsageError("unknown configuration key", received=key, remedy=remedy)
        if not fits(value, hints[key]):
            raise UsageError(f"{key} must be {type_name(hints[key])}", received=value)
        if key in _COUNTS and value < 1:
            raise UsageError(f"{key} must be at least 1", received=value)
        if key in _SEEDS and value is not None and not 0 <= value < 2**32:
            raise UsageError(f"{key} must lie in [0, 2**32)", received=value)
    check_numbers(values)
    if values.get("train_sampling_strategy") == "group_by_length":
        raise UsageError("train_sampling_strategy can't be group_by_length", remedy="use random")


def _check_text(values: Mapping[str, object]) -> None:
    """Refuse names that no file of a run can hold."""
    for key, value in values.items():
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            remedy = "rename it: it holds bytes that are no UTF-8, or a NUL"
            raise UsageError(f"{key} is no text", received=value, remedy=remedy)


def _check_early_stopping(patience: int | None, threshold: float) -> None:
    if patience is None and threshold:
        raise UsageError("early_stopping_threshold needs early_stopping_patience")
    if (patience is not None and patience < 1) or not 0 <= threshold < math.inf:
        raise UsageError(
            "early_stopping_patience must be at least 1, early_stopping_threshold at least 0",
            received=f"{patience}, {threshold}",
        )


_ADAPTER_KEYS = (
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "lora_target_modules",
    "lora_modules_to_save",
    "use_rslora",
    "use_dora",
)


def _check_adapter(config: TrainConfig) -> None:
    """Refuse keys of adapters that would have no effect, or not the one that they name."""
    defaults = {f.name: f.default for f in dataclasses.fields(TrainConfig)}

    def changed(*keys: str) -> list[str]:
        return [key for key in keys if getattr(config, key) != defaults[key]]

    if not config.trains_adapter:
        if idle := changed(*_ADAPTER_KEYS, "merge_adapter", "load_in_4bit"):
            remedy = "set use_peft: true, or adapter: PATH"
            raise UsageError(f"{', '.join(idle)} can't be set without an adapter", remedy=remedy)
        return
    if config.use_peft and config.adapter:
        raise UsageError("adapter goes on with one, use_peft makes a new one", remedy="set one")
    if config.adapter and (own := changed(*_ADAPTER_KEYS)):
        raise UsageError(f"{', '.join(own)} can't be set: the adapter to go on with has its own")
    if config.freeze:
        raise UsageError(
            "freeze can't be set with an adapter, which freezes all of the model's weights",
            received=list(config.freeze),
        )
    if config.lora_dropout and config.disable_dropout:
        raise UsageError("lora_dropout needs disable_dropout: false", received=config.lora_dropout)
    if config.lora_r < 1 or not 0 <= config.lora_dropout < 1:
        raise UsageError(
            "lora_r must be at least 1, and lora_dropout lie in [0, 1)",
            received=f"{config.lora_r}, {config.lora_dropout}",
        )


def _check_choices(config: TrainConfig) -> None:
    """Refuse a value that is not among those of its key's type."""
    for key, hint in own_types().items():
        known = typing.get_args(hint)
        if typing.get_origin(hint) is Literal and getattr(config, key) not in known:
            raise UsageError(
                f"{key} must be one of {', '.join(known)}", received=getattr(config, key)
            )
