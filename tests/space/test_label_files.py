"""Label volumes in every format: what is read, what is mapped, what is refused."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import small_atlas
import tifffile

from neuropack.errors import InputError, OutputError
from neuropack.space import label_files
from neuropack.space.label_files import read_labels

LABELS = small_atlas.labels()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def nrrd_of(path: Path, array: Any = LABELS, encoding: str = "gzip") -> Path:
    return small_atlas.write_nrrd(path.with_suffix(".nrrd"), array, encoding)


def nifti_of(path: Path, array: Any = LABELS, affine: Any = None, suffix: str = ".nii.gz") -> Path:
    path = path.with_name(path.name + suffix)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine, dtype=array.dtype), path)
    return path


def tiff_of(path: Path, array: Any = LABELS, **options: Any) -> Path:
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return path


FORMATS = {
    "nrrd.gz": nrrd_of,
    "nrrd raw": lambda path: nrrd_of(path, encoding="raw"),
    "nrrd big-endian": lambda path: nrrd_of(path, LABELS.astype(">u4"), "raw"),
    "nrrd int32": lambda path: nrrd_of(path, LABELS.astype("i4")),
    "nifti.gz": nifti_of,
    "nifti": lambda path: nifti_of(path, suffix=".nii"),
    "tiff": tiff_of,
    "tiff deflate": lambda path: tiff_of(path, compression="zlib"),
    "tiff big-endian": lambda path: tiff_of(path, byteorder=">"),
}


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_labels(
    form: str, cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cached:
        monkeypatch.setattr(label_files, "IN_MEMORY", 1000)
    found = read_labels(FORMATS[form](tmp_path / "annotation"))
    assert found.shape == small_atlas.SHAPE
    assert found.dtype.kind in "iu"
    assert (found == LABELS).all()
    assert small_atlas.LARGEST in found
    assert not found.flags.writeable


@pytest.mark.parametrize("form", ["nrrd raw", "nifti", "tiff"])
def test_what_can_be_mapped_is(form: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_files, "IN_MEMORY", 1000)
    found = read_labels(FORMATS[form](tmp_path / "annotation"))
    assert mapped_from(found).parent == tmp_path
    assert not cache.exists()


def mapped_from(array: Any) -> Path:
    """The file that an array is mapped from."""
    while not isinstance(array, np.memmap):
        array = array.base
    return Path(array.filename)


@pytest.mark.parametrize("form", ["nrrd.gz", "nifti.gz", "tiff deflate"])
def test_a_large_one_is_decoded_once(
    form: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_files, "IN_MEMORY", 1000)
    path, told = FORMATS[form](tmp_path / "annotation"), []
    read_labels(path, lambda *step: told.append(step))
    assert told[-1] == ("decoding", LABELS.nbytes, LABELS.nbytes)
    (file,) = (cache / "decoded").iterdir()
    before, told = file.stat().st_mtime_ns, []
    again = read_labels(path, lambda *step: told.append(step))
    assert (mapped_from(again), file.stat().st_mtime_ns, told) == (file, before, [])
    file.write_bytes(file.read_bytes()[:-1])  # torn, as by a full disk: decoded anew
    assert (read_labels(path) == LABELS).all()


def test_another_file_is_another_entry_of_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_files, "IN_MEMORY", 1000)
    path = nrrd_of(tmp_path / "annotation")
    read_labels(path)
    nrrd_of(path, LABELS + 1)
    assert (read_labels(path) == LABELS + 1).all()
    assert len(list((cache / "decoded").iterdir())) == 2


def test_nothing_half_done_stays_in_the_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_files, "IN_MEMORY", 1000)
    path = nrrd_of(tmp_path / "annotation")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError):
        read_labels(path)
    assert list((cache / "decoded").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="a folder that is a file, as POSIX tells it")
def test_a_cache_that_cannot_be_written(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_files, "IN_MEMORY", 1000)
    cache.write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="NEUROPACK_CACHE"):
        read_labels(nrrd_of(tmp_path / "annotation"))


@pytest.mark.parametrize("codes", ["PIR", "ASL", "LPS", "RAS", "RSP", "IPL", "SRA"])
def test_nifti_is_turned_as_its_header_says(codes: str, tmp_path: Path) -> None:
    # an image of the same brain whose axes run otherwise, and the affine that says so
    pairs = ("PA", "IS", "RL")
    axes = [next(axis for axis, pair in enumerate(pairs) if code in pair) for code in codes]
    turned = LABELS.transpose(axes)
    turned = turned[tuple(slice(None, None, 1 if code in "PIR" else -1) for code in codes)]
    affine = np.eye(4)
    affine[:3, :3] = [
        [{world: 0.2, back: -0.2}.get(code, 0) for code in codes] for world, back in ("RL", "AP", "SI")
    ]
    assert nibabel.aff2axcodes(affine) == tuple(codes)
    assert (read_labels(nifti_of(tmp_path / "annotation", turned, affine)) == LABELS).all()


def test_nifti_whose_header_contradicts_its_lengths(tmp_path: Path) -> None:
    assert (read_labels(nifti_of(tmp_path / "annotation", LABELS, np.eye(4) * 0.2)) == LABELS).all()


def test_the_orientation_of_nrrd_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), LABELS, {"space": "right-anterior-superior", "space directions": -np.eye(3)})
    assert (read_labels(path) == LABELS).all()


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    return path


def scaled(path: Path) -> Path:
    image = nibabel.Nifti1Image(LABELS, np.eye(4), dtype="u4")
    image.header.set_slope_inter(2, 0)
    path = path.with_suffix(".nii")
    nibabel.save(image, path)
    with path.open("r+b") as file:  # nibabel writes 1 and 0 for what it did not scale itself
        file.seek(112)
        file.write(np.float32(2).tobytes())
    return path


def text(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nrrd of float32": (lambda p: nrrd_of(p, LABELS.astype("f4")), "holds no labels"),
    "nrrd of float64": (lambda p: nrrd_of(p, LABELS.astype("f8"), "raw"), "holds no labels"),
    "nifti of float32": (lambda p: nifti_of(p, LABELS.astype("f4")), "holds no labels"),
    "tiff of float32": (lambda p: tiff_of(p, LABELS.astype("f4")), "holds no labels"),
    "nifti that scales": (scaled, "scales its values"),
    "a shape of no CCF": (lambda p: nrrd_of(p, LABELS[:-1]), "no volume of the CCF"),
    "a plane": (lambda p: nrrd_of(p, LABELS[0]), "no volume of the CCF"),
    "axes in another order": (
        lambda p: nrrd_of(p, np.zeros((114, 80, 132), "u1")),
        "its axes stand in another order",
    ),
    "tiff of the wrong shape": (lambda p: tiff_of(p, LABELS[:, 1:]), "no volume of the CCF"),
    "nifti of four dimensions": (lambda p: nifti_of(p, LABELS[..., None]), "no volume of the CCF"),
    "nrrd in text": (lambda p: nrrd_of(p, LABELS, "ascii"), "encoding: ascii"),
    "nrrd in bzip2": (lambda p: nrrd_of(p, LABELS, "bzip2"), "encoding: bzip2"),
    "nrrd with its data elsewhere": (
        lambda p: replaced(nrrd_of(p), b"encoding: gzip", b"data file: /etc/hosts\nencoding: gzip"),
        "data file|datafile",
    ),
    "nrrd, raw, cut": (
        lambda p: text(nrrd_of(p, encoding="raw"), nrrd_of(p, encoding="raw").read_bytes()[:-3]),
        "longer or shorter",
    ),
    "nrrd, gzip, cut": (lambda p: text(nrrd_of(p), nrrd_of(p).read_bytes()[:-300]), "cannot be decoded|truncated"),
    "nrrd, gzip of too little": (
        lambda p: replaced(nrrd_of(p, np.zeros((132, 80, 114), "u1")), b"type: uint8", b"type: uint16"),
        "truncated",
    ),
    "nrrd, gzip of too much": (
        lambda p: replaced(nrrd_of(p, np.zeros((132, 80, 114), "u2")), b"type: uint16", b"type: uint8"),
        "more than its header says",
    ),
    "nrrd, damaged": (
        lambda p: replaced(nrrd_of(p), nrrd_of(p).read_bytes()[-900:-880], b"\xff" * 20),
        "cannot be decoded",
    ),
    "nrrd without sizes": (lambda p: replaced(nrrd_of(p), b"sizes:", b"sises:"), "no volume|damaged NRRD"),
    "nrrd of half a header": (lambda p: text(p, b"NRRD0005\ntype"), "damaged NRRD"),
    "nrrd of blocks": (lambda p: replaced(nrrd_of(p), b"type: uint32", b"type: block"), "holds no labels"),
    "nifti, cut": (lambda p: text(nifti_of(p), nifti_of(p).read_bytes()[:-300]), "cannot be decoded"),
    "nifti of half a header": (lambda p: text(p.with_suffix(".nii"), b"\x5c\1\0\0" + b"\0" * 40), "no NIfTI"),
    "gzip of text": (lambda p: text(p.with_suffix(".nii.gz"), gzip.compress(b"text")), "no NIfTI"),
    "tiff, cut": (
        lambda p: text(tiff_of(p, compression="zlib"), tiff_of(p, compression="zlib").read_bytes()[:900]),
        "TIFF|decoded|no volume",
    ),
    "text": (lambda p: text(p, b"some text"), "no volume of the CCF that neuropack reads"),
    "nothing": (lambda p: text(p, b""), "an empty file"),
    "a folder": (lambda p: p.parent, "cannot be read"),
    "no file": (lambda p: p / "none", "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(name: str, tmp_path: Path) -> None:
    make, complaint = BAD[name]
    with pytest.raises(InputError, match=complaint):
        read_labels(make(tmp_path / "annotation"))


def test_a_real_tiff_in_the_shape_of_the_ccf(data_file: Callable[[str], Path]) -> None:
    found = read_labels(data_file("ccf/region.tiff"))  # a mask of a region, drawn with brainglobe-segmentation
    assert (found.shape, set(np.unique(found).tolist())) == ((132, 80, 114), {0, 1})
