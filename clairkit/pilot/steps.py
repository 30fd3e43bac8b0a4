"""Say what a pilot's next station needs: a command that can run now, or a person's work."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clairkit.pilot.evidence import Files
from clairkit.pilot.gates import DROPPED, Gate
from clairkit.pilot.pilot_file import Pilot, words_of
from clairkit.pilot.survey import Survey, words

Words = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """What has to be done now.

    Attributes:
        commands: of `clairkit`, to be run one after the other in the pilot's folder.
        person: key of the sentence that says what a person has to do; "" where nobody has to.
        person_commands: the commands that they need for it.
    """

    commands: tuple[Words, ...] = ()
    person: str = ""
    person_commands: tuple[Words, ...] = ()

    def instruction(self, pilot: Pilot, code: str = "en") -> str:
        """Return what a person has to do, in a language; "" where nobody has to."""
        values = {
            "prompts": pilot.prompts,
            "held_out": pilot.held_out,
            "labels": pilot.labels,
            "decision": pilot.decided,
            "ask": str(pilot.labelling.ask),
        }
        return "" if not self.person else words(code)["persons"][self.person].format(**values)


def shown(command: Words) -> str:
    """Return a command as it is typed."""
    words = [word if word.endswith("/*.json") else shlex.quote(word) for word in command]
    return f"clairkit {' '.join(words)}"


def next_step(found: Survey) -> Step | None:
    """Return what the first open gate needs; None at the road's end, or where a gate failed."""
    gate = found.current
    if gate is None or gate.state == "failed":
        return None
    return _STEPS[gate.number](found.pilot, found.files, gate)


def _prompts(pilot: Pilot, files: Files, gate: Gate) -> Step:
    del pilot, files
    if gate.reason == "not_filled_in":
        return Step(person="fill_in")
    return Step(person="measure" if gate.reason in ("no_measure", "no_file") else "prompts")


def _revisions(pilot: Pilot, files: Files, gate: Gate) -> Step:
    del files
    if gate.reason == "not_probed":
        return Step((_probe(pilot),))
    if gate.reason in ("not_built", "build_unfinished"):
        return Step((_build(pilot),))
    return Step(person="revisions", person_commands=(_probe(pilot, "--probes", "60"),))


def _rubric(pilot: Pilot, files: Files, gate: Gate) -> Step:
    if gate.reason in ("no_labels", "program_unlabelled", "not_separable", "not_separable_open"):
        return _ask(pilot, files, "labels", pilot.pairs, ("--question", "accept"))
    rubrics = [word for name in pilot.labelling.rubrics for word in ("--rubric", name)]
    who = pilot.judges[:1] or [pilot.reviser]
    role = "--judge" if pilot.judges else "--reviser"
    options = _shared(pilot, "base_url", "concurrency", "body", "language")
    command = ("calibrate", pilot.labels, "-o", pilot.calibration, role, *who, *rubrics, *options)
    return Step((command,))


def _pairs(pilot: Pilot, files: Files, gate: Gate) -> Step:
    if gate.reason == "few_pairs":
        return Step(person="pairs")
    if gate.reason != "not_scored":
        return Step(person="contrast")
    score = ("score", pilot.pairs, "-o", pilot.scored, "--eval", pilot.held_out)
    drop = () if "drop" in pilot.score else ("--drop", DROPPED)
    scoring: Words = (*score, *drop, *words_of(pilot.score))
    if not files.has(pilot.pairs):  # gate 2 was overridden before there were pairs
        return Step((_build(pilot), ("verify", pilot.pairs), scoring))
    return Step((("verify", pilot.pairs), scoring))


def _training(pilot: Pilot, files: Files, gate: Gate) -> Step:
    if gate.reason == "sweep_open":
        return Step(person="sweep")
    runs = zip(pilot.seeds, pilot.runs, strict=True)
    return Step(
        tuple(_train(pilot, files, seed, run) for seed, run in runs if _is_open(files, run))
    )


