"""Tracing below /api/v1/tracing: sessions, paths, actions and commits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse

from neuropack.web.guard import Person, needs, note
from neuropack.web.problems import ProblemError, responses
from neuropack.web.tracing import forms, shown, steps
from neuropack.web.tracing.actions import act
from neuropack.web.tracing.paths import Asked
from neuropack.web.tracing.sessions import Tracing, tracing_of_request

router = APIRouter(prefix="/api/v1/tracing", tags=["tracing"])
On = Annotated[Tracing, Depends(tracing_of_request)]
Viewer = Annotated[Person, Depends(needs("view"))]
Annotator = Annotated[Person, Depends(needs("annotate"))]
Curator = Annotated[Person, Depends(needs("curate"))]
_REFUSED = responses(401, 403, 404)
_FAILS = responses(401, 403, 404, 409, 422, 503)


def _can_be_seen(tracing: Tracing) -> None:
    if not tracing.site.settings.edit:
        raise ProblemError(403, "this server changes nothing", "start it with --edit to trace")


@router.get("/sessions", responses=_REFUSED)
def sessions(tracing: On, person: Viewer) -> forms.Sessions:
    """The tracing sessions, those of an earlier run too."""
    items = (
        [shown.session_record(one, tracing.origins(one)) for one in tracing.all()]
        if tracing.site.settings.edit
        else []
    )
    return forms.Sessions(items=items, total=len(items), next=None)


@router.post("/sessions", status_code=201, responses={200: {"model": forms.SessionRecord}, **_FAILS})
def open_session(
    form: forms.SessionForm, tracing: On, person: Annotator, response: Response
) -> forms.SessionRecord:
    """Open the session of a stack: there is one, which all people share. 200 where it was open already."""
    one, fresh = tracing.open(form.release, form.stack)
    response.status_code = 201 if fresh else 200
    response.headers["Location"] = f"{router.prefix}/sessions/{one.id}"
    return shown.session_record(one, tracing.origins(one))


@router.get("/sessions/{session}", responses=_REFUSED)
def session(session: str, tracing: On, person: Viewer) -> forms.SessionRecord:
    """A session: its neurons, without their nodes."""
    _can_be_seen(tracing)
    one = tracing.get(session)
    return shown.session_record(one, tracing.origins(one))


@router.get("/sessions/{session}/neurons/{neuron}.swc", response_class=PlainTextResponse, responses=_REFUSED)
def neuron_swc(session: str, neuron: int, tracing: On, person: Viewer) -> PlainTextResponse:
    """A neuron of a session as SWC, micrometre of the stack."""
    from neuropack.swc import swc_text

    _can_be_seen(tracing)
    one = tracing.get(session)
    _known(tracing, session, neuron)
    name = one.session.neurons[neuron]
    text = swc_text(one.session.skeleton(neuron), shown.provenance(one, neuron))
    return PlainTextResponse(
        text, headers={"Content-Disposition": f'attachment; filename="{name}.swc"'}, media_type="text/plain"
    )


@router.get("/sessions/{session}/neurons/{neuron}", responses=_REFUSED)
def neuron(session: str, neuron: int, tracing: On, person: Viewer) -> forms.NeuronRecord:
    """A neuron of a session with its nodes."""
    _can_be_seen(tracing)
    _known(tracing, session, neuron)
    one = tracing.get(session)
    return shown.neuron_record(one, neuron, tracing.origins(one).get(neuron))


def _known(tracing: Tracing, session: str, neuron: int) -> None:
    if neuron not in tracing.get(session).session.neurons:
        raise ProblemError(404, "the session has no such neuron", str(neuron))


@router.get("/sessions/{session}/changes", responses=_REFUSED)
def changes(
    session: str, tracing: On, person: Viewer, since: Annotated[int, Query(ge=0, le=2**63 - 1)]
) -> forms.Changes:
    """What was done after a revision, for a browser that follows."""
    _can_be_seen(tracing)
    one = tracing.get(session)
    with one.session.alone():
        found, revision = one.session.changes(since), one.session.revision
        items = [shown.change_record(one, change) for change in found or ()]
    return forms.Changes(revision=revision, reload=found is None, items=items)


@router.post(
    "/sessions/{session}/paths",
    responses=_FAILS,
)
async def path(
    session: str, form: forms.PathForm, tracing: On, person: Annotator, request: Request
) -> forms.PathRecord:
    """The best way along a neurite between two places. Nothing is changed; `extend` to the same end takes it.

    Where none is found, the answer is 422 and its `reason` is no way, time-out or budget.
    """
    one = tracing.get(session)
    color = one.volume.n_channels > 1 if form.color is None else form.color
    asked = Asked(one.id, one.volume, form.start, form.to, color, form.timeout_s)
    return shown.path_record(await tracing.paths.find(asked, request.is_disconnected))


@router.post(
    "/sessions/{session}/actions",
    responses=_FAILS,
)
async def action(
    session: str,
    form: steps.Action,
    tracing: On,
    person: Annotator,
    request: Request,
    idempotency_key: Annotated[forms.Key | None, Header()] = None,
) -> forms.Done:
    """Change neurons. What is answered is on the disk.

    Actions on what nobody changed since `revision` are accepted, whatever else was changed; others are refused with
    409, the newest `revision` and the `changes`. Sent again with the same `action_id` (or Idempotency-Key), an
    action is not done twice.
    """
    one = tracing.get(session)
    note(request, action=form.action, revision=form.revision)
    return await act(tracing, one, form, person.name, idempotency_key, request.is_disconnected)


@router.post("/sessions/{session}/commits", status_code=201, responses=_FAILS)
def commit(
    session: str,
    form: forms.CommitForm,
    tracing: On,
    person: Curator,
    request: Request,
    idempotency_key: Annotated[forms.Key | None, Header()] = None,
) -> forms.CommitRecord:
    """Make neurons of a session part of the release.

    First the rules about skeletons are asked: what they find is in `findings` of the answer 422, and nothing was
    changed; warnings can be accepted by the name of their rule. Then skeletons, tables, metadata, the NWB file of
    the stack and the manifest are changed together, or not at all.
    """
    one = tracing.get(session)
    commits = tracing.commits(one.release)
    key = idempotency_key or form.action_id
    note(request, action="commit", neurons=form.neurons, message=form.message)
    done = commits.commit(one, form.neurons, person.name, form.message, form.accept, key)
    return forms.CommitRecord(release=one.release, **done)


@router.get("/commits", responses=_REFUSED)
def commits(tracing: On, person: Viewer) -> forms.CommitList:
    """The commits into the releases, the newest first."""
    names = tracing.site.releases if tracing.site.settings.edit else ()
    items = [forms.CommitRecord(release=name, **one) for name in names for one in tracing.commits(name).all()]
    items.sort(key=lambda one: one.at, reverse=True)
    return forms.CommitList(items=items, total=len(items), next=None)
