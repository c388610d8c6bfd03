"""The command line, one file a command group. Importing it loads no heavy library: --help must be instant."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
import typer.exceptions

from neuropack.cli.build import build, init
from neuropack.cli.convert import convert
from neuropack.cli.demo import demo
from neuropack.cli.inspect import inspect
from neuropack.cli.validate import explain, validate

app = typer.Typer(
    name="neuropack",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn raw microscope files of labelled neurons into checked, shareable releases.",
    epilog="Exit status: 0 done and clean, 1 findings, 2 wrong usage, 3 could not run.",
)
for command in (demo, inspect, init, convert, build, validate, explain):
    app.command()(command)


def _version(show: bool) -> None:
    if show:
        from neuropack import __version__

        typer.echo(f"neuropack {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback on errors (at any place of the line).")
    ] = False,
) -> None:
    """Options of every command; ``--debug`` is taken out of the line by `main` before this sees it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    from neuropack.errors import NeuropackError

    line = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in line
    if not debug:  # it logs what our one message says too
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    line = [word for word in line if word != "--debug"]
    try:
        status = app(args=line, standalone_mode=False)
    except NeuropackError as error:
        if debug:
            raise
        typer.echo(str(error), err=True)
        return error.exit_code
    except typer.exceptions.TyperException as error:  # a word on the line that does not fit
        typer.echo(error.format_message(), err=True)
        typer.echo("  to do: add --help to the command to see its options", err=True)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted; the same command continues where it was", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last place that can turn a crash into a message
        if debug:
            raise
        typer.echo(
            f"neuropack stopped on an error of its own: {type(error).__name__}: {error}\n"
            "  to do: run the same command with --debug and report what it prints",
            err=True,
        )
        return 3
    return status if isinstance(status, int) else 0


def entry() -> None:
    """The console script."""
    raise SystemExit(main())
