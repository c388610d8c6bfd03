"""Searching: what is found is what a plain loop over all rows finds, page by page, and nothing else."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small

from neuropack.catalogue import TABLES, Catalogue, Query, Stop, StoppedError
from neuropack.catalogue.content import Content
from neuropack.catalogue.tables import tables_of
from neuropack.errors import UsageError

NEURONS = 60
SORTS = (
    "id",
    "-id",
    "region",
    "-region",
    "soma_ap_um",
    "-confidence",
    "confidence",
    "-cell_type",
    "n_tips",
    "release",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("releases")
    return {
        name: tables_of(Content.of(small.write(root / name, name, neurons)))
        for name, neurons in (("first", NEURONS), ("second", 20))
    }


@pytest.fixture(scope="module")
def catalogue(made: dict[str, Any]) -> Iterator[Catalogue]:
    found = Catalogue.of_tables(made)
    yield found
    found.close()


@pytest.fixture(scope="module")
def every(catalogue: Catalogue) -> list[dict[str, Any]]:
    return catalogue.search("neurons", Query(limit=1000)).items


def pages(catalogue: Catalogue, table: str, **query: Any) -> list[dict[str, Any]]:
    """All rows, by the cursors."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = catalogue.search(table, Query(**query, cursor=cursor))
        found += page.items
        if page.next is None:
            assert page.total == len(found)
            return found
        cursor = page.next


def keys(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["id"], row["release"]) for row in rows]


def test_rows_carry_what_the_release_says(every: list[dict[str, Any]]) -> None:
    assert len(every) == NEURONS + 20
    row = every[0]
    assert set(row) == {"release", *TABLES["neurons"].names}
    assert (row["release"], row["id"]) == ("first", f"{small.STEM}_desc-n001")
    assert (row["subject"], row["labelling"], row["cell_type"]) == ("M01", "brainbow", "CL:0000598")
    assert (row["soma_ap_um"], row["soma_dv_um"], row["soma_lr_um"]) == (1000, 1001, 1002)
    assert (row["region_path"], row["region_name"]) == ([1, 2, 3], "Primary visual area")
    assert (row["color_vector"], row["annotator"]) == ([0.5, 1.0], "Jane Doe, John Roe")
    assert (row["n_tips"], row["n_stems"], row["length_um"], row["label"]) == (2, 2, 10.5, 1)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_are_the_whole_in_order(
    catalogue: Catalogue, every: list[dict[str, Any]], sort: str, limit: int
) -> None:
    found = pages(catalogue, "neurons", sort=sort, limit=limit)
    name, turned = sort.removeprefix("-"), sort.startswith("-")
    known = [row for row in every if row[name] is not None]
    if name == "id":
        wanted = sorted(known, key=lambda row: (row["id"], row["release"]), reverse=turned)
    else:
        wanted = sorted(sorted(known, key=lambda r: (r["id"], r["release"])), key=lambda r: r[name], reverse=False)
        if turned:  # equal ones stay in the order of identifiers
            wanted = sorted(
                sorted(known, key=lambda r: (r["id"], r["release"])), key=lambda r: r[name], reverse=True
            )
    unknown = sorted((row for row in every if row[name] is None), key=lambda row: (row["id"], row["release"]))
    assert keys(found) == keys([*wanted, *unknown])