def _evaluation(pilot: Pilot, files: Files, gate: Gate) -> Step:
    if gate.reason == "no_votes" and not files.has(str(pilot.evaluate["votes"])):
        return _ask(pilot, files, "votes", pilot.evaluation, ())
    if gate.reason in ("not_evaluated", "not_all_evaluated", "no_votes"):
        return Step((_evaluate(pilot, files),))
    if gate.reason == "seeds_undecided":
        return Step(person="seeds")
    return Step(person="more", person_commands=(_evaluate(pilot, files),))


def _decision(pilot: Pilot, files: Files, gate: Gate) -> Step:
    del files, gate
    memo = ("pilot", "memo", ".", "--language", pilot.language, "-o", "memo.html")
    return Step(person="decision", person_commands=(memo,))


_STEPS: Mapping[int, Callable[[Pilot, Files, Gate], Step]] = {
    1: _prompts,
    2: _revisions,
    3: _rubric,
    4: _pairs,
    5: _training,
    6: _evaluation,
    7: _decision,
}


def _build(pilot: Pilot, *more: str) -> Words:
    target = ("--target", _spec(pilot.model), "--reviser", pilot.reviser)
    files = ("build-pairs", pilot.prompts, "-o", pilot.pairs)
    return (*files, *target, *words_of(pilot.build), *more)


def _probe(pilot: Pilot, *more: str) -> Words:
    return _build(pilot, "--probe", *more)


def _train(pilot: Pilot, files: Files, seed: int, run: str) -> Words:
    keys = {name: value for name, value in pilot.train.items() if name != "config"}
    settings = words_of({"set": [f"{name}={value}" for name, value in keys.items()]})
    config = words_of({"config": pilot.train.get("config")})
    model = pilot.model.removeprefix("hf:")
    named = ("train", "--model", model, "--pairs", pilot.scored, "-o", run)
    again: Words = ()
    if files.has(run):
        has_checkpoint = any((files.folder / run).glob("checkpoint-*"))
        again = ("--resume",) if has_checkpoint else ("--force",)
    return (*named, *config, *settings, "--set", f"seed={seed}", *again)


def _is_open(files: Files, run: str) -> bool:
    found = files.json(f"{run}/run.json")
    return found is None or bool(found.get("signal"))


def _evaluate(pilot: Pilot, files: Files) -> Words:
    models = [
        word for name, run in pilot.candidates.items() for word in ("--model", f"{name}=hf:{run}")
    ]
    options = dict(pilot.evaluate)
    if not files.has(str(options.get("votes"))):
        options.pop("votes", None)
    base = ("--baseline", f"{pilot.baseline}={_spec(pilot.model)}")
    named = ("evaluate", pilot.held_out, *models, *base, "-o", f"{pilot.evaluation}/")
    return (*named, *words_of(options))


def _ask(pilot: Pilot, files: Files, name: str, source: str, more: Words) -> Step:
    """Return how people are asked: the pages, then their votes."""
    key, target = f"{name}.key.json", ("labels_votes.jsonl", "--labels", pilot.labels)
    if name == "votes":
        target = (str(pilot.evaluate["votes"]),)  # type: ignore[assignment]  # one word here
    collect = ("label", "import", f"{name}/*.json", "--key", key, "-o", *target)
    if files.has(key):
        return Step(person=name, person_commands=(collect,))
    labelling = pilot.labelling
    page = ("label", "export", source, "-o", f"{name}.html", "--key", key)
    asked = ("--n", str(labelling.ask), "--raters", ",".join(labelling.raters))
    return Step((page + asked + ("--language", pilot.language) + more,))


def _shared(pilot: Pilot, *names: str) -> list[str]:
    """Return the options that a command shares with `build-pairs`."""
    return words_of({name: pilot.build[name] for name in names if name in pilot.build})


def _spec(model: str) -> str:
    return model if model.startswith(("hf:", "openai:", "python:")) else f"hf:{model}"
