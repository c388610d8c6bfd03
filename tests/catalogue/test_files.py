"""The catalogue as files: same release, same bytes; nothing is measured twice; foreign bytes are refused."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small

from neuropack.catalogue import TABLES, Catalogue, Query, shapes
from neuropack.catalogue.columns import FEATURES
from neuropack.catalogue.content import Content
from neuropack.catalogue.files import FILES, catalogue_files, read_catalogue
from neuropack.catalogue.kept import tables_of_release
from neuropack.catalogue.parquet import read_parquet, stamp_of
from neuropack.catalogue.tables import schema_of
from neuropack.errors import InputError, NeuropackError, OutputError
from neuropack.manifest import files_below
from neuropack.release import open_release
from neuropack.swc import read_swc


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return small.write(tmp_path / "release")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the skeletons that are measured."""
    seen: list[str] = []
    real = shapes._measure

    def measure(files: dict[str, bytes | None], workers: int) -> Any:
        seen.extend(files)
        return real(files, workers)

    monkeypatch.setattr(shapes, "_measure", measure)
    return seen


def own(release: Path) -> Path:
    """Give a release its catalogue."""
    for name, data in catalogue_files(release).items():
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        (release / name).write_bytes(data)
    small.listed(release)
    return release


def altered(rows: pa.Table, column: str, values: list[Any], kind: pa.DataType | None = None) -> bytes:
    """A table with another column, as a file."""
    place = rows.schema.get_field_index(column)
    out = io.BytesIO()
    pq.write_table(rows.set_column(place, column, pa.array(values, kind or rows.schema.field(place).type)), out)
    return out.getvalue()


def test_the_same_release_gives_the_same_bytes(release: Path, tmp_path: Path) -> None:
    made = catalogue_files(release)
    assert set(made) == set(FILES.values())
    assert catalogue_files(own(release)) == made  # it is not made of itself
    assert catalogue_files(Path(shutil.copytree(release, tmp_path / "elsewhere"))) == made


def test_the_files_say_units_and_meaning(release: Path) -> None:
    schema = pq.read_schema(pa.BufferReader(catalogue_files(release)[FILES["neurons"]]))
    assert schema.field("soma_ap_um").metadata[b"unit"] == b"um"
    assert b"Anterior" in schema.field("soma_ap_um").metadata[b"description"]
    assert not any(pa.types.is_nested(field.type) for field in schema)


def test_columns_end_with_their_unit() -> None:
    for table in TABLES.values():
        for one in table.columns:
            assert one.text.endswith("."), (table.name, one.name)
            end = one.name.rpartition("_")[2]
            if end in ("um", "um2", "um3", "deg", "g"):
                assert one.unit == end, (table.name, one.name)


def test_the_files_list_neither_themselves_nor_the_manifest(release: Path) -> None:
    rows = pq.read_table(io.BytesIO(catalogue_files(own(release))[FILES["files"]])).to_pylist()
    listed = {row["id"]: row for row in rows}
    assert listed.keys() == {
        name
        for name in files_below(release)
        if name != "manifest.tsv" and not name.startswith("metadata/catalogue/")
    }
    first = listed[small.swc(f"{small.STEM}_desc-n001")]
    assert (first["stack"], first["subject"], first["format"]) == (small.STACK, "M01", "SWC")
    assert listed["metadata/neuropack.json"]["folder"] == "metadata"


def test_one_skeleton_more_is_all_that_is_measured(release: Path, measured: list[str]) -> None:
    own(release)
    assert len(measured) == 4
    measured.clear()
    before = read_parquet(release / FILES["neurons"], TABLES["neurons"], "neurons")
    small.write(release, count=5)
    own(release)
    assert len(measured) == 1
    after = read_parquet(release / FILES["neurons"], TABLES["neurons"], "neurons")
    assert after.select(FEATURES).slice(0, 4).equals(before.select(FEATURES))
    assert after["n_tips"].to_pylist() == [2, 3, 4, 5, 6]


