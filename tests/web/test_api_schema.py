"""schemathesis asks all that the OpenAPI allows, and what it does not: no crash, and answers of the told form."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from served import Running, make_release

from neuropack.web import tokens

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.specs.openapi import checks

FORM = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# Of what is allowed, some is refused all the same: regions that are not there, cursors that nobody gave out.
ALLOWED = [checks.positive_data_acceptance]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("served")
    headers = {"Authorization": f"Bearer {tokens.add(folder / 'tokens.json', 'Ada', 'curate')}"}
    root = make_release(folder / "small")
    with Running(root, rate=0, tokens=folder / "tokens.json", edit=True, workspace=folder / "work") as running:
        url = f"{running.url}/api/v1/openapi.json"
        yield schemathesis.openapi.from_url(url, headers=headers), headers


@pytest.mark.filterwarnings("default")  # of its own libraries
@pytest.mark.parametrize("examples", [4, pytest.param(15, marks=pytest.mark.slow)])
def test_answers_have_the_form_that_is_told(served: tuple[Any, dict[str, str]], examples: int) -> None:
    schema, headers = served
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                asked += ask(operation, mode, examples, headers)
            except Unsatisfiable:  # of an address without parameters nothing can be wrong
                assert mode is schemathesis.GenerationMode.NEGATIVE
    assert asked > 60


def ask(operation: Any, mode: Any, examples: int, headers: dict[str, str]) -> int:
    """Ask an address, and see its answers; how often it was."""
    asked = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def one(case: Any) -> None:
        nonlocal asked
        asked += 1
        answer = case.call(headers=headers)
        if mode is schemathesis.GenerationMode.POSITIVE:
            case.validate_response(answer, excluded_checks=ALLOWED)
        else:  # what it takes for wrong is often not so in a query, where everything is text
            case.validate_response(answer, checks=FORM)

    one()
    return asked
