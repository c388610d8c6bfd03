"""Object stores: what a URL names, how to reach the place, and what its failures mean to a person.

Amazon S3 and all that speaks its protocol (``s3://bucket/name``), Google Cloud Storage (``gs://``) and Azure Blob
Storage (``az://container/name``). Credentials come from where the tools of each cloud look for them: environment,
profile, instance. They are looked up in every process anew and never travel with a job.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urlsplit

from neuropack.errors import OutputError, UsageError

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Credential, S3Store

    Client = S3Store | GCSStore | AzureStore

# What to set where the credentials are missing, or are not the right ones.
_CREDENTIALS = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
    "AWS_SKIP_SIGNATURE=true for anonymous access",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run 'gcloud auth application-default login'; "
    "GOOGLE_SKIP_SIGNATURE=true for anonymous access",
    "az": "set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or AZURE_USE_AZURE_CLI=true after 'az login'; "
    "AZURE_SKIP_SIGNATURE=true for anonymous access",
}
_ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.S)  # two letters at least: C:\ is a path
NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_NO_CREDENTIALS = ("token request", "169.254.169.254", "metadata.google")  # the instance's own, asked last
_DENIED = {"AccessDenied", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


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
    match = _SCHEME.match(text)
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
    match = _SCHEME.match(url)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", "")
    if scheme in ("http", "https"):
        fix = "for a server that speaks S3 write s3://BUCKET/NAME and set AWS_ENDPOINT_URL=https://HOST"
        raise UsageError("is a web address, not a place in a bucket", file=url, fix=fix)
    if scheme not in _CREDENTIALS:
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
    if parse(url).scheme != "s3":
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
    require("obstore")
    from obstore.store import AzureStore, GCSStore, S3Store

    place, config = parse(url), dict(options)
    http = {"connect_timeout": "10s", "timeout": "5min"} if patient else {"connect_timeout": "5s", "timeout": "15s"}
    tries, minutes = (30, 3.0) if patient else (3, 0.2)
    common: dict[str, Any] = {
        "prefix": place.key or None,
        "config": config,
        "client_options": http,
        "retry_config": {"max_retries": tries, "retry_timeout": timedelta(minutes=minutes)},
    }
    with told(url):
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
            f"destinations that are URLs need the library {error.name}",
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
                raise UsageError("there are no credentials for this place", file=url, fix=_CREDENTIALS["s3"])
            found.get_frozen_credentials()  # an expired login is told here, not in the middle of the work
        except (BotoCoreError, ClientError) as error:
            raise UsageError(
                "the credentials for this place cannot be used",
                file=url,
                found=str(error),
                fix="log in again, or " + _CREDENTIALS["s3"],
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


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn what the library says of a failure into one message of ours."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's own: a file that cannot be read
        _explain(url, error)


def code_of(error: Exception) -> str:
    """The server's word for an error, such as NoSuchBucket; empty where it said none."""
    match = re.search(r"<Code>(\w+)</Code>|\(code: (\w+)\)", str(error))
    return (match[1] or match[2]) if match else ""


def _explain(url: str, error: Exception) -> NoReturn:
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    scheme, bucket = parse(url).scheme, parse(url).bucket
    text = str(error).partition("\n\nDebug source")[0]
    code = code_of(error)
    status = re.search(r"status code: (\d{3}[^:]*)", text)
    said = code or (status[1] if status else "")
    if code in NO_BUCKET:
        raise OutputError(
            "there is no such bucket",
            file=url,
            found=f"{code}: {bucket}",
            fix=f"make the bucket, or correct its name; for another server set {_ENDPOINT[scheme]}",
        ) from error
    if any(sign in text for sign in _NO_CREDENTIALS):
        raise UsageError("there are no credentials for this place", file=url, fix=_CREDENTIALS[scheme]) from error
    if "Account must be specified" in text:
        raise UsageError("no storage account is named", file=url, fix="set AZURE_STORAGE_ACCOUNT_NAME") from error
    if code in _OTHER_REGION or "without LOCATION" in text:
        raise UsageError("the bucket is in another region", file=url, found=said, fix="set AWS_REGION") from error
    denied = isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or said[:3] in ("401", "403")
    if denied or code in _DENIED:
        raise OutputError(
            "the server denies access",
            file=url,
            expected="permission to list the bucket, and to read, write and delete objects",
            found=said or _first(text),
            fix="ask the owner of the bucket, or use other credentials: " + _CREDENTIALS[scheme],
        ) from error
    if "HTTP error" in text:
        address = re.search(r"https?://[^/\s]+", text)
        raise OutputError(
            "the server cannot be reached",
            file=url,
            found=f"no answer from {address[0]}" if address else _first(text),
            fix=f"check the network and {_ENDPOINT[scheme]}, then run the same command again",
        ) from error
    found = f"{said}: {_first(text)}" if said else _first(text)
    raise OutputError("the object store failed", file=url, found=found) from error


def _first(text: str) -> str:
    """The server's sentence, or the library's."""
    message = re.search(r"<Message>([^<]*)</Message>", text)
    return message[1] if message else text.splitlines()[0]