def test_what_a_commit_is_to_write_counts_before_it_is_there(release: Path, measured: list[str]) -> None:
    own(release)
    measured.clear()
    name = small.swc(f"{small.STEM}_desc-n002")
    text = small.skeleton(9).encode()
    from neuropack.manifest import entry_of, read_manifest

    entries = {**read_manifest(release), name: entry_of(text)}
    document = json.loads((release / "metadata/neuropack.json").read_text())
    made = catalogue_files(Content.of(release, document=document, entries=entries, files={name: text}))
    assert measured == [entry_of(text).sha256]
    (release / name).write_bytes(text)
    small.listed(release)
    shutil.rmtree(release / "metadata/catalogue")
    assert catalogue_files(release) == made


def test_features_are_those_of_the_library(release: Path) -> None:
    from neuropack.morphology.features import features

    rows = pq.read_table(io.BytesIO(catalogue_files(release)[FILES["neurons"]])).to_pylist()
    for row in rows:
        wanted = features(read_swc(release / row["swc"]))
        for key in FEATURES:
            assert row[key] == (None if wanted[key] is None else pytest.approx(wanted[key], rel=1e-8)), key


def test_a_skeleton_that_cannot_be_measured_has_no_features(release: Path) -> None:
    small.put(release, small.swc(f"{small.STEM}_desc-n002"), "nothing\n")
    small.listed(release)
    rows = pq.read_table(io.BytesIO(catalogue_files(release)[FILES["neurons"]])).to_pylist()
    assert [row["n_tips"] for row in rows] == [2, None, 4, 5]


def test_paths_that_lead_out_of_the_release_are_not_read(release: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.swc").write_text(small.skeleton(3))
    document = json.loads((release / "metadata/neuropack.json").read_text())
    document["neurons"][0]["morphology"] = "../secret.swc"
    small.put(release, "metadata/neuropack.json", json.dumps(document))
    small.listed(release)
    with (release / "manifest.tsv").open("a") as manifest:
        manifest.write(f"../secret.swc\t10\t{'a' * 64}\n")
    assert pq.read_table(io.BytesIO(catalogue_files(release)[FILES["neurons"]]))["n_tips"].to_pylist()[0] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"neurons": {"a": 1}},
        {"neurons": [1]},
        {"neurons": [{"id": 3}]},
        {"neurons": [{"id": "a", "soma_space": "AllenCCFv3", "soma_x": "far"}]},
        {"neurons": [{"id": "a", "color_vector": ["red"]}]},
        {"neurons": [{"id": "a", "color_vector": 3}]},
        {"neurons": [{"id": "a", "region_id": 1 << 70}]},
        {"neurons": [{"id": "a", "region_id": True}]},
        {"neurons": [{"id": "a", "annotators": [None]}]},
        {"neurons": [{"id": "a", "morphology": ["x"]}]},
        {"image_stacks": [{"id": "a", "path": "p", "shape": [1.5]}]},
        {"image_stacks": [{"id": "a", "path": "p", "intensity_max": {}}]},
        {"acquisitions": [{"id": "a", "channels": "red"}]},
        {"subjects": [{"id": "M01", "sex": 1}]},
        {"dataset": [1]},
        {"dataset": {"id": "x", "title": ["a"]}},
        {"dataset": {"id": "x", "creators": [1]}},
        {"labellings": [{"id": "l", "specimen": "M01-LH", "reporters": {"a": 1}}]},
        {"annotations": [{"id": "a", "image_stack": [1]}]},
    ],
)
def test_metadata_of_another_type_are_one_message(tmp_path: Path, changes: dict[str, Any]) -> None:
    root = small.write(tmp_path / "release", **changes)
    with pytest.raises(InputError) as caught:
        tables_of_release(root, tmp_path / "cache")
    assert caught.value.where
    assert caught.value.found
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.parquet"))


def test_numbers_that_are_none_in_a_table_are_one_message(release: Path) -> None:
    file = release / "derivatives/morphology/regions.tsv"
    file.write_text(file.read_text().replace("5.0", "five"))
    with pytest.raises(InputError, match="no number"):
        catalogue_files(release)


