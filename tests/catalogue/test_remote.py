"""The catalogue of a release at a URL: fetched once, checked, and everything else one message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import small
from test_files import own

from neuropack.address import Address, place
from neuropack.catalogue import Catalogue, Query
from neuropack.catalogue.files import FILES
from neuropack.catalogue.remote import tables_at
from neuropack.errors import InputError, NeuropackError
from neuropack.manifest import files_below

if TYPE_CHECKING:
    import pyarrow as pa

    from s3server import S3Server
    from webserver import WebServer

pytest_plugins = ["s3server", "webserver"]
pytest.importorskip("obstore")
pytestmark = pytest.mark.usefixtures("release")


@pytest.fixture
def release(web: WebServer) -> Path:
    return own(small.write(web.root / "release"))


def tables(url: str, cache: Path) -> dict[str, pa.Table]:
    """The tables at an address that somebody typed."""
    found = place(url)
    assert isinstance(found, Address)
    return tables_at(found, cache)


def test_each_file_is_fetched_once(web: WebServer, tmp_path: Path) -> None:
    url = f"{web.url}/release/"
    first = tables(url, tmp_path / "cache")
    assert len(web.asked) == 1 + len(FILES)
    assert len(first["neurons"]) == 4
    web.forget()
    assert tables(url, tmp_path / "cache")["neurons"].equals(first["neurons"])
    assert [one.path for one in web.asked] == ["/release/manifest.tsv"]
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_releases_here_and_there_are_searched_together(web: WebServer, release: Path, tmp_path: Path) -> None:
    from neuropack.release import open_release

    both = Catalogue({"there": f"{web.url}/release", "here": open_release(release)}, cache=tmp_path / "cache")
    assert both.search("neurons", Query(region="TH")).total == 2
    assert both.facets("neurons", Query(), ["release"])["release"] == [("here", 4), ("there", 4)]
    both.close()


def test_what_is_not_what_the_manifest_lists_is_refused(web: WebServer, release: Path, tmp_path: Path) -> None:
    file = release / FILES["neurons"]
    data = file.read_bytes()
    for wrong in (data[:-1], data[:-1] + b"x", data + b"x"):
        file.write_bytes(wrong)
        with pytest.raises(InputError, match="neurons"):
            tables(f"{web.url}/release", tmp_path / "cache")
        assert not list((tmp_path / "cache").rglob("neurons.parquet*"))


def test_a_release_without_a_catalogue_is_one_message(web: WebServer, release: Path, tmp_path: Path) -> None:
    (release / FILES["files"]).unlink()
    small.listed(release)
    with pytest.raises(InputError, match="no catalogue"):
        tables(f"{web.url}/release", tmp_path / "cache")


def test_a_catalogue_of_another_state_is_one_message(web: WebServer, release: Path, tmp_path: Path) -> None:
    small.put(release, "CHANGES", "1.0.0\n")
    small.listed(release)
    with pytest.raises(InputError, match="another state"):
        tables(f"{web.url}/release", tmp_path / "cache")


@pytest.mark.parametrize("url", ["{}/nowhere", "ftp://127.0.0.1/x", "http://127.0.0.1:9/release"])
def test_where_nothing_is_there_is_one_message(web: WebServer, tmp_path: Path, url: str) -> None:
    with pytest.raises(NeuropackError) as caught:
        tables(url.format(web.url), tmp_path / "cache")
    assert "Traceback" not in str(caught.value)


def test_a_bucket_is_read_too(s3: S3Server, release: Path, tmp_path: Path) -> None:
    import obstore

    from neuropack import cloud

    url = f"s3://{s3.bucket()}/release"
    store = cloud.connect(url, cloud.settings(url))
    for name in files_below(release):
        obstore.put(store, name, (release / name).read_bytes())
    assert len(tables(url, tmp_path / "cache")["neurons"]) == 4
    obstore.delete(store, FILES["stacks"])
    with pytest.raises(InputError, match="stacks"):
        tables(url, tmp_path / "another")
