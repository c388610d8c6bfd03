"""The pages: releases, animals, stacks, neurons, search, tracing. They work without a script where they can."""

from __future__ import annotations

from fastapi import APIRouter

from neuropack.web.pages import neurons, releases, search, stacks, static, trace

router = APIRouter()
for _one in (releases.router, stacks.router, neurons.router, search.router, trace.router, static.router):
    router.include_router(_one)