def test_endless_text_is_cut_and_halves_of_letters_are_replaced(tmp_path: Path) -> None:
    long = {"id": "x", "title": "ü" * 100_000, "abstract": "a\ud800b"}
    root = small.write(tmp_path / "release", dataset=long)
    rows = pq.read_table(io.BytesIO(catalogue_files(root)[FILES["releases"]])).to_pylist()
    assert len(rows[0]["title"].encode()) <= 1 << 16
    assert rows[0]["abstract"] == "a?b"
    assert tables_of_release(root, tmp_path / "cache")


# ------------------------------------------------------------------------------------------------ foreign files


def test_other_columns_are_refused(release: Path) -> None:
    data = catalogue_files(release)[FILES["stacks"]]
    rows = pq.read_table(io.BytesIO(data))
    for wrong, said in (
        (altered(rows, "objective", [1], pa.int64()), "of another type: objective"),
        (altered(rows.rename_columns({"axes": "pixels"}), "dtype", [None]), "without axes; with pixels"),
        (altered(rows, "shape", [[1, 2]], pa.list_(pa.int64())), "of another type: shape"),
        (catalogue_files(release)[FILES["files"]], "without"),
    ):
        with pytest.raises(InputError, match="other columns") as caught:
            read_parquet(wrong, TABLES["stacks"], "stacks.parquet")
        assert said in (caught.value.found or "")


def test_what_would_fill_the_memory_is_refused(release: Path) -> None:
    rows = pq.read_table(io.BytesIO(catalogue_files(release)[FILES["files"]]))
    many = pa.table({name: rows[name].take([0] * 200_000) for name in rows.column_names}, rows.schema)
    out = io.BytesIO()
    pq.write_table(many, out, row_group_size=200_000)
    long = altered(rows, "format", ["x" * (1 << 17)] * len(rows))
    with pytest.raises(InputError, match="row group"):
        read_parquet(out.getvalue(), TABLES["files"], "files.parquet")
    with pytest.raises(InputError, match="too long a text"):
        read_parquet(long, TABLES["files"], "files.parquet")


@pytest.mark.parametrize("text", ["[1, 2", "{}", "[[1]]", "[1,,2]", "[" * 1000, "[NaN]", '["a"]'])
def test_lists_that_are_none_are_refused(release: Path, text: str) -> None:
    rows = pq.read_table(io.BytesIO(catalogue_files(release)[FILES["stacks"]]))
    with pytest.raises(InputError, match="no list of numbers"):
        read_parquet(altered(rows, "shape", [text]), TABLES["stacks"], "stacks.parquet")


def test_a_row_without_an_identifier_is_refused(release: Path) -> None:
    rows = pq.read_table(io.BytesIO(catalogue_files(release)[FILES["stacks"]]))
    with pytest.raises(InputError, match="without an identifier"):
        read_parquet(altered(rows, "id", [None]), TABLES["stacks"], "stacks.parquet")


def test_flipped_bits_are_an_error_of_the_input_or_another_table(release: Path) -> None:
    data, draw = catalogue_files(release)[FILES["neurons"]], random.Random(11)  # noqa: S311 - no secret
    refused = 0
    for _ in range(300):
        wrong = bytearray(data)
        for _ in range(draw.choice([1, 3, 20])):
            wrong[draw.randrange(len(wrong))] = draw.randrange(256)
        cut = bytes(wrong[: draw.choice([len(wrong), len(wrong), draw.randrange(len(wrong))])])
        try:
            rows = read_parquet(cut, TABLES["neurons"], "neurons.parquet")
        except InputError as error:
            refused += 1
            assert "\n" not in error.what
        else:
            assert rows.column_names == list(TABLES["neurons"].names)
    assert refused > 200


# ---------------------------------------------------------------------------------- where they come from


