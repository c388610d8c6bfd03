"""The arithmetic of `make bench`: a wrong ratio would be a lie about other people's work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("mean_error", "largest_error", "success", "percent_right")  # of a path
MACHINE = {
    "date": "2026-01-02",
    "processor": "a processor",
    "cores": 2,
    "memory_gib": 16,
    "disk_write_mb_s": 300,
    "system": "Linux",
    "python": "3.11",
    "libraries": {"zarr": "3"},
}


@pytest.fixture
def goals(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    import goals

    yield goals


@pytest.fixture
def table(goals: Any) -> Any:
    import table

    return table


def row(
    key: str, seconds: list[float], decoded: int = 100, written: int = 50, peak: float = 10.0
) -> dict[str, Any]:
    return {
        "key": key,
        "name": f"the {key}",
        "against": [],
        "note": "",
        "absent": "",
        "seconds": seconds,
        "peak_mib": [peak] * len(seconds),
        "decoded_bytes": decoded,
        "points": 1,
        "output_bytes": written,
        "found": {},
    }


def section(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"rows": list(rows), "machine": MACHINE, "shape": [1, 2, 3, 4], "bytes": 3_000_000_000, "runs": 1}


def test_a_slow_hour_does_not_move_the_median(goals: Any) -> None:
    assert goals.Section(section(row("zarr", [2.0, 90.0, 1.0]))).seconds("zarr") == 2.0


def test_a_writer_of_a_third_of_the_pixels_is_judged_by_the_byte(goals: Any) -> None:
    of = goals.Section(section(row("neuroconv", [10.0], decoded=100, written=60), row("nwb", [3.0], decoded=300)))
    assert of.times("neuroconv", "nwb") == pytest.approx(10.0)
    assert of.size("neuroconv") == 0.6


def test_both_formats_are_held_against_the_dearer_one(goals: Any) -> None:
    rows = [row("both", [6.0]), row("zarr", [2.0]), row("nwb", [4.0])]
    assert goals.Section(section(*rows)).times("both", "zarr", "nwb") == 1.5


def test_flatness_is_the_highest_over_the_lowest_per_byte(goals: Any) -> None:
    of = goals.Section(
        section(row("1", [1.0], decoded=100), row("2", [2.2], decoded=200), row("4", [4.0], decoded=400))
    )
    assert of.spread(of.cost) == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("floor", "zarr", "verdict"), [(1.0, 2.0, "reached"), (1.0, 2.004, "not reached"), (1.0, 9.0, "not reached")]
)
def test_the_verdict_is_that_of_the_exact_figure(goals: Any, floor: float, zarr: float, verdict: str) -> None:
    results = {"engine": section(row("floor", [floor]), row("zarr", [zarr]))}
    assert goals.GOALS[0].verdict(results) == verdict


def test_at_least_is_not_at_most(goals: Any) -> None:
    goal = next(g for g in goals.GOALS if g.words.startswith("bioio"))
    assert goal.verdict({"peers": section(row("bioio", [9.0]), row("zarr", [1.0]))}) == "reached"
    assert goal.verdict({"peers": section(row("bioio", [3.0]), row("zarr", [1.0]))}) == "not reached"


def test_what_was_not_measured_reaches_nothing(goals: Any) -> None:
    results = {"workers": section(row("threads", [1.0]), row("workers", []))}
    goal = next(g for g in goals.GOALS if g.section == "workers")
    assert goal.verdict(results) == "not measured"
    assert goal.verdict({}) == "not measured"


def test_every_goal_asks_for_rows_that_its_section_has(goals: Any, table: Any) -> None:
    import points
    import sections
    import segmentation
    import shapes
    import tracing
    import validation

    modules = (sections, points, segmentation, shapes, tracing, validation)
    told = "".join(Path(m.__file__).read_text(encoding="utf-8") for m in modules)
    asked: set[str] = set()

    class Asked(goals.Section):
        def row(self, key: str) -> Any:
            asked.add(key)
            return row(key, [1.0]) | {"found": dict.fromkeys(FIGURES, 1.0)}

    for goal in goals.GOALS:
        goal.value(Asked(section(row("zarr", [1.0]))))
        assert goal.section in sections.SECTIONS
        assert goal.section in table.ABOUT
    # the rows of points are called by the way and by the resolution
    ways = {key: key.rstrip("0123456789").rstrip("-") for key in asked}
    assert not {key for key, way in ways.items() if f'"{way}"' not in told}


def test_points_are_judged_by_the_point(goals: Any) -> None:
    ours, peer = row("ours", [2.0], 0) | {"points": 4_000_000}, row("peer", [1.0], 0) | {"points": 500_000}
    of = goals.Section(section(ours, peer))
    assert of.millions("ours") == 2.0
    assert of.times("peer", "ours") == pytest.approx(4.0)


def test_a_section_of_points_has_a_table_of_points(table: Any) -> None:
    floor = row("field-floor", [0.5], 0) | {"points": 5_000_000}
    ours = row("field", [2.0], 0) | {"points": 5_000_000, "against": ["field-floor"]}
    record = section(ours, floor) | {"shape": [], "bytes": 0}
    page = table.render({"space": record})
    assert "| the field | 2.000 | 2.000 to 2.000 | 5,000,000 | 2.50 | 4.00 times the field-floor |" in page
    assert "| million points a second through affine and field | at least 1 | 2.50 | reached |" in page
    assert "| affine and field, times the floor | at most 2 | 4.00 | not reached |" in page
    assert "stack" not in page.split("## space")[1]
    assert "of a smaller one" not in page


def test_whole_processes_of_a_section_of_points_have_a_peak(table: Any) -> None:
    part = row("ours", [0.5], 0) | {"points": 5_000_000, "peak_mib": []}
    whole = row("objects-512", [2.0], 0) | {"points": 5_000_000, "peak_mib": [430.2]}
    absent = row("objects-2048", []) | {"points": 5_000_000, "peak_mib": [], "absent": "too long"}
    page = table.render({"segment": section(part, whole, absent) | {"shape": [], "bytes": 0}})
    lines = page.split("## segment")[1].splitlines()
    assert {line.count("|") for line in lines if line.startswith("|")} == {8}
    assert "| the objects-512 | 2.000 | 2.000 to 2.000 | 5,000,000 | 2.50 |  | 430 |" in lines
    assert "| the ours | 0.500 | 0.500 to 0.500 | 5,000,000 | 10.00 |  |  |" in lines


def test_the_page_says_what_was_measured_and_what_was_not(table: Any) -> None:
    both = row("both", [6.0, 8.0, 7.0]) | {"against": ["zarr", "nwb"], "note": "in one pass"}
    absent = row("workers", []) | {"absent": "not there yet"}
    page = table.render({"engine": section(both, row("zarr", [2.0]), row("nwb", [5.0]), absent)})
    assert "1.40 times the dearer one" in page
    assert "6.00 to 8.00" in page
    assert "| the workers | not there yet |" in page
    assert "- the both: in one pass." in page
    assert page.count("\n## ") == 2  # the section and the versions


def test_a_part_that_is_measured_again_replaces_only_itself(goals: Any, tmp_path: Path) -> None:
    import run

    run.store(tmp_path, "small", section(row("zarr", [1.0])))
    run.store(tmp_path, "engine", section(row("floor", [1.0]), row("zarr", [3.0])))
    run.store(tmp_path, "engine", section(row("floor", [1.0]), row("zarr", [2.0])))
    stored = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [r["seconds"] for r in stored["engine"]["rows"]] == [[1.0], [2.0]]
    assert stored["small"]["rows"][0]["seconds"] == [1.0]
    assert "2.00 | reached" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_the_machine_is_that_of_the_package_and_takes_no_library() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'benchmarks')!r}); import machine\n"
        "from neuropack.benchmark import measured\n"
        "machine._disk_speed = lambda folder: 300.4\n"
        "of, mine = machine.machine(None), measured.machine()\n"
        "assert mine.keys() < of.keys()\n"
        "assert mine['libraries'].items() <= of['libraries'].items()\n"
        "assert machine.words(of) == measured.words(mine) + ' Its disk takes 300 MB/s of synced writing.'\n"
        "assert 'numpy' not in sys.modules\n"  # a child is charged with the memory of its parent
    )
    subprocess.run([sys.executable, "-c", code], check=True)
