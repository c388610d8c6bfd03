"""Text of people in Markdown: it stays text, whatever stands in it."""

from __future__ import annotations

import re
from typing import Any

# What CommonMark and GitHub's dialect read as something else than text, wherever it stands: escapes, emphasis,
# code, links, HTML, table cells, strikes, formulas, entities; and addresses, which become links without any mark.
_SPECIAL = re.compile(r"[\\`*\[\]<|~$]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|:(?=//)|(?<=www)\.", re.IGNORECASE)
# What they read so at the beginning of a line only: headings, quotes, lists, rules.
_LEADING = re.compile(r"[#>]|[-+=](?=[\s=-]|$)|(?<=\d)[.)](?=\s|$)")
_WEB = re.compile(r"https?://[^\s<>\"\\`]+")


class Markdown(str):
    """Markdown that is meant as such."""

    __slots__ = ()


def escape(text: object) -> str:
    """Text on one line that a reader of Markdown shows as it is."""
    line = _SPECIAL.sub(lambda m: "\\" + m[0], " ".join(str(text).split()))
    if (number := re.match(r"\d+", line)) and _LEADING.match(line, number.end()):
        return f"{number[0]}\\{line[number.end() :]}"
    return f"\\{line}" if _LEADING.match(line) else line


def finalize(value: Any) -> str:
    """What a template shows of a value: escaped, but where it is Markdown already."""
    return value if isinstance(value, Markdown) else escape(value)


def code(text: object) -> Markdown:
    """Text as code, between as many backticks as it needs."""
    line = " ".join(str(text).split()).replace("|", "\\|")
    ticks = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return Markdown(f"{ticks}{space}{line}{space}{ticks}")


def web(address: object) -> Markdown:
    """An address as a link; what is no web address stays text."""
    text = str(address)
    return Markdown(f"<{text}>" if _WEB.fullmatch(text) else escape(text))


def python(text: object) -> Markdown:
    """Text as a Python string, for a block of code."""
    return Markdown(ascii(str(text)))


def fenced(text: str) -> Markdown:
    """Lines for a block of code; none of them can end it."""
    return Markdown("\n".join(line.replace("```", "'''") for line in text.splitlines()))
