"""Actions: what people do in a session, each once, and never over what they have not seen."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

import neuropack
from neuropack.errors import UsageError
from neuropack.web.problems import ProblemError
from neuropack.web.tracing import forms, steps
from neuropack.web.tracing.paths import Asked, Zyx
from neuropack.web.tracing.sessions import Open, Tracing
from neuropack.web.tracing.shown import change_record, done

if TYPE_CHECKING:
    from neuropack.trace import TracedPath
    from neuropack.trace.finding import Found
    from neuropack.trace.tree import Change

Gone = Callable[[], Awaitable[bool]]
_SNAP_S = 10.0
_MOST_SHOWN = 20  # changes in the answer to a conflict


@dataclass(frozen=True)
class _Known:
    """A finder of a path that was found already."""

    path: TracedPath

    def find(self, start_zyx: Zyx, end_zyx: Zyx, *, cancel: Any = None, progress: Any = None) -> Found:
        return self.path


async def act(
    tracing: Tracing, one: Open, action: steps.Action, person: str, key: str | None, gone: Gone
) -> forms.Done:
    """Do an action, on the disk before this returns.

    Args:
        tracing: of the server.
        one: the session.
        action: what is to be done.
        person: who does it.
        key: a name for it; where an action of this name was done already, it is not done again.
        gone: says whether the client is there no longer.

    Raises:
        ProblemError: what it touches was changed since the revision that the person has seen; a path is not found.
        UsageError: it cannot be done.
        OutputError: it cannot be written; it is not done.
    """
    key = key or action.action_id
    if key is None:
        return await _act(tracing, one, action, {"person": person}, gone)
    said = {"person": person, "action": key, "asked": _digest(action)}
    lock = one.acting.get(key)
    if lock is None:
        lock = one.acting[key] = asyncio.Lock()
    async with lock:
        if (before := one.session.acted(key)) is not None:
            if (before.said.get("person"), before.said.get("asked")) != (person, said["asked"]):
                raise ProblemError(
                    422, "another action has this name", f"{key}: give each action a name of its own"
                )
            return done(before, repeated=True)
        return await _act(tracing, one, action, said, gone)


async def _act(tracing: Tracing, one: Open, action: steps.Action, said: dict[str, Any], gone: Gone) -> forms.Done:
    settings = {"neuropack": neuropack.__version__, **_settings(one, action)}
    path = None
    if isinstance(action, steps.Extend | steps.Join) and not action.straight:
        start, end = await run_in_threadpool(_ends, one, action)
        asked = Asked(one.id, one.volume, start, end, bool(settings["color"]), action.timeout_s)
        path = await tracing.paths.find(asked, gone)
        settings |= {"cost": round(path.cost, 3), "expansions": path.expansions, "notes": list(path.notes)}
    elif isinstance(action, steps.Start) and action.snap:
        asked = Asked(one.id, one.volume, action.at, None, one.volume.n_channels > 1, _SNAP_S)
        at, radius = await tracing.paths.snap(asked, gone)
        action = action.model_copy(update={"at": at, "radius_um": radius})
    change = await run_in_threadpool(_do, tracing, one, action, path, said | {"settings": settings})
    return done(change)


def _ends(one: Open, action: steps.Extend | steps.Join) -> tuple[Zyx, Zyx]:
    """Where the path is to be searched for. What cannot be done anyway is refused before."""
    from neuropack.trace.finding import inside

    with one.session.alone():
        see(one, action)
        node = one.session.node(action.node)
        start = one.zyx((node["x"], node["y"], node["z"]))
        if isinstance(action, steps.Extend):
            inside(one.session.stack, one.xyz(action.to))
            return start, action.to
        other = one.session.node(action.other)
        return start, one.zyx((other["x"], other["y"], other["z"]))


def _do(tracing: Tracing, one: Open, action: steps.Action, path: TracedPath | None, said: dict[str, Any]) -> Change:
    with one.session.alone():
        see(one, action)
        if isinstance(action, steps.Import):
            return _import(tracing, one, action, said)
        with one.session.signed(**said):
            known = {"finder": _Known(path), "how": "path"} if path is not None else {"how": "straight"}
            return action.do(one, known)


def _import(tracing: Tracing, one: Open, action: steps.Import, said: dict[str, Any]) -> Change:
    release = tracing.site.releases[one.release]
    record = next((r for r in release.metadata.get("neurons", ()) if r.get("id") == action.neuron), None)
    if record is None or record.get("image_stack") != one.stack or action.neuron not in release.neurons:
        raise ProblemError(404, "the stack has no such traced neuron", action.neuron)
    if action.neuron in tracing.origins(one).values():
        raise UsageError("the neuron is in the session already", found=action.neuron)
    short = action.neuron.rpartition("_desc-")[2][:90]
    automatic = any(
        a.get("path") == record.get("morphology") and "automatic" in str(a.get("provenance"))
        for a in release.metadata.get("annotations", ())
    )
    skeleton = release.neurons[action.neuron]
    with one.session.signed(**said, origin=action.neuron):
        return one.session.add(skeleton, _free(one, short), made="automatic" if automatic else "manual")


def _free(one: Open, name: str) -> str:
    taken, found, n = {v.casefold() for v in one.session.neurons.values()}, name, 1
    while found.casefold() in taken:
        n += 1
        found = f"{name}-{n}"
    return found


def see(one: Open, action: steps.Action) -> None:
    """Refuse an action whose person has not seen what others did to what it touches.

    Raises:
        ProblemError: 409, with the revision now and what was changed.
        UsageError: there is no such revision yet.
    """
    session, since = one.session, action.revision
    if since == session.revision:
        return
    touched = action.touches(one)
    changed = session.changes(since) if touched is None else session.changed(since, **touched)
    if changed == []:
        return
    shown = [
        change_record(one, c).model_dump(exclude={"nodes", "deleted_nodes"}) for c in (changed or [])[-_MOST_SHOWN:]
    ]
    raise ProblemError(
        409,
        "it was changed in the meantime",
        "get the changes, look at them, and decide again",
        revision=session.revision,
        changes=shown,
    )


def _settings(one: Open, action: steps.Action) -> dict[str, Any]:
    """How it is done, for the log."""
    if isinstance(action, steps.Extend | steps.Join):
        color = one.volume.n_channels > 1 if action.color is None else action.color
        return {"straight": True} if action.straight else {"color": color, "to": _to(action)}
    return {}


def _to(action: steps.Extend | steps.Join) -> Any:
    return action.to if isinstance(action, steps.Extend) else action.other


def _digest(action: steps.Action) -> str:
    """What is asked for, without the revision: one who asks again may have seen more since."""
    said = action.model_dump_json(exclude={"revision", "action_id"})
    return hashlib.sha256(said.encode()).hexdigest()[:16]
