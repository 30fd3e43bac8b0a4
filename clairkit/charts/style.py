"""Define how charts look: the stylesheet that a page with charts takes in.

Colours are told apart with any colour vision and stand out from both backgrounds by 3:1 or more;
dashes and labels beside the lines say the same without colour.
"""

_LIGHT = ("#0067a5", "#c24e00", "#007a5a", "#8d3c8d", "#6b6f76", "#8a6d00")
_DARK = ("#6cb6ff", "#ff9d5c", "#3fd0a0", "#e08fe0", "#a9b0ba", "#e2c044")
_DASHES = ("none", "7 3", "2 3") * 2  # told apart within 0 to 2 and within 3 to 5

STYLES = len(_LIGHT)


def _variables(colours: tuple[str, ...]) -> str:
    return "".join(f"--s{index}:{colour};" for index, colour in enumerate(colours))


_LIGHT_PAGE = "--ink:#1b1f24;--soft:#57606a;--rule:#e3e6ea;--axis:#8c959f;--page:#fff;"
_DARK_PAGE = "--ink:#e6edf3;--soft:#a2abb6;--rule:#2a3038;--axis:#6e7781;--page:#0f1318;"

STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT_PAGE}{_variables(_LIGHT)}}}"
    "@media screen and (prefers-color-scheme:dark)"
    f"{{:root{{{_DARK_PAGE}{_variables(_DARK)}}}}}"
    ".chart{display:block;width:100%;height:auto;overflow:visible;"
    "font:12px system-ui,-apple-system,'Segoe UI',sans-serif;font-variant-numeric:tabular-nums}"
    ".chart text{fill:var(--soft)}"
    ".chart .grid{stroke:var(--rule);stroke-width:1}"
    ".chart .axis,.chart .base{stroke:var(--axis);stroke-width:1}"
    ".chart .base{stroke-dasharray:1 2}"
    ".chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:butt}"
    ".chart .raw{stroke-width:1;stroke-opacity:.38;stroke-dasharray:none}"
    ".chart .mark{fill:var(--page);stroke-width:1.6}"
    ".chart .dot{stroke:none}"
    ".chart .bar{stroke-width:1.6}"
    ".chart .null{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 2}"
    ".chart .area{stroke:var(--page);stroke-width:.7;fill-opacity:.82}"
    ".chart .label{font-weight:600}"
    + "".join(
        f".chart .s{index}{{stroke:var(--s{index});stroke-dasharray:{dashes}}}"
        f".chart .mark.s{index},.chart .bar.s{index}{{stroke-dasharray:none}}"
        f".chart .f{index}{{fill:var(--s{index})}}"
        f".chart text.t{index}{{fill:var(--s{index})}}"
        for index, dashes in enumerate(_DASHES)
    )
)