def test_filters_find_what_a_loop_finds(catalogue: Catalogue, every: list[dict[str, Any]]) -> None:
    draw, seen = random.Random(3), set()  # noqa: S311 - no secret
    below = {"root": {3, 4, 5}, "CTX": {3, 4}, "VISp": {3, 4}, "VISp5": {4}, "thalamus": {5}, "2": {3, 4}}
    for _ in range(150):
        given: dict[str, Any] = {}
        tests = []
        if draw.random() < 0.4:
            given["region"] = draw.choice(list(below))
            tests.append(lambda row, wanted=below[given["region"]]: row["region_id"] in wanted)
        if draw.random() < 0.4:
            given["equal"] = {"hemisphere": ("left",), "region": ("VISp5", "TH", "nowhere")}
            tests.append(lambda row: row["hemisphere"] == "left" and row["region"] in ("VISp5", "TH"))
        if draw.random() < 0.4:
            low, high = draw.uniform(900, 3000), draw.choice([None, draw.uniform(1500, 8000)])
            given["ranges"] = {"soma_ap_um": (low, high), "n_tips": (draw.randrange(20), None)}
            least = given["ranges"]["n_tips"][0]
            tests.append(
                lambda row, low=low, high=high, least=least: (
                    low <= row["soma_ap_um"] <= (high or 1e9) and row["n_tips"] >= least
                )
            )
        if draw.random() < 0.4:
            corner = draw.uniform(1000, 5000)
            given["box"] = ((0, 0, 0), (corner, 9999, corner + 50))
            tests.append(
                lambda row, corner=corner: row["soma_ap_um"] <= corner and row["soma_lr_um"] <= corner + 50
            )
        if draw.random() < 0.4:
            given["text"] = draw.choice(
                ["N00", "jane DESC-n01", "visual layer", "chunk-01_desc-n0", "second", "neurons OF first", "zz"]
            )
            words = given["text"].lower().split()
            tests.append(lambda row, words=words: all(_has(row, word) for word in words))
        found = pages(catalogue, "neurons", limit=13, sort=draw.choice(SORTS), **given)
        assert sorted(keys(found)) == sorted(keys([row for row in every if all(test(row) for test in tests)])), (
            given
        )
        seen.add(len(found))
    assert len(seen) > 20


def _has(row: dict[str, Any], word: str) -> bool:
    texts = [row[one.name] for one in TABLES["neurons"].columns if one.words]
    return any(word in (text or "").lower() for text in [*texts, row["release"], f"Neurons of {row['release']}"])


def test_a_row_without_a_value_can_be_asked_for(catalogue: Catalogue, every: list[dict[str, Any]]) -> None:
    found = catalogue.search("neurons", Query(equal={"cell_type": (None,)}, limit=1000))
    assert found.total == sum(row["cell_type"] is None for row in every) == NEURONS + 20 - 2
    both = catalogue.search("neurons", Query(equal={"cell_type": (None, "CL:0000598")}))
    assert both.total == NEURONS + 20


def test_texts_have_ranges_and_numbers_are_taken_as_text(catalogue: Catalogue) -> None:
    days = Query(ranges={"start_time": ("2026-01-01", "2026-01-02")})
    assert catalogue.search("stacks", days).total == 2
    assert catalogue.search("stacks", Query(ranges={"start_time": ("2026-01-02", None)})).total == 0
    assert catalogue.search("neurons", Query(equal={"region_id": ("4",), "soma_ap_um": ("1100",)})).total == 2


@pytest.mark.parametrize("table", TABLES)
def test_every_table_can_be_searched(catalogue: Catalogue, table: str) -> None:
    found = pages(catalogue, table, limit=17)
    assert {row["release"] for row in found} == {"first", "second"}
    assert set(found[0]) == {"release", *TABLES[table].names}


def test_regions_count_what_is_in_them(catalogue: Catalogue) -> None:
    rows = catalogue.search("regions", Query(region="CTX", equal={"release": ("second",)})).items
    assert {row["acronym"]: (row["n_somata"], row["n_somata_below"], row["depth"]) for row in rows} == {
        "CTX": (0, 15, 1),
        "VISp": (5, 15, 2),
        "VISp5": (10, 10, 3),
    }
    lengths = catalogue.search("neuron_regions", Query(region="TH", equal={"release": ("second",)})).items
    thalamus = next(
        row for row in catalogue.search("regions", Query(text="thalamus")).items if row["release"] == "second"
    )
    assert thalamus["length_um"] == sum(row["length_um"] for row in lengths)


