"""Make pages from templates: one HTML file that loads nothing, in which foreign texts never act.

Templates are Jinja2's, with autoescape. Every text that is put in has its secrets removed and its
hidden characters spelt out first; only `Markup`, which our own code makes, goes in as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup as Markup  # from here, pages need no other import

from clairkit.display import printable, redact

# What `printable` spells out, found by a pattern: most texts have none, and pages have many.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_XML = re.compile("[\ufffe\uffff]")
_BETWEEN = "\x1e"  # no shown text holds it, and it is white space, where every secret ends
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def render(template: str, **values: Any) -> Markup:
    """Return a template with values put in.

    Args:
        template: its file, below the package `clairkit`, such as "report/templates/page.html".
        values: texts are escaped, `Markup` is not.
    """
    return Markup(_environment().get_template(template).render(values))


def render_page(
    template: str, *, style: str, script: str = "", data: str = "", **values: Any
) -> str:
    """Return a whole page: a template that extends "templates/document.html".

    Its content security policy lets nothing run or load but `style` and `script`, which it names
    by their hashes.

    Args:
        template: as for `render`.
        style: of ours.
        script: of ours; it reads `data` from an element of its own.
        data: what `data_json` made.
        values: as for `render`; `language` and `title` are needed.
    """
    allowed = [f"style-src '{_source(style)}'"]
    if script:
        allowed += [
            f"script-src '{_source(script)}'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    policy = ["default-src 'none'", *allowed, "img-src data:", "base-uri 'none'"]
    parts = {"style": style, "script": script, "data": data}
    parts["policy"] = "; ".join([*policy, "form-action 'none'"])
    return render(template, **values, **{name: Markup(part) for name, part in parts.items()})


def data_json(value: Any) -> str:
    """Return JSON that can stand in a script element: it holds no `<`, `>` or `&`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_IN_SCRIPT)


@cache
def asset(path: str) -> str:
    """Return a style or a script that ships with the package, by its path below `clairkit`."""
    return resources.files("clairkit").joinpath(path).read_text("utf-8")


def shown(text: str) -> str:
    """Return `text` with controls, bidi overrides and surrogates spelt out, as `printable` does."""
    return _HIDDEN.sub(lambda match: printable(match[0], keep=""), text)


def clean(texts: Sequence[str]) -> list[str]:
    """Return the texts as they may be shown. Many at once are cheaper than one by one."""
    if not texts:
        return []
    joined = redact(_BETWEEN.join(map(shown, texts)))
    parts = joined.split(_BETWEEN)
    return parts if len(parts) == len(texts) else [redact(shown(text)) for text in texts]


def _finalized(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Markup):
        return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", redact(shown(value)))
    return value


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(lambda name: asset(name)),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(content: str) -> str:
    """Return the name that a content security policy has for an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
