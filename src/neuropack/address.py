"""What a person types where an image is meant: a path, or the URL of an image elsewhere."""

from __future__ import annotations

import errno
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from neuropack.errors import UsageError

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.S)  # two letters at least: C:\ is a path
BUCKETS = ("s3", "gs", "az")
_WEB = ("http", "https")


class Address(_Path):
    """The URL of a folder elsewhere, in the place of a path: it goes wherever an image's path goes, as the URL.

    No file of this machine has it: nothing of it exists, and it cannot be opened. A `Path` made from its text would
    be another one (``https:/host``), so a URL becomes an address where it is typed, in `place`.

    Attributes:
        url: without a slash at its end, and without any secret.
    """

    def __init__(self, url: str) -> None:
        if sys.version_info >= (3, 12):
            super().__init__(url)
        self.url = url

    @property
    def name(self) -> str:
        """The last part."""
        return unquote(self.url.rpartition("/")[2])

    @property
    def parent(self) -> Self:
        """The folder above."""
        return type(self)(self.url.rpartition("/")[0])

    def __truediv__(self, key: Any) -> Self:
        return type(self)(f"{self.url}/{key}")

    def joinpath(self, *keys: Any) -> Self:
        """What lies below it."""
        return type(self)("/".join([self.url, *map(str, keys)]))

    def with_name(self, name: str) -> Self:
        """What lies beside it."""
        return self.parent / name

    def absolute(self) -> Self:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Itself."""
        return self

    def exists(self, **_: Any) -> bool:
        """False: it is not on this machine."""
        return False

    is_dir = is_file = is_symlink = exists

    def stat(self, **_: Any) -> NoReturn:
        """Fail as of a file that is not there."""
        raise FileNotFoundError(errno.ENOENT, "is not on this machine", self.url)

    def open(self, *_: Any, **__: Any) -> NoReturn:
        """Fail as of a file that is not there."""
        self.stat()

    def __str__(self) -> str:
        return self.url

    def __fspath__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    def __hash__(self) -> int:
        return hash(self.url)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and other.url == self.url

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url,)


def place(text: str | Path) -> Path:
    """What a person typed as the place of an image: a path, or an `Address`. A path stays what it is.

    Raises:
        UsageError: a URL that names no folder, of an unknown kind, or with a secret in it, which is not shown.
    """
    if isinstance(text, Path):
        return text
    match = SCHEME.match(text)
    if not match:
        return Path(text)
    scheme, rest = match[1].lower(), match[2]
    authority, slash, key = rest.partition("/")
    if "@" in authority:
        raise UsageError(
            "the URL holds a name or a password",
            file=f"{scheme}://{authority.rpartition('@')[2]}{slash}{key.partition('?')[0]}",
            fix="leave it out, for others see the line; s3://, gs:// and az:// take the variables of the cloud",
        )
    if scheme == "file":
        return _local(text)
    if scheme in BUCKETS:
        return Address(f"{scheme}://{rest.rstrip('/')}")
    if scheme not in _WEB:
        raise UsageError(
            "is no URL that an image is read from",
            file=f"{scheme}://{authority}",
            expected="https://, http://, s3://, gs://, az:// or file://",
            found=f"{scheme}://",
        )
    return _web(text, scheme)


def _web(text: str, scheme: str) -> Address:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise UsageError("the URL names no server", file=text.partition("?")[0], expected=f"{scheme}://HOST/PATH")
    shown = f"{scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
    if parts.query or parts.fragment:
        raise UsageError(
            "the URL has more than a path",
            file=shown,
            expected="the address of the folder of an OME-Zarr",
            found="a ? or # and what follows, which is not shown: it may be a secret",
            fix="leave it out; what is not public is read from s3://, gs:// or az://",
        )
    return Address(shown)


def _local(text: str) -> Path:
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise UsageError("names a file of another machine", file=text, fix="write file:///PATH, or the path alone")
    if parts.query or parts.fragment:
        raise UsageError("has more than a path", file=text, fix="write # as %23 and ? as %3F, or the path alone")
    return Path(url2pathname(parts.path))