def test_facets_count_and_do_not_count_their_own_filter(catalogue: Catalogue) -> None:
    query = Query(equal={"region": ("TH",), "release": ("second",)})
    found = catalogue.facets("neurons", query, ["region", "hemisphere", "cell_type", "region_id"])
    assert found["region"] == [("VISp5", 10), ("TH", 5), ("VISp", 5)]
    assert found["hemisphere"] == [("left", 5)]
    assert found["cell_type"] == [(None, 5)]
    assert found["region_id"] == [(5, 5)]
    assert catalogue.facets("neurons", Query(), ["region"], most=1)["region"] == [("VISp5", 40)]
    with pytest.raises(UsageError, match="not counted"):
        catalogue.facets("neurons", Query(), ["length_um"])


def test_spans_are_the_least_and_the_greatest(catalogue: Catalogue) -> None:
    query = Query(equal={"release": ("second",)})
    assert catalogue.spans("neurons", query, ["soma_ap_um", "label"]) == {
        "soma_ap_um": (1000, 2900),
        "label": (1, 20),
    }
    assert catalogue.spans("neurons", Query(text="zz"), ["label"]) == {"label": (None, None)}


def test_a_record_is_found_by_its_identifier(catalogue: Catalogue) -> None:
    id_ = f"{small.STEM}_desc-n003"
    found = catalogue.record("neurons", id_, "second")
    assert found is not None
    assert (found["release"], found["id"]) == ("second", id_)
    assert catalogue.record("neurons", id_)["release"] == "first"  # type: ignore[index]
    assert catalogue.record("neurons", id_, "third") is None
    assert catalogue.record("neurons", id_[:-1]) is None
    assert catalogue.record("regions", "4", "first")["acronym"] == "VISp5"  # type: ignore[index]


def test_a_cursor_is_of_its_query_alone(catalogue: Catalogue) -> None:
    query = Query(limit=5, sort="region", text="jane")
    cursor = catalogue.search("neurons", query).next
    assert cursor is not None
    for changed in (cursor[:-3] + "AAA", cursor[::-1], "", "é", "x" * 5000, "A" * 40):
        with pytest.raises(UsageError, match="cursor"):
            catalogue.search("neurons", Query(limit=5, sort="region", text="jane", cursor=changed))
    for other in ({"sort": "-region"}, {"text": "doe"}, {"region": "TH"}, {"equal": {"sex": ("F",)}}):
        with pytest.raises(UsageError, match="cursor"):
            catalogue.search("neurons", Query(**{"sort": "region", "text": "jane", "cursor": cursor, **other}))
    with pytest.raises(UsageError, match="cursor"):
        catalogue.search("stacks", Query(cursor=cursor))


def test_a_cursor_holds_when_rows_come_and_go(made: dict[str, Any]) -> None:
    for sort in SORTS:
        whole = Catalogue.of_tables(made)
        query = Query(sort=sort, limit=9)
        page = whole.search("neurons", query)
        gone = page.items[-1]
        rest = keys(pages(whole, "neurons", sort=sort, limit=500))[9:]
        whole.close()
        rows = made[gone["release"]]["neurons"]
        kept = rows.filter([one != gone["id"] for one in rows["id"].to_pylist()])
        less = Catalogue.of_tables({**made, gone["release"]: {**made[gone["release"]], "neurons": kept}})
        after = less.search("neurons", Query(sort=sort, limit=500, cursor=None))
        assert after.total == NEURONS + 20 - 1
        following = less.search("neurons", Query(sort=sort, limit=500, cursor=page.next))
        assert keys(following.items) == rest, sort
        less.close()


def test_what_is_not_there_is_said_with_what_is(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="neuron_regions") as caught:
        catalogue.search("pixels", Query())
    assert caught.value.found == "pixels"
    for query in (Query(sort="place"), Query(equal={"id_front": ("a",)}), Query(ranges={"region_order": (0, 1)})):
        with pytest.raises(UsageError, match="soma_ap_um"):
            catalogue.search("neurons", query)
    with pytest.raises(UsageError, match="VISp"):
        catalogue.search("neurons", Query(region="VISpp"))
    with pytest.raises(UsageError, match="no regions"):
        catalogue.search("stacks", Query(region="TH"))
    with pytest.raises(UsageError, match="no somata"):
        catalogue.search("stacks", Query(box=((0, 0, 0), (1, 1, 1))))
    with pytest.raises(UsageError, match="cannot be searched"):
        catalogue.search("neurons", Query(equal={"swc": ("a",)}))


