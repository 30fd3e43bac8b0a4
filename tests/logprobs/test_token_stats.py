"""The extended forward with `token_stats`: what the model's own logits say, for every kernel."""

from __future__ import annotations

import pytest
import torch
from tiny import make_llama

from clairkit.logprobs.head import ScoredTokens, attach_logps


@pytest.mark.parametrize("kernel", ["native", "torch", "eager"])
def test_the_statistics_are_those_of_the_models_logits(kernel: str) -> None:
    model = make_llama(127)
    with torch.no_grad():
        model.lm_head.weight.mul_(20.0)
    torch.manual_seed(1)
    ids = torch.randint(3, 127, (3, 17))
    logits = model(ids).logits.double()
    targets = logits.argmax(-1)  # some hits, some misses, some ignored
    targets[:, ::2] = ids[:, ::2]
    targets[1, 5:] = -100
    valid = targets != -100
    every = torch.log_softmax(logits, -1)
    expected = {
        "logps": every.gather(2, targets.clamp(min=0)[..., None])[..., 0],
        "entropy": -(every.exp() * every).sum(-1),
        "hits": targets == logits.argmax(-1),
        "mean_logits": logits.mean(-1),
    }
    attach_logps(model, kernel)
    scored = model(input_ids=ids, targets=targets, token_stats=True)
    assert isinstance(scored, ScoredTokens)
    for name, right in expected.items():
        found = getattr(scored.stats, name)
        right = torch.where(valid, right, torch.zeros_like(right)).to(found.dtype)
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)
        assert found.requires_grad == (name == "logps")
    assert 0 < int(scored.stats.hits.sum()) < int(valid.sum())
    plain = model(input_ids=ids, targets=targets)
    torch.testing.assert_close(scored.stats.logps, plain, rtol=1e-6, atol=1e-6)
