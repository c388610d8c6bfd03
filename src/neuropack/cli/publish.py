"""``neuropack publish``: a checked release goes to the DANDI archive, to a bucket, or to another folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.cli.progress import Watch, progress
from neuropack.errors import InputError, UsageError

if TYPE_CHECKING:
    from neuropack.issue import Report
    from neuropack.progress import Progress
    from neuropack.publish.staging import Staged
    from neuropack.publish.sync import Outcome

_SHOWN = 20  # assets, or extra files, that the text lists


def publish(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", readable=False, help="The folder of a release.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="dandi|URL|DIR", help="The DANDI archive, a place in a bucket such as s3://b/name, or a folder."
        ),
    ],
    go: Annotated[bool, typer.Option("--go", help="Do it; without it, what would be done is shown.")] = False,
    staging: Annotated[
        Path | None,
        typer.Option(metavar="DIR", readable=False, help="For dandi: the folder to stage the Dandiset in."),
    ] = None,
    dandiset: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="For dandi: the Dandiset, six digits.")
    ] = None,
    dandi: Annotated[
        str | None,
        typer.Option(metavar="PROGRAM", help="For dandi: the program, where it is not the dandi on PATH."),
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For dandi: another archive that dandi knows, such as dandi-sandbox."),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="For dandi: stage copies in place of hard links.")] = False,
    versioned: Annotated[
        bool, typer.Option("--versioned", help="Below the place, in a folder of the dataset's version.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="At the end, remove from the place what is not in the release.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is there and compare digests; with --go, mend it.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Go on with a place in a bucket where a run elsewhere died.")
    ] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was, or would be, done as JSON.")] = False,
) -> int:
    """Validate a release and publish it. Without --go nothing leaves this machine."""
    far = {"--versioned": versioned, "--delete": delete, "--verify": verify, "--take-over": take_over}
    near = {"--staging": staging, "--dandiset": dandiset, "--dandi": dandi, "--instance": instance, "--copy": copy}
    is_dandi = to == "dandi"
    stray = next((name for name, given in (far if is_dandi else near).items() if given), None)
    if stray is not None:
        where = "a bucket or folder" if is_dandi else "dandi (for a folder of that name write ./dandi)"
        raise UsageError(f"{stray} is for publishing to {where}", fix="leave it out")
    if is_dandi:
        with progress(show) as tell:
            return _to_dandi(release, staging, dandiset, dandi, instance, tell, go=go, copy=copy, as_json=as_json)
    with progress(show) as tell:
        return _to_place(
            release,
            to,
            tell,
            go=go,
            versioned=versioned,
            delete=delete,
            verify=verify,
            take_over=take_over,
            as_json=as_json,
        )


def _to_dandi(
    release: Path,
    staging: Path | None,
    number: str | None,
    program: str | None,
    instance: str | None,
    tell: Progress | None,
    *,
    go: bool,
    copy: bool,
    as_json: bool,
) -> int:
    from neuropack.publish import dandi_program
    from neuropack.publish import staging as stages
    from neuropack.publish.gate import judged
    from neuropack.publish.sealed import sealed

    folder = _dandi_options(staging, number, go=go)
    found = dandi_program.find(program)
    if go and found is None:
        raise UsageError("there is no program dandi to upload with", fix="install dandi, and name it with --dandi")
    with suppress(InputError):  # a licence is told before hours of validation; what is broken, validation tells
        if not (early := stages.fit(sealed(release))).clean:
            return _refused(early, as_json=as_json)
    report = judged(release, tell)
    if not report.clean:
        return _refused(report, as_json=as_json)
    files = sealed(release)
    if not (fit := stages.fit(files)).clean:  # what is staged, not what was there before the hours
        return _refused(fit, as_json=as_json)
    staged = stages.stage(files, folder, number=number, copy=copy, progress=tell)
    if found is None:
        _print_staged(staged, None, number, as_json=as_json)
        raise dandi_program.absent(folder)
    if tell:
        tell("dandi validate", 0, 0)
    told = dandi_program.validate(found, folder)
    if not told.clean:
        _print_staged(staged, told, number, as_json=as_json)
        return 1
    if go:
        dandi_program.upload(found, folder, instance)
    _print_staged(staged, told, number, as_json=as_json, uploaded=go)
    return 0


def _dandi_options(staging: Path | None, number: str | None, *, go: bool) -> Path:
    """The staging folder, when all words fit."""
    import os
    import re

    from neuropack.publish.dandi_program import KEY

    if staging is None:
        raise UsageError("publishing to dandi needs a staging folder", fix="add --staging DIR, on the same disk")
    if number is not None and not re.fullmatch(r"[0-9]{6}", number):
        raise UsageError("--dandiset is no number of a Dandiset", expected="six digits", found=number)
    if go and number is None:
        raise UsageError(
            "the Dandiset to upload to is not named", fix="register one at the archive, then add --dandiset NUMBER"
        )
    if go and not os.environ.get(KEY):
        raise UsageError("there is no key for the archive", fix=f"set {KEY} in the environment")
    return staging


def _to_place(
    release: Path,
    to: str,
    tell: Progress | None,
    *,
    go: bool,
    versioned: bool,
    delete: bool,
    verify: bool,
    take_over: bool,
    as_json: bool,
) -> int:
    from neuropack.publish import compare, sync
    from neuropack.publish.gate import judged
    from neuropack.publish.sealed import sealed
    from neuropack.publish.staging import version_of
    from neuropack.publish.target import target_of

    if not release.is_dir():
        raise InputError("is not there, or no folder", file=release, expected="the folder of a release")
    version = version_of(sealed(release)) if versioned else None
    target = target_of(to, release, version)
    if verify and not go:
        files = sealed(release)
        result = compare.verdict(files, compare.compare(files, target, read=True, progress=tell))
        _print_report(result, as_json=as_json)
        return 0 if result.clean else 1
    report = judged(release, tell)
    if not report.clean:
        return _refused(report, as_json=as_json)
    files = sealed(release)
    if go:
        outcome = sync.sync(
            files,
            target,
            read=verify,
            delete=delete,
            once=versioned,
            take_over=take_over,
            progress=tell,
        )
    else:
        outcome = sync.dry_run(files, target, progress=tell)
    typer.echo(_json(outcome.to_dict()) if as_json else _outcome_text(outcome, delete=delete))
    return 0


def _refused(report: Report, *, as_json: bool) -> int:
    _print_report(report, as_json=as_json)
    typer.echo("not published: see the findings", err=True)
    return 1


def _print_report(report: Report, *, as_json: bool) -> None:
    import shutil
    import sys

    from neuropack.report import to_json, to_text

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    typer.echo(to_json(report) if as_json else to_text(report, width))


def _outcome_text(outcome: Outcome, *, delete: bool) -> str:
    from neuropack.report.words import printable
    from neuropack.words import size_text

    lines = [outcome.destination]
    lines += [f"  {name:8}{count:9,} files  {size_text(size):>8}" for name, (count, size) in outcome.sizes.items()]
    lines += [f"    extra: {printable(name)}" for name in outcome.extra[:_SHOWN]]
    if len(outcome.extra) > _SHOWN:
        lines.append(f"    and {len(outcome.extra) - _SHOWN:,} more")
    if not outcome.done:
        n, size = (sum(pair) for pair in zip(outcome.sizes["new"], outcome.sizes["changed"], strict=True))
        what = "up to date" if outcome.complete else f"would send {n:,} files, {size_text(size)}, and the manifest"
        if delete and outcome.extra:
            what += f"; would delete {len(outcome.extra):,} files"
        lines.append(f"dry run, nothing was changed: {what}; --go does it")
    else:
        what = f"sent {outcome.sent[0]:,} files, {size_text(outcome.sent[1])}"
        if outcome.deleted[0]:
            what += f"; deleted {outcome.deleted[0]:,} files"
        lines.append(f"complete: {what}")
    return "\n".join(lines)


def _print_staged(
    staged: Staged, told: Report | None, number: str | None, *, as_json: bool, uploaded: bool = False
) -> None:
    if as_json:
        typer.echo(_json(_staged_dict(staged, told, number, uploaded=uploaded)))
        return
    from neuropack.report.words import printable
    from neuropack.words import size_text

    typer.echo(f"{staged.folder}: staged; {staged.linked:,} files linked, {staged.copied:,} copied")
    for kind in ("NWB", "OME-Zarr", "other"):
        some = [one for one in staged.assets if one.kind == kind]
        size, files = sum(one.bytes for one in some), sum(one.files for one in some)
        typer.echo(f"  {kind:9}{len(some):6,} assets {files:9,} files  {size_text(size):>8}")
        if kind != "other":
            for one in some[:_SHOWN]:
                typer.echo(f"    {size_text(one.bytes):>8}  {printable(one.path)}")
            if len(some) > _SHOWN:
                typer.echo(f"    and {len(some) - _SHOWN:,} more")
    if told is not None:
        _print_report(told, as_json=False)
    place = f"DANDI:{number}" if number else "a Dandiset, which --dandiset names"
    if uploaded:
        typer.echo(f"uploaded to {place}; enter the fields of {staged.folder / 'dandiset.yaml'} on its web page")
    elif told is not None and told.clean:
        typer.echo(f"dry run, nothing was uploaded: --go uploads this to {place}")


def _staged_dict(staged: Staged, told: Report | None, number: str | None, *, uploaded: bool) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "staging": str(staged.folder),
        "dandiset": number,
        "uploaded": uploaded,
        "linked": staged.linked,
        "copied": staged.copied,
        "assets": [asdict(one) for one in staged.assets],
        "dandi_validate": told.to_dict() if told is not None else None,
    }


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