def test_a_release_without_a_catalogue_gets_one_in_the_cache(
    release: Path, tmp_path: Path, measured: list[str]
) -> None:
    before = sorted(files_below(release))
    first = Catalogue({"r": open_release(release)}, cache=tmp_path / "cache")
    assert len(measured) == 4
    second = Catalogue({"r": open_release(release)}, cache=tmp_path / "cache")
    assert len(measured) == 4
    assert sorted(files_below(release)) == before
    assert first.search("neurons", Query()) == second.search("neurons", Query())
    small.write(release, count=6)
    third = Catalogue({"r": open_release(release)}, cache=tmp_path / "cache")
    assert third.search("neurons", Query()).total == 6
    assert len(measured) == 6
    assert len(list((tmp_path / "cache").rglob("neurons.parquet"))) == 1  # older ones are gone
    for one in (first, second, third):
        one.close()


def test_the_catalogue_of_a_release_is_used_while_it_fits(
    release: Path, tmp_path: Path, measured: list[str]
) -> None:
    own(release)
    measured.clear()
    assert len(tables_of_release(release, tmp_path / "cache")["neurons"]) == 4
    assert not (tmp_path / "cache").exists()
    document = json.loads((release / "metadata/neuropack.json").read_text())
    document["neurons"].pop()
    small.put(release, "metadata/neuropack.json", json.dumps(document))  # the manifest does not know
    assert len(tables_of_release(release, tmp_path / "cache")["neurons"]) == 3
    small.listed(release)
    assert len(tables_of_release(release, tmp_path / "cache")["neurons"]) == 3
    assert measured == []  # its own old catalogue has measured them


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b"PAR1"),
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        lambda file: shutil.copy(file.with_name("files.parquet"), file),
    ],
)
def test_a_damaged_cache_is_made_again(release: Path, tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    wanted = tables_of_release(release, tmp_path / "cache")
    spoil(next((tmp_path / "cache").rglob("regions.parquet")))
    assert tables_of_release(release, tmp_path / "cache")["regions"].equals(wanted["regions"])


def test_a_foreign_file_that_says_it_fits_is_one_message(release: Path, tmp_path: Path) -> None:
    own(release)
    stamp = {f"neuropack.{k}": v for k, v in stamp_of(*Content.of(release).digests()).items()}
    file = release / FILES["stacks"]
    rows = pq.read_table(file).drop_columns(["axes"])
    pq.write_table(rows.replace_schema_metadata(stamp), file)
    with pytest.raises(InputError, match="other columns") as caught:
        tables_of_release(release, tmp_path / "cache")
    assert str(file) in str(caught.value)


def test_a_release_without_a_manifest_is_one_message(release: Path, tmp_path: Path) -> None:
    (release / "manifest.tsv").unlink()
    with pytest.raises(InputError, match=r"manifest\.tsv"):
        tables_of_release(release, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_one_message(release: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        tables_of_release(release, tmp_path / "cache")


def test_a_release_without_neurons_has_empty_tables(tmp_path: Path) -> None:
    root = small.write(tmp_path / "release", count=0)
    catalogue = Catalogue({"r": open_release(root)}, cache=tmp_path / "cache")
    assert catalogue.search("neurons", Query(sort="-n_tips", text="x")).total == 0
    assert catalogue.facets("neurons", Query(), ["region"]) == {"region": []}
    assert catalogue.spans("neurons", Query(), ["n_tips"]) == {"n_tips": (None, None)}
    assert catalogue.search("regions", Query(region="CTX")).total == 3
    assert catalogue.record("neurons", "x") is None
    catalogue.close()


def test_no_release_at_all_has_empty_tables() -> None:
    catalogue = Catalogue({})
    for table in TABLES:
        assert catalogue.search(table, Query()).total == 0
    catalogue.close()


def test_a_set_of_files_that_is_not_whole_is_no_catalogue(release: Path) -> None:
    files = catalogue_files(release)
    sources = {name: files[path] for name, path in FILES.items()}
    assert read_catalogue(sources, None) is not None
    assert read_catalogue(sources, stamp_of("", "")) is None
    sources.pop("files")
    assert read_catalogue(sources, None) is None
    assert issubclass(InputError, NeuropackError)
    assert schema_of(TABLES["files"]).names[0] == "id"
