"""What the failures of a server of objects or files mean to a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from neuropack.errors import InputError, NeuropackError, OutputError, UnreachableError, UsageError

# What to set where the credentials are missing, or are not the right ones.
CREDENTIALS = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
    "AWS_SKIP_SIGNATURE=true for anonymous access",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run 'gcloud auth application-default login'; "
    "GOOGLE_SKIP_SIGNATURE=true for anonymous access",
    "az": "set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or AZURE_USE_AZURE_CLI=true after 'az login'; "
    "AZURE_SKIP_SIGNATURE=true for anonymous access",
}
_ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}
NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_NO_CREDENTIALS = ("token request", "169.254.169.254", "metadata.google")  # the instance's own, asked last
_DENIED = {"AccessDenied", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


def is_web(url: str) -> bool:
    """Whether a URL is that of a web server, which has no buckets and no credentials."""
    return url.startswith(("http://", "https://"))


@contextmanager
def told(url: str, *, reading: bool = False) -> Iterator[None]:
    """Turn what the library says of a failure into one message of ours.

    Args:
        url: of the place.
        reading: it is the place of an input, of which nothing is written or deleted.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's own: a file that cannot be read
        if is_web(url):
            raise _of_web(url, error) from error
        raise _explained(url, error, reading=reading) from error


def code_of(error: Exception) -> str:
    """The server's word for an error, such as NoSuchBucket; empty where it said none."""
    match = re.search(r"<Code>(\w+)</Code>|\(code: (\w+)\)", str(error))
    return (match[1] or match[2]) if match else ""


def _explained(url: str, error: Exception, *, reading: bool) -> NeuropackError:
    failure = InputError if reading else OutputError
    scheme, _, key = url.partition("://")
    bucket = key.partition("/")[0]
    text = _without_source(error)
    code, said = code_of(error), _said(error)
    if code in NO_BUCKET:
        fix = f"make the bucket, or correct its name; for another server set {_ENDPOINT[scheme]}"
        return failure(
            "there is no such bucket",
            file=url,
            found=f"{code}: {bucket}",
            fix=fix.removeprefix("make the bucket, or ") if reading else fix,
        )
    if any(sign in text for sign in _NO_CREDENTIALS):
        return UsageError("there are no credentials for this place", file=url, fix=CREDENTIALS[scheme])
    if "Account must be specified" in text:
        return UsageError("no storage account is named", file=url, fix="set AZURE_STORAGE_ACCOUNT_NAME")
    if code in _OTHER_REGION or "without LOCATION" in text:
        return UsageError("the bucket is in another region", file=url, found=said, fix="set AWS_REGION")
    return _of_server(url, error, said, reading=reading)


def _of_server(url: str, error: Exception, said: str, *, reading: bool) -> NeuropackError:
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    scheme, text, code = url.partition("://")[0], _without_source(error), code_of(error)
    denied = isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or said[:3] in ("401", "403")
    if denied or code in _DENIED:
        rights = "to list the bucket, and to read, write and delete objects"
        return (UnreachableError if reading else OutputError)(
            "the server denies access",
            file=url,
            expected=f"permission {'to read objects' if reading else rights}",
            found=said or _first(text),
            fix="ask the owner of the bucket, or use other credentials: " + CREDENTIALS[scheme],
        )
    failure = UnreachableError if reading else OutputError
    if "HTTP error" in text:
        address = re.search(r"https?://[^/\s]+", text)
        return failure(
            "the server cannot be reached",
            file=url,
            found=f"no answer from {address[0]}" if address else _first(text),
            fix=f"check the network and {_ENDPOINT[scheme]}, then run the same command again",
        )
    found = f"{said}: {_first(text)}" if said else _first(text)
    return failure("the object store failed", file=url, found=found)


def _of_web(url: str, error: Exception) -> NeuropackError:
    """What a web server's failure means."""
    text, said = _without_source(error), _said(error)
    again = "see that the address is right and the server is up, then run the same command again"
    if said[:3] in ("401", "403"):
        return UnreachableError(
            "the server denies access",
            file=url,
            expected="files that everybody may read",
            found=said,
            fix="ask the owner; what is in a bucket is read with credentials from s3://, gs:// or az://",
        )
    if said[:1] == "3":
        return UnreachableError(
            "the server sends on to a place that is not read from",
            file=url,
            expected=f"the file, or another {url.partition(':')[0]}:// address",
            found=said,
            fix="give the address that it sends on to",
        )
    if said:
        return UnreachableError("the server fails", file=url, found=said, fix=again)
    kind = re.search(r"kind: (\w+)", str(error))
    reason = {
        "Connect": "no connection to it",
        "Timeout": "no answer in time",
        "Interrupted": "the connection broke off in the middle of the answer",
    }.get(kind[1] if kind else "", _first(text))
    broken = kind is not None and kind[1] == "Interrupted"
    return UnreachableError(
        "the server breaks off" if broken else "the server cannot be reached", file=url, found=reason, fix=again
    )


def _without_source(error: Exception) -> str:
    return str(error).partition("\n\nDebug source")[0]


def _said(error: Exception) -> str:
    """The server's word for an error, or its status."""
    status = re.search(r"status code: (\d{3}[^:]*)", _without_source(error))
    return code_of(error) or (status[1] if status else "")


def _first(text: str) -> str:
    """The server's sentence, or the library's."""
    message = re.search(r"<Message>([^<]*)</Message>", text)
    return message[1] if message else text.splitlines()[0]
