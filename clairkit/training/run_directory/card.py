"""Write the model card of a run: fit for the Hub, with no folder of the machine that trained."""

from __future__ import annotations

from pathlib import Path

import clairkit
from clairkit.records.json_types import JsonMapping
from clairkit.training.config import TrainConfig
from clairkit.training.run_directory.files import CONFIG, METRICS, PAGE
from clairkit.training.run_directory.portable import hub_id, portable


def model_card(config: TrainConfig, facts: JsonMapping) -> str:
    """Return the model card: what was trained on what, how, and what it did.

    Args:
        config: of the run.
        facts: what run.json holds.
    """
    rows = "\n".join(
        f"| {name} | {value:.4g} |"
        for name, value in facts["metrics"].items()
        if isinstance(value, float)
    )
    base = hub_id(config.model)
    name = base or portable(config.model)
    adapter = portable(config.adapter) if config.adapter else ""
    goes_on = f", going on with the adapter `{adapter}`," if adapter else ""
    choice = f"\n- {facts['loss_choice']['reason']}" if "loss_choice" in facts else ""
    findings = "\n".join(f"- {item['text']}" for item in facts["diagnosis"]["findings"])
    return f"""---
{_metadata(config, base)}---

# {Path(config.output).absolute().name}

`{name}`{goes_on} trained with clairkit {clairkit.__version__} on {facts["pairs"]}
preference pairs of `{Path(config.pairs).name}`.

- loss `{config.loss}`, beta {config.beta}, {facts["steps"]} steps,
  learning rate {facts["learning_rate"]:g}{choice}
- {facts["reference"]}
- kernel `{facts["kernel"]}`, sequences {facts["form"]}
- all settings, with their origin: `{CONFIG}`; a row for each logged step: `{METRICS}`, as
  curves: `{PAGE}`

{facts["diagnosis"]["headline"]}

{findings}

The last logged step (rewards are beta times the log-ratio to the reference, in nats):

| metric | value |
|---|---|
{rows}
"""


def _metadata(config: TrainConfig, base: str | None) -> str:
    """The YAML that the Hub reads; it refuses a base model that is no id."""
    import yaml

    adapter = config.trains_adapter and not config.merge_adapter
    known = {
        **({"base_model": base} if base else {}),
        "library_name": "peft" if adapter else "transformers",
        "tags": ["clairkit", "preference-optimization", *(name for _, name in config.mix.terms)],
    }
    return yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
