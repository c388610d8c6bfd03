"""Provenance: how every image came to be, by which program, from which files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.listed import listed_digests
from neuropack.rules.values import dicts, text

REBUILD = "build the release again, or state the processing in the metadata"
NO_VERSION = {"", "unknown", "n/a", "na", "none", "latest", "?", "-", "dev", "main", "master", "head"}
Keys = tuple[str | int, ...]
Node = str | int  # the path of a file, or the index of a processing


@rule(id="provenance.outputs", level="error", reads="text")
def outputs(release: ReleaseFiles) -> Iterator[Finding]:
    """Every image of the metadata, and its NWB file, is the output of a processing.

    Without one nobody can say from which raw file it was made, by which program and with which settings.

    Build the release again, or add the processing that made the file to the metadata.
    """
    if (document := release.metadata) is None:
        return
    made = {text(o.get("path")).rstrip("/") for _, o in _files(release, "outputs")}
    for i, stack in release.records("image_stacks"):
        for slot in ("path", "nwb_path"):
            path = text(stack.get(slot))
            there = path in release.files or path.rstrip("/") in release.folders
            if there and path.rstrip("/") not in made:
                where = document.where("image_stacks", i, slot)
                yield Finding(where, "a processing that has it as an output", f"none for {path}", REBUILD)


@rule(id="provenance.inputs", level="error", reads="text", gives_way=True)
def inputs(release: ReleaseFiles) -> Iterator[Finding]:
    """A file of the release that went into a processing is the one that was read: its digest is the same.

    Labels of an older image look well beside the new one, and are wrong.

    Run the step again on the file as it is, and build the release again.
    """
    document = release.metadata
    if document is None or release.manifest is None:
        return
    stated = {text(s.get("path")): text(s.get("digest")) for _, s in release.records("image_stacks")}
    stated |= {text(o.get("path")): text(o.get("sha256")) for _, o in _files(release, "outputs")}
    named = list(_files(release, "inputs"))
    listed = listed_digests(release.manifest, {text(i.get("path")) for _, i in named})
    for keys, one in named:
        path, sha256 = text(one.get("path")), text(one.get("sha256"))
        now = stated.get(path) or listed.get(path)  # metadata.digests compares the two
        if path and sha256 and now and sha256 != now:
            expected = f"sha256 {now}, that of {path} in the release"
            yield Finding(document.where(*keys, "sha256"), expected, sha256, REBUILD)


@rule(id="provenance.cycle", level="error", reads="text")
def cycle(release: ReleaseFiles) -> Iterator[Finding]:
    """No file was made from itself, neither in one processing nor through several.

    In a circle nothing came first, so at least one of its inputs is wrong.

    Correct the inputs of the processing that is named.
    """
    if (document := release.metadata) is None:
        return
    needs: dict[Node, list[Node]] = {}
    places: dict[tuple[Node, Node], Keys] = {}
    for keys, one in _files(release, "outputs"):
        needs.setdefault(text(one.get("path")), []).append(int(keys[1]))
    for keys, one in _files(release, "inputs"):
        if path := text(one.get("path")):
            needs.setdefault(int(keys[1]), []).append(path)
            places[int(keys[1]), path] = keys
    circle = _circle(needs)
    steps = [i for i in circle if isinstance(i, int)]
    if steps:  # one circle has one cause; others show when it is mended
        step = min(steps)
        source = circle[(circle.index(step) + 1) % len(circle)]
        name = dict(release.records("processings"))[step].get("id")
        where = document.where(*places[step, source], "path")
        found = f"{source}, which {name} or a step behind it made"
        yield Finding(where, "a file that was there before", found, REBUILD)


@rule(id="provenance.software", level="warning", reads="text")
def software(release: ReleaseFiles) -> Iterator[Finding]:
    """Every processing states the version of its program, as a number or a commit.

    "latest" is another program next year, and nobody can do the step again.

    State software_version in the metadata, such as 4.2.1 or the commit.
    """
    if (document := release.metadata) is None:
        return
    for i, step in release.records("processings"):
        version = step.get("software_version")
        if isinstance(version, str) and version.strip().casefold() in NO_VERSION:
            where = document.where("processings", i, "software_version")
            found = f"{version!r} of {text(step.get('software'))}"
            yield Finding(where, "a version that stays the same", found, REBUILD)


@rule(id="provenance.parameters", level="error", reads="text")
def parameters(release: ReleaseFiles) -> Iterator[Finding]:
    """The parameters of every processing are the text of a JSON object, and a program can read them.

    The settings are what makes a step repeatable; text that does not parse was cut off or typed by hand.

    Write the settings as JSON, such as {"levels": 3}.
    """
    if (document := release.metadata) is None:
        return
    for i, step in release.records("processings"):
        written = text(step.get("parameters"))
        if not (written.startswith("{") and written.endswith("}")):
            continue  # metadata.schema tells
        try:
            json.loads(written)
        except (ValueError, RecursionError) as error:
            where = document.where("processings", i, "parameters")
            yield Finding(where, "the text of a JSON object", f"{written[:80]!r}: {error}"[:300], REBUILD)


def _files(release: ReleaseFiles, slot: str) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """The inputs or outputs of all processings, with their keys."""
    for i, step in release.records("processings"):
        for j, one in dicts(step.get(slot)):
            yield ("processings", i, slot, j), one


def _circle(needs: dict[Node, list[Node]]) -> list[Node]:
    """Files and steps of which each needs the next one, and the last one the first; empty where there are none.

    Args:
        needs: of a step its inputs, of a file the steps that made it.
    """
    left = {node: sum(other in needs for other in others) for node, others in needs.items()}
    followers: dict[Node, list[Node]] = {}
    for node, others in needs.items():
        for other in others:
            if other in needs:
                followers.setdefault(other, []).append(node)
    free = [node for node, count in left.items() if not count]
    while free:
        done = free.pop()
        del left[done]
        for node in followers.get(done, ()):
            left[node] -= 1
            if not left[node]:
                free.append(node)
    if not left:
        return []
    path: dict[Node, int] = {}
    node = next(iter(left))
    while node not in path:  # what is left needs something that is left
        path[node] = len(path)
        node = next(other for other in needs[node] if other in left)
    return list(path)[path[node] :]
