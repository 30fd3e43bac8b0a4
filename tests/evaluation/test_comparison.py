"""Models and judges on a server: what is asked, once each, and what is made of the replies."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import closing
from pathlib import Path

from fake_server import Request, Response, completion, serving

from clairkit.evaluation.comparison import Comparison, Contestant, NamedJudge, ask_all
from clairkit.evaluation.families import family_of, relatives, reviser_of
from clairkit.journal.results import Journal
from clairkit.judging.judge import Judge
from clairkit.models.budget import Budget
from clairkit.models.sampling import Sampling
from clairkit.models.specs import ModelOptions, make_model
from clairkit.records import Message, PromptRow

_ANSWERS = re.compile(r"\[\[answer-[ab]:([0-9a-f]{8})\]\]\n(.*)\n\[\[answer-[ab]-end")


def reply(request: Request) -> Response:
    """Answer with the model's name, and judge that `new` is much better."""
    text = request.body["messages"][-1]["content"]
    shown = _ANSWERS.findall(text)
    if not shown:
        return completion(f"{request.body['model']} {request.body['seed']}")
    side = "A" if shown[0][1].startswith("new") else "B"
    return completion(f"I thought.\n[[{side}-much:{shown[0][0]}]]")


def test_answers_and_verdicts_of_a_server(tmp_path: Path) -> None:
    rows = [PromptRow((Message(role="user", content=f"say {n}"),), id=f"{n}") for n in range(20)]
    with serving(reply) as server, closing(Journal(tmp_path / "eval.json")) as journal:
        options = ModelOptions(base_url=server.url)
        made = [make_model(f"openai:{name}", options) for name in ("old", "new", "judge")]
        comparison = Comparison(
            (Contestant("old", "", made[0], is_baseline=True), Contestant("new", "", made[1])),
            Sampling(),
            (NamedJudge("judge", Judge(made[2], form="grade")),),
        )
        found = ask_all(comparison, rows, journal, Budget())
        again = ask_all(comparison, rows, journal, Budget())
    assert (len(found.results), found.unfinished) == (20, 0)
    assert again.results == found.results
    asked = Counter(request.body["model"] for request in server.requests)
    assert asked == {"old": 20, "new": 20, "judge": 40}
    for result in found.results:
        # Both models meet the same luck.
        seeds = {outcome.text.split()[1] for outcome in result.answers.values()}
        assert len(seeds) == 1
        assert [(each.first, each.grade, each.score) for each in result.verdicts] == [
            ("new", "first_much", 1),
            ("old", "second_much", 1),
        ]
    assert len({result.answers["new"].text for result in found.results}) == 20


def test_families_by_name_and_by_folder(tmp_path: Path) -> None:
    assert family_of("openai:gpt-5-mini") == family_of("openai:o3") == "gpt"
    assert family_of("hf:Qwen/Qwen2.5-7B-Instruct") == "qwen"
    assert family_of("openai:meta-llama/Llama-3.1-8B") == "llama"
    assert family_of("openai:house-model") is None
    assert family_of("python:gpt:judge") is None
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    models = {"run": f"hf:{tmp_path}", "other": "hf:mistralai/Mistral-7B", "own": "openai:qwen-max"}
    assert relatives("openai:qwen-max", models) == ["run", "own"]
    assert relatives("openai:house-model", {"a": "openai:house-model"}) == ["a"]


def test_the_reviser_of_the_pairs_that_a_run_was_trained_on(tmp_path: Path) -> None:
    run, pairs = tmp_path / "run", tmp_path / "pairs.jsonl"
    assert reviser_of(f"hf:{run}") is None
    run.mkdir()
    (run / "config.yaml").write_text(f"loss: apo_zero\npairs: {pairs}\n")
    assert reviser_of(f"hf:{run}") is None
    row = {"id": "a", "provenance": {"reviser": {"kind": "openai", "model": "gpt-5"}}}
    pairs.write_text(json.dumps(row) + "\n")
    assert reviser_of(f"hf:{run}") == "openai:gpt-5"
    for other in ({"id": "a"}, {"id": "a", "provenance": "unknown"}, "no object"):
        pairs.write_text(json.dumps(other) + "\n")
        assert reviser_of(f"hf:{run}") is None
