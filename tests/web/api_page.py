"""Writes the list of addresses in docs/reference/api.md from the OpenAPI: `make api`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md"
BEGIN, END = "<!-- made by `make api` from the OpenAPI: begin -->\n", "<!-- end -->\n"


def listed(openapi: dict[str, Any]) -> str:
    """The addresses by their kind, as tables of Markdown."""
    kinds: dict[str, list[str]] = {}
    for path, operations in sorted(openapi["paths"].items()):
        for method, operation in operations.items():
            kind = (operation.get("tags") or ["pages"])[0]
            said = operation["description"].partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            kinds.setdefault(kind, []).append(f"| `{method.upper()} {path}` | {said} |\n")
    parts = (
        f"### {kind.capitalize()}\n\n| address | |\n|---|---|\n{''.join(rows)}"
        for kind, rows in sorted(kinds.items())
    )
    return "\n" + "\n".join(parts) + "\n"


def page(text: str, openapi: dict[str, Any]) -> str:
    """The page with the list that fits."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + listed(openapi) + END + rest.partition(END)[2]


def described(folder: Path) -> dict[str, Any]:
    """The OpenAPI of a server of a small release."""
    from served import Asked, make_release

    found: dict[str, Any] = Asked(make_release(folder / "small")).get("/api/v1/openapi.json").json()
    return found


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), described(Path(folder))), encoding="utf-8")
