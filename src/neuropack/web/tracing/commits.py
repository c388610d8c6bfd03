"""Commits: a curator has traced neurons become part of the release, once, whenever the server dies."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neuropack
from neuropack.amend import PENDING, finish
from neuropack.errors import NeuropackError, OutputError
from neuropack.web.problems import ProblemError
from neuropack.web.tracing.shown import origins_of, people_of, provenance
from neuropack.web.tracing.workspace import COMMITS, COMMITTED, Workspace
from neuropack.whole import published

if TYPE_CHECKING:
    from neuropack.issue import Issue
    from neuropack.mend.traced import Put, TracedNeuron
    from neuropack.web.site import Site
    from neuropack.web.tracing.sessions import Open

_WAIT_S = 300.0  # for another commit into the same release
_LISTED = "skeletons.yaml"

Line = dict[str, Any]


@dataclass
class Commits:
    """The commits into one release.

    Args:
        site: what is served.
        workspace: of the release.
    """

    site: Site
    workspace: Workspace
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._lines = list(_read(self.workspace.root / COMMITS))

    @property
    def root(self) -> Path:
        """The release."""
        return self.site.releases[self.workspace.release].path

    def all(self) -> list[Line]:
        """Every commit that was done, the newest first."""
        return [line for line in reversed(self._lines) if line.get("state") == "done"]

    def origins(self, session: str) -> dict[int, str]:
        """The neurons of the release that neurons of a session became."""
        found: dict[int, str] = {}
        for line in self._lines:
            if line.get("state") == "done" and line.get("session") == session:
                found |= {int(k): str(v) for k, v in line.get("neurons", {}).items()}
        return found

    def commit(
        self, one: Open, neurons: Sequence[int], person: str, message: str, accept: Sequence[str], key: str | None
    ) -> Line:
        """Put neurons of a session into the release.

        Args:
            one: the session.
            neurons: of it.
            person: the curator.
            message: what is committed, and why.
            accept: rules whose warnings stand.
            key: a name for it: a commit of this name is not done twice.

        Raises:
            ProblemError: the rules have something to say; another commit is being made; there is no such neuron.
            UsageError, InputError, OutputError: as `neuropack.mend.traced.put_neurons`.
        """
        from neuropack.mend.traced import RefusedError, put_neurons

        if not self._lock.acquire(timeout=_WAIT_S):
            raise ProblemError(409, "another commit into this release is being made", "try again later")
        try:
            known = next((line for line in self.all() if key is not None and line.get("key") == key), None)
            if known is not None:
                return known
            id_ = uuid.uuid4().hex
            traced, revision = self._traced(one, neurons, person, message, id_)
            began = {
                "id": id_,
                "state": "begun",
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "person": person,
                "message": message,
                "session": one.id,
                "stack": one.stack,
                "revision": revision,
                "key": key,
                "names": {str(k): t.name for k, t in zip(neurons, traced, strict=True)},
            }
            self._append(began)
            scratch = self.workspace.root / "commit"
            try:
                put = put_neurons(self.root, one.stack, traced, scratch, accept=accept)
            except RefusedError as error:
                self._append({**began, "state": "refused"})
                found = [_told(issue) for issue in error.issues]
                raise ProblemError(422, error.what, error.fix or "", findings=found) from None
            except NeuropackError as error:
                self._append({**began, "state": "refused"})
                if isinstance(error, OutputError) and "another neuropack" in error.what:
                    raise ProblemError(409, "the release is being written at this moment", str(error)) from None
                raise
            done = self._done(
                began, dict(zip(map(str, neurons), (put.neurons[t.name] for t in traced), strict=True))
            )
            done["accepted"] = [_told(issue) for issue in put.accepted]
            self._append(done)
            self._for_the_study(one.stack, put, traced)
            self.site.reload(self.workspace.release)
            return done
        finally:
            self._lock.release()

    def recover(self) -> None:
        """Finish or discard what an earlier run of the server was killed in."""
        from neuropack.mend.standing import alone

        if (self.root / PENDING).exists():
            with suppress(NeuropackError), alone(self.root):  # else somebody is at work there, or it is read-only
                if finish(self.root):
                    self.site.reload(self.workspace.release)
        states: dict[str, Line] = {str(line.get("id")): line for line in self._lines}
        for line in [line for line in states.values() if line.get("state") == "begun"]:
            became = self._became(line)
            if became:
                self._append(self._done(line, became))
                self._for_the_study_again(line, became)
            else:
                self._append({**line, "state": "discarded"})

    def _became(self, line: Line) -> dict[str, str]:
        """What the neurons of a commit are called in the release; empty where it was not done."""
        name = self.workspace.release
        found: dict[str, str] = {}
        for step in self.site.releases[name].metadata.get("processings", ()):
            said = _json(step.get("parameters"))
            if step.get("activity") == "tracing" and said.get("commit") == line["id"]:
                found[str(said.get("neuron"))] = str(step["id"]).removesuffix("-tracing")
        return found

    def _traced(
        self, one: Open, neurons: Sequence[int], person: str, message: str, commit: str
    ) -> tuple[list[TracedNeuron], int]:
        """The neurons as they are now, with who traced them and how."""
        from neuropack.marks import Credit
        from neuropack.mend.traced import TracedNeuron

        found, told = [], " ".join(message.split())
        with one.session.alone():
            names, revision = one.session.neurons, one.session.revision
            there = {str(r.get("id")) for r in self.site.releases[one.release].metadata.get("neurons", ())}
            origins = {**origins_of(one), **self.origins(one.id)}
            for k in neurons:
                if k not in names:
                    raise ProblemError(404, "the session has no such neuron", str(k))
                people = people_of(one, k)
                origin = origins.get(k)
                origin = origin if origin in there else None  # a build without it may have come in between
                settings = {
                    "commit": commit,
                    "session": one.id,
                    "revision": revision,
                    "neuron": k,
                    "people": {name: n for name, (n, _) in people.items()},
                    "curator": person,
                    "message": message,
                    "paths": _settings(one, k),
                }
                imported = k in origins_of(one)
                found.append(
                    TracedNeuron(
                        names[k],
                        one.session.skeleton(k),
                        Credit(", ".join(people) or person, "corrected" if imported else "manual"),
                        replaces=origin,
                        comments=[*provenance(one, k), f"committed by {person}: {told or 'no message'}"],
                        settings=settings,
                    )
                )
        return found, revision

    def _done(self, began: Line, became: dict[str, str]) -> Line:
        return {**began, "state": "done", "neurons": became}

    def _for_the_study(self, stack: str, put: Put, traced: Sequence[TracedNeuron]) -> None:
        for one in traced:
            id_ = put.neurons[one.name]
            self._copy(stack, put.swc[id_], one.credit.annotator, one.credit.provenance)

    def _for_the_study_again(self, line: Line, became: dict[str, str]) -> None:
        release = self.site.releases[self.workspace.release]
        for record in release.metadata.get("annotations", ()):
            if record.get("id") in {f"{id_}-skeleton" for id_ in became.values()}:
                self._copy(line["stack"], record["path"], record.get("annotator"), record.get("provenance"))

    def _copy(self, stack: str, swc: str, annotator: str | None, provenance_: str | None) -> None:
        """Keep a skeleton where a study can take it from: another build must not lose it."""
        folder = self.workspace.root / COMMITTED
        name = swc.rpartition("_desc-")[2]
        path = folder / stack / name
        with published(path, overwrite=True) as partial:
            partial.write_bytes((self.root / swc).read_bytes())
        record = {"files": f"{stack}/{name}", "annotator": annotator, "provenance": provenance_}
        kept = _read_list(folder / "skeletons.jsonl")
        kept[stack, name] = {"stack": stack, **record}
        with published(folder / "skeletons.jsonl", overwrite=True) as partial:
            partial.write_text("".join(json.dumps(one) + "\n" for _, one in sorted(kept.items())), encoding="utf-8")
        with published(folder / _LISTED, overwrite=True) as partial:
            partial.write_text(_yaml(folder, [one for _, one in sorted(kept.items())]), encoding="utf-8")

    def _append(self, line: Line) -> None:
        """Write a line down, on the disk before this returns."""
        path = self.workspace.root / COMMITS
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
                file.write(b"\n")  # behind what a killed process left of a line
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines.append(line)


def _settings(one: Open, neuron: int) -> dict[str, Any]:
    """How the paths of a neuron were searched for: how many of each kind."""
    found: dict[str, int] = {}
    for change in one.session.standing:
        said = change.said.get("settings")
        if neuron in change.touched and isinstance(said, dict):
            how = "straight" if said.get("straight") else "color" if said.get("color") else "brightness"
            if {"straight", "color"} & said.keys():
                found[how] = found.get(how, 0) + 1
    return {"neuropack": neuropack.__version__, **found}


def _told(issue: Issue) -> dict[str, Any]:
    return {
        "rule": issue.rule,
        "level": issue.level,
        "where": str(issue.where),
        "expected": issue.expected,
        "found": issue.found,
        "fix": issue.fix,
    }


def _json(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> Iterator[Line]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    yield from (found for line in lines if (found := _json(line)))


def _read_list(path: Path) -> dict[tuple[str, str], Line]:
    return {(str(one["stack"]), str(one["files"]).rpartition("/")[2]): one for one in _read(path) if "stack" in one}


def _yaml(folder: Path, kept: Sequence[Line]) -> str:
    """What a study says to have the skeletons, stack by stack."""
    lines = [
        "# Neurons that were committed on the server. Copy the entries of a stack below its skeletons:",
        "# in study.yaml, and take away there what they correct: the skeleton of the same name. Until",
        "# then, neuropack build stops rather than lose them.",
    ]
    for stack in dict.fromkeys(str(one["stack"]) for one in kept):
        lines += [f"{json.dumps(stack)}:", "  skeletons:"]
        for one in kept:
            if one["stack"] == stack:
                said = {"files": str(folder.resolve() / one["files"])}
                said |= {key: one[key] for key in ("annotator", "provenance") if one.get(key)}
                lines.append(f"    - {json.dumps(said, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
