"""The API: search, records, what describes releases, and how problems are told."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import api_page
import pytest
from served import NEURONS, Asked, make_release

from neuropack.catalogue import TABLES
from neuropack.web.api.jsonld import script_content, signposts


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(make_release(tmp_path_factory.mktemp("releases") / "small"))


def test_every_table_is_listed_and_its_rows_lead_to_their_records(ask: Asked) -> None:
    for table in TABLES:
        page = ask.get(f"/api/v1/{table}")
        assert page.status_code == 200, page.text
        assert page.json()["total"] >= len(page.json()["items"])
        for row in page.json()["items"][:2]:
            for name, address in row["links"].items():
                if name in {"self", "file", "release", "swc"} and address != "/files/small/sub-A/S.ome.zarr":
                    assert ask.get(address).status_code == 200, (table, name, address)
            if "self" in row["links"]:
                record = ask.get(row["links"]["self"]).json()
                assert (record["id"], record["release"]) == (row["id"], "small")


def test_a_record_says_what_the_metadata_say(ask: Asked) -> None:
    neuron = ask.get("/api/v1/neurons/n3").json()
    assert neuron["metadata"]["image_stack"] == "S"
    assert neuron["regions"] == []
    assert neuron["links"]["page"] == "/r/small/neurons/n3"
    assert neuron["links"]["swc"] == "/files/small/derivatives/morphology/sub-A/n3.swc"


def test_pages_follow_one_another(ask: Asked) -> None:
    found, address = [], "/api/v1/neurons?limit=3&sort=-id"
    while address:
        answer = ask.get(address)
        found += [row["id"] for row in answer.json()["items"]]
        address = answer.json()["links"].get("next")
        assert ("link" in answer.headers) == (address is not None)
    assert found == [f"n{i}" for i in reversed(range(NEURONS))]


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", NEURONS),
        ("stack=S", NEURONS),
        ("stack=T", 0),
        ("id=n1&id=n2", 2),
        ("completeness=unknown&completeness=complete", NEURONS),
        ("q=n1", 1),
        ("q=", NEURONS),
        ("min_soma_ap_um=0", 0),
        ("without=soma_ap_um", NEURONS),
        ("soma_box=0,0,0,1,1,1", 0),
        ("release=small", NEURONS),
        ("release=other", 0),
        ("min_n_nodes=&cell_type=", NEURONS),  # a form sends fields that were left empty
    ],
)
def test_filters(ask: Asked, query: str, total: int) -> None:
    answer = ask.get(f"/api/v1/neurons?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == total


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "limit=0",
        "limit=1001",
        "limit=ten",
        "limit=1&limit=0",
        "sort=colour",
        "sort=--id",
        "cursor=forged",
        "min_length_um=nan",
        "min_length_um=long",
        "region=nowhere",
        "soma_box=1,2,3",
        "soma_box=9,9,9,0,0,0",
        "without=id",
        "q=" + "a" * 1001,
        "q=" + "+a" * 20,
        "&".join(f"stack={n}" for n in range(101)),
    ],
)
def test_what_a_search_does_not_know_is_refused(ask: Asked, query: str) -> None:
    answer = ask.get(f"/api/v1/neurons?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"]


def test_a_cursor_is_of_its_own_search(ask: Asked) -> None:
    cursor = ask.get("/api/v1/neurons?limit=2").json()["next"]
    assert ask.get(f"/api/v1/neurons?limit=2&cursor={cursor}").json()["items"][0]["id"] == "n2"
    assert ask.get(f"/api/v1/neurons?limit=2&stack=S&cursor={cursor}").status_code == 422
    assert ask.get(f"/api/v1/stacks?limit=2&cursor={cursor}").status_code == 422


def test_facets(ask: Asked) -> None:
    found = ask.get("/api/v1/facets/neurons?columns=stack&columns=cell_type").json()["facets"]
    assert found == {"stack": [{"value": "S", "count": NEURONS}], "cell_type": [{"value": None, "count": NEURONS}]}
    for query in ("", "columns=length_um", "columns=id", "columns=colour", "columns=stack&limit=3"):
        assert ask.get(f"/api/v1/facets/neurons?{query}").status_code == 422


def test_an_identifier_of_two_releases_needs_the_name_of_one(tmp_path: Path) -> None:
    ask = Asked(make_release(tmp_path / "one"), make_release(tmp_path / "two"))
    answer = ask.get("/api/v1/neurons/n1")
    assert (answer.status_code, answer.json()["releases"]) == (409, ["one", "two"])
    assert ask.get("/api/v1/neurons/n1?release=two").json()["release"] == "two"
    assert ask.get("/api/v1/neurons/n1?release=three").status_code == 404
    assert ask.get("/api/v1/releases/two").json()["id"] == "small"
    assert ask.get("/croissant.json").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/neurons/nobody", 404),
        ("GET", "/api/v1/files/no/such.file", 404),
        ("DELETE", "/api/v1/neurons", 405),
        ("POST", "/api/v1/neurons", 405),
    ],
)
def test_problems_have_one_form(ask: Asked, method: str, path: str, status: int) -> None:
    answer = ask(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == status
    assert {"type", "title"} <= said.keys()
    assert status != 405 or answer.headers["allow"]


def test_a_crash_tells_its_number_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ask = Asked(make_release(tmp_path / "small"))

    def crash() -> None:
        raise RuntimeError("the secret of the house")

    ask.app.add_api_route("/crash", crash)
    answer = ask.get("/crash")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    number = answer.json()["id"]
    assert answer.headers["x-request-id"] == number
    assert any(number in record.getMessage() and record.exc_info for record in caplog.records)
    assert ask.get("/healthz").status_code == 200


def test_everything_that_can_be_had_can_be_asked_for_its_head(ask: Asked) -> None:
    for path in ("/api/v1/neurons", "/api/v1/neurons/n1", "/healthz", "/robots.txt", "/r/small/croissant.json"):
        whole = ask.get(path)
        before = ask.sent()
        head = ask("HEAD", path)
        assert ask.sent() == before
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.content))


def test_releases_describe_themselves_to_machines(ask: Asked) -> None:
    for path in ("/r/small/croissant.json", "/croissant.json"):
        answer = ask.get(path)
        assert answer.headers["content-type"] == "application/ld+json"
        assert answer.json()["name"] == "small"
        assert ask.get(path, if_none_match=answer.headers["etag"]).status_code == 304
    assert ask.get("/r/small/datacite.json").headers["content-type"].startswith("application/vnd.datacite")
    assert ask.get("/r/other/croissant.json").status_code == 404
    assert "Sitemap: http://127.0.0.1/sitemap.xml" in ask.get("/robots.txt").text


def test_the_site_map_lists_the_pages(ask: Asked) -> None:
    tree = ET.fromstring(ask.get("/sitemap.xml").content)  # noqa: S314 - our own
    found = [one.text for one in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert "http://127.0.0.1/r/small/neurons/n0" in found
    assert len(found) == 1 + 1 + 1 + 1 + NEURONS


def test_signposts_lead_from_a_landing_page(ask: Asked) -> None:
    ask.site.releases["small"].metadata["dataset"] |= {
        "doi": '10.5555/1"\r\nX: 2',
        "license": {"uri": "https://example.org/licence>"},
        "creators": [{"orcid": "0000-0002-1825-0097"}, "nobody", {"orcid": 3}],
    }
    found = signposts(ask.site, "small", "http://h")
    assert '<http://h/r/small/croissant.json>; rel="describedby"; type="application/ld+json"' in found
    assert '<https://orcid.org/0000-0002-1825-0097>; rel="author"' in found
    assert "\r" not in found
    assert not re.search(r"<[^>]*[\"\s][^>]*>", found)
    part = signposts(ask.site, "small", item="a b.swc")
    assert '</files/small/a%20b.swc>; rel="item"' in part
    assert '</r/small/>; rel="collection"' in part


def test_json_in_a_page_does_not_end_its_element() -> None:
    text = script_content({"name": "</script><script>alert(1)</script>"})
    assert "<" not in text
    assert json.loads(text) == {"name": "</script><script>alert(1)</script>"}


def test_the_manual_lists_these_addresses(ask: Asked) -> None:
    text = api_page.PAGE.read_text(encoding="utf-8")
    assert text == api_page.page(text, ask.get("/api/v1/openapi.json").json()), "make api brings it up to date"


def test_the_description_says_all(ask: Asked) -> None:
    said = ask.get("/api/v1/openapi.json").json()
    for path, operations in said["paths"].items():
        for operation in operations.values():
            assert operation.get("description"), path
            assert "default" in operation["responses"], path
    parameters = {one["name"]: one for one in said["paths"]["/api/v1/neurons"]["get"]["parameters"]}
    assert "micrometre" in parameters["soma_box"]["description"]
    assert "HTTPValidationError" not in said["components"]["schemas"]
