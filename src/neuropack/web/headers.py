"""Headers that keep a browser from what a page of this server never does."""

from __future__ import annotations

_SAME = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "worker-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
# Neuroglancer's client compiles WebAssembly, works in blobs, and sets styles from its code.
_VIEWER = _SAME | {
    "script-src": "'self' 'wasm-unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "connect-src": "'self' blob: data:",
    "worker-src": "'self' blob:",
}
VIEWER = "/neuroglancer/"


def _policy(directives: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in directives.items())


_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer the origin of forms would be "null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_PAGES = {**_ALWAYS, "content-security-policy": _policy(_SAME)}
_VIEW = {**_ALWAYS, "content-security-policy": _policy(_VIEWER)}


def security_headers(path: str) -> dict[str, str]:
    """The headers of an answer, by the path that was asked for; an answer may have stricter ones of its own."""
    return _VIEW if path.startswith(VIEWER) else _PAGES
