"""The command line, one file a command group. Importing it loads no heavy library: --help must be instant."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
import typer.exceptions

from neuropack.cli.annotations import group as annotation_commands
from neuropack.cli.atlas import atlas
from neuropack.cli.benchmark import benchmark
from neuropack.cli.build import build, init
from neuropack.cli.convert import convert
from neuropack.cli.demo import demo
from neuropack.cli.diff import diff
from neuropack.cli.evaluate import evaluate
from neuropack.cli.export import export
from neuropack.cli.features import features
from neuropack.cli.inspect import inspect
from neuropack.cli.map import map_
from neuropack.cli.migrate import migrate
from neuropack.cli.predict import predict
from neuropack.cli.preprocess import preprocess
from neuropack.cli.publish import publish
from neuropack.cli.pull import pull
from neuropack.cli.register import register
from neuropack.cli.seal import seal
from neuropack.cli.segment import segment
from neuropack.cli.serve import serve
from neuropack.cli.simulate import simulate
from neuropack.cli.stitch import stitch
from neuropack.cli.study import schema, sheets
from neuropack.cli.token import group as token_commands
from neuropack.cli.trace import trace
from neuropack.cli.train import train
from neuropack.cli.validate import explain, validate

app = typer.Typer(
    name="neuropack",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn raw microscope files of labelled neurons into checked, shareable releases.",
    epilog="Exit status: 0 done and clean, 1 findings, 2 wrong usage, 3 could not run.",
)
for command in (
    demo,
    simulate,
    inspect,
    init,
    sheets,
    schema,
    convert,
    stitch,
    build,
    validate,
    explain,
    seal,
    serve,
    diff,
    migrate,
    publish,
    pull,
    register,
    preprocess,
    segment,
    predict,
    features,
    trace,
    train,
    evaluate,
    benchmark,
):
    app.command()(command)
app.command("map")(map_)
app.add_typer(atlas, name="atlas")
app.add_typer(export, name="export")
app.add_typer(annotation_commands, name="annotations")
app.add_typer(token_commands, name="token")


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
        # Not app(line): that one is silent after Ctrl-C and ends with 1, our status for findings, on a closed pipe.
        command = typer.main.get_command(app)
        _needs_docstrings()
        with command.make_context("neuropack", line) as context:
            status = command.invoke(context)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (typer.Exit, typer.exceptions.TyperException, typer.Abort, KeyboardInterrupt) as error:
        return _told(error)
    except Exception as error:  # the last place that can turn a crash into a message
        if debug:
            raise
        if not isinstance(error, NeuropackError):
            return _told(error)
        typer.echo(str(error), err=True)
        return error.exit_code
    return status if isinstance(status, int) else 0


def _needs_docstrings() -> None:
    from neuropack.errors import UsageError

    if sys.flags.optimize > 1:
        raise UsageError(
            "Python runs without docstrings, which the help and the rules are made of",
            fix="unset PYTHONOPTIMIZE, or leave -OO out",
        )


def _told(error: BaseException) -> int:
    """Say how a command ended that raised no error of ours, and return its exit status."""
    status = 3
    match error:
        case typer.Exit():  # --help and --version end so
            return error.exit_code
        case typer.exceptions.TyperException():  # a word on the line that does not fit
            status = 2
            what = error.format_message().replace("Value error, ", "")
            fix = "add --help to the command to see its options"
        case OSError(errno=errno.ENOSPC):
            what, fix = f"{error.filename or 'the output'}: the disk is full", "make room"
        case Exception() if not isinstance(error, typer.Abort):
            what = f"neuropack stopped on an error of its own: {type(error).__name__}: {error}"
            fix = "run the same command with --debug and report what it prints"
        case _:
            typer.echo("interrupted; the same command continues or begins anew", err=True)
            return 130
    typer.echo(f"{what}\n  to do: {fix}", err=True)
    return status


def entry() -> None:
    """The console script."""
    status = main()
    if status == 130:  # Python's own end would have zarr's threads print tracebacks of the work they were torn from
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, gone or never there: nothing left to say
                stream.flush()
        os._exit(status)
    raise SystemExit(status)
