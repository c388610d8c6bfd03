"""The catalogue of a release at a URL: fetched once, checked, and everything else one message."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import small
from test_files import own

from neuropack.catalogue import Catalogue, Query
from neuropack.catalogue.files import FILES
from neuropack.catalogue.remote import tables_at
from neuropack.errors import InputError, NeuropackError
from neuropack.release import files_below

if TYPE_CHECKING:
    from s3server import S3Server

pytest_plugins = ["s3server"]
pytest.importorskip("obstore")


class Server:
    """A web server over a folder, and what it was asked for."""

    def __init__(self, root: Path) -> None:
        asked: list[str] = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                asked.append(self.path)
                super().do_GET()

        self.asked = asked
        handler = functools.partial(Handler, directory=str(root))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return own(small.write(tmp_path / "www" / "release"))


@pytest.fixture
def server(release: Path) -> Iterator[Server]:
    found = Server(release.parent)
    yield found
    found.close()


def test_each_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/release/"
    first = tables_at(url, tmp_path / "cache")
    assert len(server.asked) == 1 + len(FILES)
    assert len(first["neurons"]) == 4
    server.asked.clear()
    assert tables_at(url, tmp_path / "cache")["neurons"].equals(first["neurons"])
    assert server.asked == ["/release/manifest.tsv"]
    assert not list((tmp_path / "cache").rglob(".new-*"))


def test_releases_here_and_there_are_searched_together(server: Server, release: Path, tmp_path: Path) -> None:
    from neuropack.release import open_release

    both = Catalogue({"there": f"{server.url}/release", "here": open_release(release)}, cache=tmp_path / "cache")
    assert both.search("neurons", Query(region="TH")).total == 2
    assert both.facets("neurons", Query(), ["release"])["release"] == [("here", 4), ("there", 4)]
    both.close()


def test_what_is_not_what_the_manifest_lists_is_refused(server: Server, release: Path, tmp_path: Path) -> None:
    file = release / FILES["neurons"]
    data = file.read_bytes()
    for wrong in (data[:-1], data[:-1] + b"x", data + b"x"):
        file.write_bytes(wrong)
        with pytest.raises(InputError, match="neurons"):
            tables_at(f"{server.url}/release", tmp_path / "cache")
        assert not list((tmp_path / "cache").rglob(".new-*"))


def test_a_release_without_a_catalogue_is_one_message(server: Server, release: Path, tmp_path: Path) -> None:
    (release / FILES["files"]).unlink()
    small.listed(release)
    with pytest.raises(InputError, match="no catalogue"):
        tables_at(f"{server.url}/release", tmp_path / "cache")


def test_a_catalogue_of_another_state_is_one_message(server: Server, release: Path, tmp_path: Path) -> None:
    small.put(release, "CHANGES", "1.0.0\n")
    small.listed(release)
    with pytest.raises(InputError, match="another state"):
        tables_at(f"{server.url}/release", tmp_path / "cache")


@pytest.mark.parametrize("url", ["{}/nowhere", "ftp://127.0.0.1/x", "http://127.0.0.1:9/release"])
def test_where_nothing_is_there_is_one_message(server: Server, tmp_path: Path, url: str) -> None:
    with pytest.raises(NeuropackError) as caught:
        tables_at(url.format(server.url), tmp_path / "cache")
    assert "Traceback" not in str(caught.value)


def test_a_bucket_is_read_too(s3: S3Server, release: Path, tmp_path: Path) -> None:
    import obstore

    from neuropack.writers import cloud

    url = f"s3://{s3.bucket()}/release"
    store = cloud.connect(url, cloud.settings(url))
    for name in files_below(release):
        obstore.put(store, name, (release / name).read_bytes())
    assert len(tables_at(url, tmp_path / "cache")["neurons"]) == 4
    obstore.delete(store, FILES["stacks"])
    with pytest.raises(InputError, match="stacks"):
        tables_at(url, tmp_path / "another")
