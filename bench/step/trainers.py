"""Make a variant's trainer on a random model and random pairs, the same in every process."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import torch
import transformers

from clairkit.bench.step.cases import StepCase

Tokens = tuple[list[int], list[int], list[int]]

_HEAD_SIZE = 64
PLAIN = {"plain": False, "plain trimmed": True}  # whether trimmed
TRL = {"trl": False, "trl accumulated": True}  # whether one pair at a time
# What a variant's name says beside "clairkit"; a kernel otherwise.
FORMS: Mapping[str, Mapping[str, Any]] = {
    "clairkit": {},
    "clairkit large parts": {"tokens_per_step": 8192},  # the default on a GPU
    "clairkit unshared": {"share_prompt": False},
    "clairkit padded": {"padding_free": False},
}


@dataclass(frozen=True)
class Settings:
    """How to measure. `warmup` steps come before; the last of them is compared."""

    device: str
    threads: int
    rounds: int
    warmup: int = 2


def make_trainer(variant: str, case: StepCase, settings: Settings, output: str) -> Any:
    """Return the variant's trainer, on a model of its own.

    Args:
        variant: its name.
        case: what it trains.
        settings: of the run.
        output: a folder.
    """
    os.environ["TQDM_DISABLE"] = "1"
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(settings.threads)
    model = build_model(case, torch.device(settings.device))
    shared: dict[str, Any] = {"loss": case.loss, "beta": case.beta}
    pairs, arguments = random_tokens(case), training_arguments(case, settings, output)
    if variant in PLAIN:
        from clairkit.bench.step.plain_step import PlainTrainer

        return PlainTrainer(model, pairs, trimmed=PLAIN[variant], arguments=arguments, **shared)
    tokenizer = build_tokenizer()
    if variant in TRL:
        if TRL[variant]:
            each = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": len(pairs)}
            arguments |= each
        return _trl_trainer(model, tokenizer, pairs, {**arguments, **shared})
    from clairkit.batching import EncodedPair
    from clairkit.training import PreferenceTrainer, TrainConfig

    keys = FORMS[variant] if variant in FORMS else {"kernel": variant.partition(" ")[2]}
    output = arguments.pop("output_dir")
    config = TrainConfig("", "", output, max_length=None, arguments=arguments, **shared, **keys)
    encoded = [EncodedPair(str(index), *pair) for index, pair in enumerate(pairs)]
    return PreferenceTrainer(model, tokenizer, config, encoded)


def _trl_trainer(
    model: Any, tokenizer: Any, pairs: Sequence[Tokens], arguments: dict[str, Any]
) -> Any:
    """Return TRL's DPOTrainer on token ids, as fast as its settings make it."""
    from trl import DPOConfig, DPOTrainer

    class TokenDPOTrainer(DPOTrainer):  # type: ignore[misc]  # TRL is untyped
        """TRL's trainer on a dataset that holds its token columns already."""

        def _prepare_dataset(self, dataset: Any, *_: object, **__: object) -> Any:
            return dataset

    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    columns = map(list, zip(*pairs, strict=True))
    rows = datasets.Dataset.from_dict(dict(zip(names, columns, strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what TRL will drop
        config = DPOConfig(
            loss_type=[arguments.pop("loss")],
            precompute_ref_log_probs=True,
            gradient_checkpointing=False,
            disable_dropout=True,
            max_length=None,
            **arguments,
        )
        return TokenDPOTrainer(model, args=config, train_dataset=rows, processing_class=tokenizer)


def training_arguments(case: StepCase, settings: Settings, output: str) -> dict[str, Any]:
    """Return what all variants have alike; the optimizer is transformers' own default."""
    return {
        "output_dir": output,
        "max_steps": 10**6,
        "per_device_train_batch_size": len(case.lengths),
        "learning_rate": case.learning_rate,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": settings.device == "cpu",
        "dataloader_pin_memory": settings.device != "cpu",
        "bf16": case.dtype == "bfloat16",
        "seed": case.seed,
    }


def build_model(case: StepCase, device: torch.device) -> Any:
    """Return the case's Llama with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = max(case.hidden // _HEAD_SIZE, 1)
    config = LlamaConfig(
        vocab_size=case.vocabulary,
        hidden_size=case.hidden,
        intermediate_size=3 * case.hidden,
        num_hidden_layers=case.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2 if heads % 2 == 0 else heads,
        max_position_embeddings=32768,
        tie_word_embeddings=case.tied,
    )
    torch.manual_seed(case.seed)
    model = LlamaForCausalLM(config).to(device).train()
    if case.head == "frozen":
        for module in (model.get_output_embeddings(), model.get_input_embeddings()):
            module.weight.requires_grad_(False)
    return model


def build_tokenizer() -> Any:
    """Return a tokenizer of two special tokens: trainers ask it for the id to pad with."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")


def random_tokens(case: StepCase) -> list[Tokens]:
    """Return (prompt, chosen, rejected) token ids of the case's lengths."""
    generator = torch.Generator().manual_seed(case.seed)

    def ids(count: int) -> list[int]:
        drawn: list[int] = torch.randint(case.vocabulary, (count,), generator=generator).tolist()
        return drawn

    return [(ids(pair.prompt), ids(pair.chosen), ids(pair.rejected)) for pair in case.lengths]