@pytest.mark.parametrize(
    "query",
    [
        Query(limit=-1),
        Query(limit=10**6),
        Query(ranges={"n_tips": ("x", None)}),
        Query(ranges={"n_tips": (float("nan"), None)}),
        Query(ranges={"n_tips": (None, float("inf"))}),
        Query(ranges={"id": ("a", "b")}),
        Query(equal={"n_tips": ("1.5",)}),
        Query(equal={"n_tips": (10**30,)}),
        Query(equal={"soma_ap_um": (True,)}),
        Query(box=((2, 0, 0), (1, 1, 1))),
        Query(box=((0, 0), (1, 1))),  # type: ignore[arg-type]
        Query(box="abc"),  # type: ignore[arg-type]
        Query(text=" ".join(["a"] * 50)),
    ],
)
def test_values_that_fit_nothing_are_refused(catalogue: Catalogue, query: Query) -> None:
    with pytest.raises(UsageError):
        catalogue.search("neurons", query)


@pytest.mark.parametrize("text", ["'; DROP TABLE neurons; --", "%", "_", '"', "\\", "\0", "名", "()*.?"])
def test_no_text_is_more_than_text(catalogue: Catalogue, text: str) -> None:
    found = catalogue.search("neurons", Query(text=text, equal={"region": (text,)}))
    assert found.total == 0
    with pytest.raises(UsageError):
        catalogue.search("neurons", Query(sort=text))
    with pytest.raises(UsageError):
        catalogue.search("neurons", Query(equal={f"region = 'TH' OR {text}": ("a",)}))
    assert catalogue.search("neurons", Query()).total == NEURONS + 20


def test_an_underscore_stands_for_itself(catalogue: Catalogue, every: list[dict[str, Any]]) -> None:
    assert catalogue.search("neurons", Query(text="_desc-n00")).total == 18
    assert catalogue.search("neurons", Query(text="desc_n00")).total == 0
    assert catalogue.search("neurons", Query(text=every[5]["id"].upper())).total == 2


def test_many_threads_find_the_same(catalogue: Catalogue) -> None:
    wanted = keys(pages(catalogue, "neurons", region="CTX", sort="-n_tips", limit=11))
    found: list[list[tuple[str, str]]] = []

    def ask() -> None:
        for _ in range(3):
            found.append(keys(pages(catalogue, "neurons", region="CTX", sort="-n_tips", limit=11)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [wanted] * 24


def test_a_search_ends_when_its_time_is_over(made: dict[str, Any]) -> None:
    slow = Catalogue.of_tables(made, time_limit_s=0.2)
    with pytest.raises(StoppedError, match=r"took longer than 0\.2 s"), slow._cursor(None) as db:
        db.execute(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 1"
        ).fetchall()
    assert slow.search("neurons", Query()).total == NEURONS + 20
    slow.close()


def test_a_search_can_be_stopped(catalogue: Catalogue) -> None:
    stop = Stop()
    timer = threading.Timer(0.1, stop.now)
    timer.start()
    with pytest.raises(StoppedError, match="was stopped"), catalogue._cursor(stop) as db:
        db.execute(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 1"
        ).fetchall()
    with pytest.raises(StoppedError, match="was stopped"):
        catalogue.search("neurons", Query(), stop=stop)


def test_the_database_reads_nothing_else(catalogue: Catalogue, tmp_path: Path) -> None:
    import duckdb

    (tmp_path / "a.csv").write_text("a\n1\n")
    for statement in (f"SELECT * FROM '{tmp_path}/a.csv'", "INSTALL httpfs", "SET enable_external_access = true"):  # noqa: S608
        with pytest.raises(duckdb.Error):
            catalogue._db.cursor().execute(statement).fetchall()
