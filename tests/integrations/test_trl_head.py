"""What the trainer never does, what it refuses, and how it stands in TRL's place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
import transformers
from tiny import make_llama
from torch.utils._python_dispatch import TorchDispatchMode

from clairkit.errors import ResourceError, UsageError

pytest.importorskip("trl", reason="the [trl] extra is not installed")

from trl.trainer import dpo_trainer

from clairkit.integrations.trl import TRL_VERSION, ClairDPOTrainer, installed
from clairkit.integrations.trl.head import add_clair_head
from clairkit.integrations.trl.trainer import head_set_up_by, refuse_arguments, refuse_set_up

Make = Callable[..., Any]
LORA = peft.LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


class LongestRow(TorchDispatchMode):
    """Notes the longest last dimension of what was computed (a view of a weight was not)."""

    longest = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.ndim > 1 and not func.is_view:
                self.longest = max(self.longest, tensor.shape[-1])
        return result


def longest_row_of_a_run(trainer: Any) -> int:
    with LongestRow() as noted:
        trainer.train()
    return noted.longest


def test_no_logits_of_the_vocabulary_are_ever_made(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_logits(head: Any) -> Any:
        inner = head.forward

        def forward(hidden: Any, measure: Any = None) -> Any:
            assert measure is not None, "the head was called for logits"
            return inner(hidden, measure=measure)

        return forward

    longest = {}
    for kernel in ("native", "torch", "eager"):
        named = {"peft_config": LORA, "kernel": kernel}
        trainer = make_trainer(
            ClairDPOTrainer, "wide", named, max_steps=2, eval_strategy="steps", eval_steps=2
        )
        if kernel != "eager":
            head = trainer.model.get_output_embeddings()
            monkeypatch.setattr(head, "forward", refuse_logits(head))
        longest[kernel] = longest_row_of_a_run(trainer)
    vocabulary = trainer.model.config.vocab_size
    assert longest["native"] < vocabulary
    assert longest["torch"] < vocabulary
    assert longest["eager"] == vocabulary  # so they would be noticed


def test_a_trained_head_makes_no_logits_either(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(ClairDPOTrainer)
    measured: list[bool] = []

    def recorded(inner: Any) -> Any:
        def forward(hidden: Any, measure: Any = None) -> Any:
            measured.append(measure is not None)
            return inner(hidden, measure=measure)

        return forward

    for model in (trainer.model, trainer.ref_model):
        monkeypatch.setattr(model.lm_head, "forward", recorded(model.lm_head.forward))
    before = trainer.model.lm_head.weight.detach().clone()
    trainer.train()
    assert measured
    assert all(measured)
    assert not torch.equal(trainer.model.lm_head.weight, before)


@pytest.mark.parametrize("kernel", ["torch", "eager"])
def test_kernels_by_name_agree(make_trainer: Make, kernel: str) -> None:
    logs = []
    for name in ("native", kernel):
        trainer = make_trainer(ClairDPOTrainer, named={"kernel": name})
        assert trainer.logps_path.kernel == name
        trainer.train()
        logs.append(trainer.state.log_history[-2])
    for key, value in logs[0].items():
        assert logs[1][key] == pytest.approx(value, rel=1e-4, abs=1e-5), key


def test_metrics_of_ones_own_get_the_models_logits(make_trainer: Make) -> None:
    """TRL gives `compute_metrics` logits of a forward pass of its own."""

    def compute(prediction: Any) -> dict[str, float]:
        return {"width": float(prediction.predictions.shape[-1])}

    trainer = make_trainer(ClairDPOTrainer, named={"compute_metrics": compute})
    with pytest.warns(FutureWarning, match="logits"):
        assert trainer.evaluate()["eval_width"] == 521


def test_the_model_still_generates_and_loads(make_trainer: Make, tmp_path: Any) -> None:
    trainer = make_trainer(ClairDPOTrainer)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    ids = torch.tensor([[5, 6, 7]])
    models = trainer.model.eval(), loaded.eval()
    found = [model.generate(ids, max_new_tokens=4, do_sample=False) for model in models]
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_weighting": True}, {}),
        ({"use_liger_kernel": True}, {}),
        ({}, {"kernel": "tritn"}),
    ],
    ids=str,
)
def test_options_are_refused_before_a_model_is_loaded(
    make_trainer: Make, config: dict[str, Any], named: dict[str, Any]
) -> None:
    (option,) = config or named
    with pytest.raises(UsageError, match=option):
        make_trainer(ClairDPOTrainer, SimpleNamespace(config=None), named, **config)


def test_what_shards_the_head_is_refused() -> None:
    with pytest.raises(UsageError, match="ZeRO-3"):
        refuse_arguments(SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=3)))
    refuse_arguments(SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=2)))
    plain = SimpleNamespace(parallelism_config=None)
    for state, message in (
        ({"is_fsdp_enabled": True}, "FSDP"),
        ({"accelerator": SimpleNamespace(parallelism_config="tp=2")}, "parallelism"),
        ({"_is_vlm": True}, "vision-language"),
    ):
        trainer = SimpleNamespace(
            **{
                "is_fsdp_enabled": False,
                "accelerator": plain,
                "_is_vlm": False,
                "processing_class": None,
                **state,
            }
        )
        with pytest.raises(UsageError, match=message):
            refuse_set_up(trainer)


class OddHead(transformers.LlamaForCausalLM):  # type: ignore[misc]  # transformers is untyped
    """Adds something to its logits that no configuration key tells of."""

    def forward(self, *args: Any, **inputs: Any) -> Any:
        output = super().forward(*args, **inputs)
        output.logits = output.logits + torch.arange(output.logits.shape[-1]) * 0.01
        return output


def test_a_head_out_of_reach_is_refused_and_trl_is_left_as_it_was(make_trainer: Make) -> None:
    before = dpo_trainer.add_fused_lm_head
    odd = OddHead(make_llama().config)
    with pytest.raises(ResourceError, match=r"can't be reached.*trl\.DPOTrainer"):
        make_trainer(ClairDPOTrainer, odd, {"peft_config": LORA})
    assert dpo_trainer.add_fused_lm_head is before
    trainer = make_trainer(ClairDPOTrainer, odd, {"peft_config": LORA, "kernel": "eager"})
    trainer.train()
    assert trainer.logps_path.kernel == "eager"


def test_a_value_that_the_kernels_lack_is_refused() -> None:
    outputs = ("log_probs", "log_sum_sq_probs")
    with pytest.raises(UsageError, match="log_sum_sq_probs"):
        add_clair_head(make_llama(), outputs, "auto", None, torch.device("cpu"))


def test_another_trl_than_is_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(ResourceError, match=f"another way.*{TRL_VERSION}"),
        head_set_up_by(lambda *_args, **_options: None),
    ):
        pass  # a TRL that no longer calls it
    monkeypatch.delattr(dpo_trainer, "add_fused_lm_head")
    with pytest.raises(ResourceError, match="another way"):
        head_set_up_by(print).__enter__()


@pytest.mark.parametrize("version", ["0.24.0", "1.15.3", "1.16.0", "2.0.0"])
def test_the_version_is_checked(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "version", lambda _name: version)
    if version in ("1.16.0", "2.0.0"):
        assert installed.usable_version() == version
    else:
        with pytest.raises(
            ResourceError, match=rf"1.16 or newer.*{version}.*pip install --upgrade 'trl>=1.16'"
        ):
            installed.usable_version()


def test_without_trl_the_import_says_what_to_install() -> None:
    code = """
