"""Object stores: what a URL names, how to reach the place, and what its failures mean to a person.

Amazon S3 and all that speaks its protocol (``s3://bucket/name``), Google Cloud Storage (``gs://``) and Azure Blob
Storage (``az://container/name``). Credentials come from where the tools of each cloud look for them: environment,
profile, instance. They are looked up in every process anew and never travel with a job. From a web server
(``https://``) one can only read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from neuropack.address import SCHEME
from neuropack.cloud_failures import CREDENTIALS, is_web, told
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Credential, S3Store

    Client = S3Store | GCSStore | AzureStore

# Of a server that is read from: how long it may say nothing, and how often it is asked again.
READING = {"connect_timeout": "10s", "read_timeout": "30s", "timeout": "10min"}
RETRIES = 2


@dataclass(frozen=True)
class Place:
    """What a URL names: a scheme, a bucket (a container, in Azure) and the key below it, empty for the bucket."""

    scheme: str
    bucket: str
    key: str


def destination(text: str) -> Path | str:
    """What a person typed as a destination: a path, or the URL of an object store.

    Raises:
        UsageError: a URL that no writer knows.
    """
    match = SCHEME.match(text)
    if not match:
        return Path(text)
    if match[1].lower() == "file":
        return Path(unquote(urlsplit(text).path))
    place = parse(text)
    if not place.key:
        expected = f"{place.scheme}://{place.bucket}/NAME, such as mouse-1.ome.zarr for the name"
        raise UsageError("names a bucket and no place in it", file=text, expected=expected)
    return f"{place.scheme}://{place.bucket}/{place.key}"


def parse(url: str) -> Place:
    """Take a URL apart. What follows the bucket is taken as it stands: an object may have any name.

    Raises:
        UsageError: it is not a URL of an object store.
    """
    match = SCHEME.match(url)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", "")
    if scheme in ("http", "https"):
        fix = "for a server that speaks S3 write s3://BUCKET/NAME and set AWS_ENDPOINT_URL=https://HOST"
        raise UsageError("is a web address, not a place in a bucket", file=url, fix=fix)
    if scheme not in CREDENTIALS:
        raise UsageError("is not the URL of an object store", file=url, expected="s3://, gs:// or az://")
    bucket, _, key = rest.partition("/")
    key = key.rstrip("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise UsageError("does not name a bucket", file=url, expected=f"{scheme}://BUCKET/NAME", found=bucket)
    if key and {"", ".", ".."} & set(key.split("/")):
        raise UsageError("has an empty name, or one of dots, between two slashes", file=url)
    return Place(scheme, bucket, key)


def settings(url: str) -> dict[str, str]:
    """How this machine reaches a place: endpoint, region, whether anonymously. No secrets; they may travel.

    They are those of the AWS tools: the environment first, then the profile of ``~/.aws/config``. Google's and
    Azure's are left to each process's environment.

    Raises:
        UsageError: a library is missing, or the profile does not exist.
    """
    if is_web(url) or parse(url).scheme != "s3":
        require("obstore")
        return {}
    session = _session()
    found = {
        "endpoint": _endpoint(session),
        "region": os.environ.get("AWS_REGION") or session.get_config_variable("region"),
        "skip_signature": os.environ.get("AWS_SKIP_SIGNATURE"),
    }
    return {key: value for key, value in found.items() if value}


def connect(url: str, options: Mapping[str, str], *, patient: bool = True) -> Client:
    """A client whose root is the place.

    Args:
        url: of the place.
        options: settings of the library's store, which win over the environment.
        patient: False for a first contact, which tells within seconds that nobody is there; else a server that
            is away or overwhelmed is asked again for three minutes.

    Raises:
        UsageError: a library is missing, or there are no credentials.
        OutputError: the settings contradict each other.
    """
    http = {"connect_timeout": "10s", "timeout": "5min"} if patient else {"connect_timeout": "5s", "timeout": "15s"}
    tries, minutes = (30, 3.0) if patient else (3, 0.2)
    retries = {"max_retries": tries, "retry_timeout": timedelta(minutes=minutes)}
    return _connect(url, options, http, retries)


def connect_to_read(url: str, options: Mapping[str, str]) -> Client | HTTPStore:
    """A client whose root is the place, to read from it; of a web server too.

    A server that says nothing for half a minute, or cannot be reached, is asked three times.

    Args:
        url: of the place.
        options: settings of the library's store, which win over the environment.

    Raises:
        UsageError: a library is missing, or there are no credentials.
    """
    require("obstore")
    http = dict(READING)
    retries = {"max_retries": RETRIES, "retry_timeout": timedelta(minutes=2)}
    if is_web(url):
        from obstore.store import HTTPStore

        with told(url, reading=True):
            config: Any = {**http, "allow_http": url.startswith("http://")}
            return HTTPStore(url, client_options=config, retry_config=cast(Any, retries))
    return _connect(url, options, http, retries, reading=True)


def _connect(
    url: str, options: Mapping[str, str], http: dict[str, Any], retries: dict[str, Any], *, reading: bool = False
) -> Client:
    require("obstore")
    from obstore.store import AzureStore, GCSStore, S3Store

    place, config = parse(url), dict(options)
    common: dict[str, Any] = {
        "prefix": place.key or None,
        "config": config,
        "client_options": http,
        "retry_config": retries,
    }
    with told(url, reading=reading):
        if place.scheme == "gs":
            return GCSStore(place.bucket, **common)
        if place.scheme == "az":
            return AzureStore(place.bucket, **common)
        common["client_options"] = {**http, "allow_http": config.get("endpoint", "").startswith("http://")}
        if config.get("skip_signature", "").lower() not in ("true", "1", "yes"):
            common["credential_provider"] = _Credentials(url)
        return S3Store(place.bucket, **common)


def require(library: str) -> None:
    """See that an optional library is there.

    Raises:
        UsageError: it is not; names the extra.
    """
    from importlib import import_module

    try:
        import_module(library)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"images and destinations that are URLs need the library {error.name}",
            fix="pip install 'neuropack[cloud]'",
        ) from error


def _session() -> Any:
    """What botocore makes of environment and profile."""
    require("botocore")
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    try:
        session.get_scoped_config()  # looks the profile up
    except BotoCoreError as error:
        raise UsageError(
            "the settings of the AWS tools cannot be used",
            found=str(error),
            fix="correct AWS_PROFILE, or the files where profiles are kept (~/.aws)",
        ) from error
    return session


def _endpoint(session: Any) -> str | None:
    """The server, where it is not Amazon's: said by the environment, or by the profile."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        if url := os.environ.get(name):
            return url
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    found: str | None = services.get("s3", {}).get("endpoint_url") or profile.get("endpoint_url")
    return found


class _Credentials:
    """The AWS tools' own chain: environment, profile (keys, roles, SSO, a process), container, instance."""

    def __init__(self, url: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = _session().get_credentials()
            if found is None:
                raise UsageError("there are no credentials for this place", file=url, fix=CREDENTIALS["s3"])
            found.get_frozen_credentials()  # an expired login is told here, not in the middle of the work
        except (BotoCoreError, ClientError) as error:
            raise UsageError(
                "the credentials for this place cannot be used",
                file=url,
                found=str(error),
                fix="log in again, or " + CREDENTIALS["s3"],
            ) from error
        self._found = found

    def __call__(self) -> S3Credential:
        keys = self._found.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            # botocore renews what has less than 15 minutes left; asked this often, it is never too late
            "expires_at": datetime.now(UTC) + timedelta(minutes=10),
        }
