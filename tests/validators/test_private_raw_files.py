"""What microscopes note of people and machines in a raw file is not carried into a release, or is found there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import registered_release

from neuropack.build import build
from neuropack.issue import Issue
from neuropack.rules import check
from neuropack.volume import Channel, from_array
from neuropack.writers.czi import write_czi

USER, FOLDER = "jdoe4711", r"C:\Users\jdoe4711"
_ATLAS = registered_release.STUDY.index("atlas: {")
_REST = registered_release.STUDY.index("defaults:")
_STACK = registered_release.STUDY.index("            skeletons:")
STUDY = registered_release.STUDY[:_ATLAS] + registered_release.STUDY[_REST:_STACK]
WITHOUT_MODEL = STUDY.replace("    model: One\n", "")
ENCODINGS = ("utf-8", "utf-16-le")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    (folder / "raw").mkdir(parents=True)
    return folder


def patched(file: Path, old: bytes, new: bytes) -> None:
    """The same file with other bytes of the same length in place of all that are `old`."""
    assert len(old) == len(new)
    data = file.read_bytes()
    assert old in data, "what is to be replaced is not in the file"
    file.chmod(0o600)
    file.write_bytes(data.replace(old, new))


def czi(file: Path, planted: str) -> None:
    """A CZI of one channel, with this XML in the place of the end of its document's title."""
    pixels = np.random.default_rng(5).integers(0, 900, (1, 4, 32, 32)).astype(np.uint16)
    title = "T" * 200
    volume = from_array(pixels, "CZYX", voxel_size_um=(2.0, 0.5, 0.5), channels=(Channel(name="yellow"),))
    write_czi(file, volume, title=title, compression=None)
    patched(file, title.encode() + b"</Title>", f"t</Title>{planted}".encode().ljust(208))
    assert USER.encode() in file.read_bytes()


def released(folder: Path, raw: str, study: str = STUDY) -> tuple[Path, list[Issue]]:
    """The release of one stack, and what the rules of privacy find in it."""
    (folder / "study.yaml").write_text(study.replace("raw/a.ome.tif", raw), encoding="utf-8")
    build(folder, folder.parent / "release")
    issues = check(folder.parent / "release").issues
    assert {i.rule.split(".")[0] for i in issues} <= {"privacy"}, issues
    return folder.parent / "release", issues


def tells(root: Path) -> list[str]:
    """The files of a release that hold the planted names, but the manifest."""
    wanted = [text.encode(e) for text in (USER, FOLDER[:8], "C:\\\\Users") for e in ENCODINGS]
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return [p.relative_to(root).as_posix() for p in files if any(w in p.read_bytes() for w in wanted)]


def test_user_and_folder_of_a_czi_are_not_carried_along(study: Path) -> None:
    czi(study / "raw/a.czi", f"<UserName>{USER}</UserName><Path>{FOLDER}\\brain.czi</Path>")
    root, issues = released(study, "raw/a.czi")
    assert (tells(root), issues) == ([], [])


def test_a_folder_that_a_czi_has_for_the_name_of_its_microscope_is_found(study: Path) -> None:
    scope = f'<Instrument><Microscopes><Microscope Name="{FOLDER}\\scope"/></Microscopes></Instrument>'
    czi(study / "raw/a.czi", f"</Document>{scope}<Document>")
    root, issues = released(study, "raw/a.czi", WITHOUT_MODEL)
    found_everywhere(root, issues, FOLDER)


def test_folder_of_an_nd2_is_found_and_its_user_is_not_carried_along(
    study: Path, data_file: Callable[[str], Path]
) -> None:
    file = study / "raw/a.nd2"
    shutil.copyfile(data_file("nd2/example-zstack.nd2"), file)
    patched(file, "Ti2 Microscope".encode("utf-16-le"), f"{FOLDER[:13]}\\".encode("utf-16-le"))
    patched(file, "Fusion, SN:500651".encode("utf-16-le"), f"User: {USER}, ".ljust(17).encode("utf-16-le"))
    root, issues = released(study, "raw/a.nd2", WITHOUT_MODEL)
    found_everywhere(root, issues, FOLDER[:13])
    assert not any(USER.encode(e) in p.read_bytes() for p in root.rglob("*") if p.is_file() for e in ENCODINGS)


def found_everywhere(root: Path, issues: list[Issue], word: str) -> None:
    """Every file that holds the folder is told, but the catalogue: it repeats the metadata, as a rule sees to."""
    assert {i.rule for i in issues} == {"privacy.local-paths"}
    assert all(word in i.found.replace("\\\\", "\\") for i in issues)
    texts = {name for name in tells(root) if not name.startswith("metadata/catalogue/")}
    assert {i.where.file for i in issues} == texts != set()