import importlib.metadata as metadata

def absent(name):
    raise metadata.PackageNotFoundError(name)

metadata.version = absent
try:
    import clairkit.integrations.trl
except ImportError as error:
    print(error)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "not installed" in found
    assert "pip install 'trl>=1.16'" in found


@torch.no_grad()
def test_in_bfloat16_it_is_nearer_to_float64_than_trls(saved: Callable[[str], str]) -> None:
    torch.manual_seed(0)
    ids = torch.randint(3, 521, (4, 120))
    load = transformers.AutoModelForCausalLM.from_pretrained
    inputs = {"input_ids": ids, "labels": ids, "fused_lm_head": True}
    models = [load(saved("llama"), dtype=torch.bfloat16).eval() for _ in range(2)]
    hidden = models[0].model(ids).last_hidden_state[:, :-1].double()
    exact = torch.log_softmax(hidden @ models[0].lm_head.weight.double().T, -1)
    exact = exact.gather(2, ids[:, 1:, None])[..., 0]
    dpo_trainer.add_fused_lm_head(models[0])
    add_clair_head(models[1], ("log_probs",), "auto", None, torch.device("cpu"))
    theirs, ours = ((model(**inputs).log_probs - exact).abs() for model in models)
    assert ours.mean() < theirs.mean()
    assert ours.max() < theirs.max()
