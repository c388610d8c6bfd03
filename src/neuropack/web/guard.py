"""Who asks, and what they may do. A stand-in until the guard of the API is here."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Literal, NamedTuple

from fastapi import Request

from neuropack.web.problems import ProblemError
from neuropack.web.site import site_of

Role = Literal["view", "annotate", "curate"]


class Person(NamedTuple):
    """Who asks."""

    name: str
    role: Role


def needs(role: Role) -> Callable[[Request], Person]:
    """A dependency that gives the person who asks."""

    def person(request: Request) -> Person:
        site = site_of(request)
        if role != "view" and not site.settings.edit:
            raise ProblemError(403, "this server changes nothing", "start it with --edit")
        return Person(getpass.getuser(), "curate" if site.settings.edit else "view")

    return person
