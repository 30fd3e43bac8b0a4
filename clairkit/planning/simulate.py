"""Simulate a training step on tensors without memory: what lives at once in each phase."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from clairkit.batching.collate import Form, Part
from clairkit.errors import UsageError
from clairkit.logprobs.head import base_causal_lm
from clairkit.logprobs.packed_attention import no_mask, packed_implementation
from clairkit.planning.model import (
    build_model,
    four_bit_saving,
    make_optimizer,
    to_fake,
    without_adapter,
)
from clairkit.planning.trace import MemoryTrace, head_logps
from clairkit.planning.work import Work
from clairkit.records.json_types import JsonObject
from clairkit.training.config import TrainConfig
from clairkit.training.preparation import training_arguments

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


WEIGHTS, GRADIENTS, OPTIMIZER = "weights", "gradients", "optimizer"


@dataclass(frozen=True)
class Step:
    """What a step of one part takes."""

    phases: dict[str, Counter[str]]
    """Of each phase, the bytes of each kind when they are most together."""
    forward_flops: int  # of the part, without its head
    flops: int  # Forward, backward and what is made again, without the head
    trainable: int
    parameters: int
    head: tuple[int, int]  # vocabulary and hidden size
    head_trained: bool

    @property
    def peak(self) -> tuple[str, Counter[str]]:
        """The phase with the most bytes, and they."""
        return max(self.phases.items(), key=lambda item: item[1].total())


def form_of(config: TrainConfig, settings: PreTrainedConfig) -> Form:
    """Return the form of batches; that a model's packed logits are right is tried when it runs.

    Raises:
        UsageError: packing is wanted and the model can't.
    """
    if config.padding_free is False:
        return "padded"
    base = build_model(settings, without_adapter(config))
    fit = not getattr(base, "_is_stateful", False) and base._can_set_attn_implementation()
    if not fit and config.padding_free is True:
        raise UsageError(
            f"{type(base).__name__} can't run without padding",
            remedy="set padding_free to auto or false",
        )
    return "packed" if fit else "padded"


def simulate_step(settings: PreTrainedConfig, config: TrainConfig, work: Work) -> Step:
    """Run the reference's forward and a step after the first one, on fake tensors of the CPU."""
    model = build_model(settings, config)
    trace = MemoryTrace()
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(trace)
        return _Simulation(model, config, trace).run(work)


class _Simulation:
    def __init__(self, model: PreTrainedModel, config: TrainConfig, trace: MemoryTrace) -> None:
        self.trace, self.config = trace, config
        # a plan for a GPU is made on a CPU
        arguments = {**config.arguments, "use_cpu": True}
        self.arguments = training_arguments(replace(config, arguments=arguments))
        self.model = model
        with trace.kind(WEIGHTS):
            to_fake(model)
        self.base: PreTrainedModel = base_causal_lm(self.model)
        if self.arguments.gradient_checkpointing:
            # transformers' names of today, or those of before
            enable = getattr(model, "activation_checkpointing_enable", None)
            enable = enable or model.gradient_checkpointing_enable
            enable(self.arguments.gradient_checkpointing_kwargs)
            if config.trains_adapter:
                self.model.enable_input_require_grads()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.model, self.arguments)

    def run(self, work: Work) -> Step:
        trace = self.trace
        if self.config.load_in_4bit:
            trace.live[WEIGHTS] -= four_bit_saving(self.model)
        trace.take_peak()
        flops = trace.flops
        self.model.eval()
        with torch.no_grad():
            self._forward(work.reference_part)
        phases = {"reference": trace.take_peak()}
        forward_flops = trace.flops - flops
        self.model.train()
        for parameter in self.trained:
            parameter.register_post_accumulate_grad_hook(lambda p: trace.tag(p.grad, GRADIENTS))
        self._step(work)
        for state in self.optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    trace.tag(value, OPTIMIZER)
        trace.take_peak()
        flops, found = self._step(work)
        weight = self.base.get_output_embeddings().weight
        return Step(
            phases={**phases, **found},
            forward_flops=forward_flops,
            flops=flops,
            trainable=sum(p.numel() for p in self.trained),
            parameters=sum(p.numel() for p in self.base.parameters()),
            head=(weight.shape[0], weight.shape[1]),
            head_trained=weight.requires_grad,
        )

    def _step(self, work: Work) -> tuple[int, dict[str, Counter[str]]]:
        """Run a step, the largest part last; return that part's operations and the peaks."""
        trace = self.trace
        for part in work.others:
            self._forward(part).sum().backward()  # type: ignore[no-untyped-call]
        if not work.single and not work.others:
            self._gradients()
        phases = {"other parts": trace.take_peak()}
        flops = trace.flops
        loss = self._forward(work.part).sum()
        phases["forward"] = trace.take_peak()
        loss.backward()  # type: ignore[no-untyped-call]
        del loss
        phases["backward"] = trace.take_peak()
        flops = trace.flops - flops
        self.optimizer.step()
        phases["optimizer step"] = trace.take_peak()
        self.optimizer.zero_grad()
        return flops, phases

    def _inputs(self, part: Part) -> tuple[JsonObject, Tensor | None]:
        """Return what the backbone takes, and the scored places of a packed sequence."""
        inputs: JsonObject = {
            key: torch.empty(value.shape, dtype=value.dtype) if isinstance(value, Tensor) else value
            for key, value in part.model.items()
        }
        inputs["use_cache"] = False
        if "layout" in inputs:
            name = packed_implementation(self.base.config._attn_implementation)
            self.base.set_attn_implementation(name)
            del inputs["targets"]
            inputs["attention_mask"] = no_mask(torch.device("cpu"))
            return inputs, inputs.pop("scored")
        rows, length = inputs.pop("targets").shape
        # what transformers makes of a mask with padding
        inputs["attention_mask"] = torch.empty(rows, 1, length, length, dtype=torch.bool)
        return inputs, torch.empty(len(part.side_index), dtype=torch.int64)

    def _forward(self, part: Part) -> Tensor:
        """Return something of the log-probs' shape."""
        inputs, scored = self._inputs(part)
        arguments = self.arguments
        half = torch.bfloat16 if arguments.bf16 else torch.float16
        mixed: Any = (
            torch.autocast("cpu", half) if arguments.bf16 or arguments.fp16 else nullcontext()
        )
        with mixed:
            hidden = self.base.base_model(**inputs).last_hidden_state
        hidden = hidden.flatten(0, 1)[scored]
        weight = self.base.get_output_embeddings().weight
        dtype = torch.promote_types(hidden.dtype, weight.dtype)
        if arguments.bf16 and dtype == torch.float32:
            dtype = torch.bfloat16
        return head_logps(hidden.to(dtype), weight, self.trace, self.config.memory_budget)

    def _gradients(self) -> None:
        """Fill in what other parts have left."""
        with self.trace.kind(GRADIENTS):
            for parameter in self.trained:
                parameter.grad = torch.empty_like(parameter)
