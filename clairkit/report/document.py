"""A page as one HTML file that loads nothing, with a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from clairkit.report.html import escaped

_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def make_document(
    *, title: str, language: str, body: str, data: str, style: str, script: str
) -> str:
    """Return the document: `data` stands in an element of its own, which `script` reads.

    Args:
        title: a text.
        language: its code, as in `<html lang>`.
        body: HTML of ours.
        data: what `data_json` made.
        style: of ours; it and `script` are named by their hashes in the content security policy.
        script: of ours.
    """
    policy = (
        f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<title>{escaped(title)}</title><style>{style}</style></head>\n"
        f"<body>{body}\n"
        f'<script type="application/json" id="data">{data}</script>\n'
        f"<script>{script}</script></body></html>\n"
    )


def data_json(value: Any) -> str:
    """Return JSON that can stand in a script element: it holds no `<`, `>` or `&`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_IN_SCRIPT)


def _source(content: str) -> str:
    """The name that a content security policy has for an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
