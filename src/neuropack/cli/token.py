"""``neuropack token``: who may do what at a server, in a file that only its owner can read."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from neuropack.web.tokens import Token

group = typer.Typer(help="Tokens that let people in at `neuropack serve --tokens FILE`.", no_args_is_help=True)

File = Annotated[Path, typer.Option("--file", metavar="FILE", readable=False, help="File of the tokens.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the person.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@group.command()
def add(
    name: Name,
    file: File,
    role: Annotated[
        Literal["view", "annotate", "curate"],
        typer.Option(help="What they may do; each may do what those before it may."),
    ] = "view",
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Its end: 2027-01-31, with a time and zone, or 90d.")
    ] = None,
) -> None:
    """Make a token for a person and print it: it is shown this once."""
    from neuropack.web import tokens

    typer.echo(tokens.add(file, name, role, _when(expires)))
    typer.echo(f"{name} may {role} with this token; it is not shown again", err=True)


@group.command("list")
def list_(file: File, as_json: AsJson = False) -> None:
    """Show who has a token, and not the tokens."""
    import json

    from neuropack.web import tokens

    known = tokens.read(file)
    if as_json:
        typer.echo(json.dumps([_shown(one) for one in known], indent=2, ensure_ascii=False))
        return
    for one in known:
        typer.echo(f"{one.name}\t{one.role}\tsince {one.created}\t{f'until {one.expires}' if one.expires else ''}")


@group.command()
def remove(name: Name, file: File) -> None:
    """Take the token of a person away; a server that runs knows at once."""
    from neuropack.web import tokens

    tokens.remove(file, name)
    typer.echo(f"{name} has no token any more")


def _shown(token: Token) -> dict[str, str | None]:
    return {"name": token.name, "role": token.role, "created": token.created, "expires": token.expires}


def _when(text: str | None) -> datetime | None:
    from datetime import UTC

    from neuropack.errors import UsageError

    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        if text.endswith("d"):
            found = now + timedelta(days=int(text[:-1]))
        else:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo is not None else found.astimezone()
        if found <= now:
            raise ValueError
    except (ValueError, OverflowError):
        raise UsageError(
            "--expires is no time to come", expected="such as 2027-01-31 or 90d", found=text[:100]
        ) from None
    return found
