"""neuropack: from raw microscope files of sparsely labelled neurons to checked, shareable releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuropack.readers import open_volume as open_volume
    from neuropack.release import open_release as open_release

    __version__: str

__all__ = ["__version__", "open_release", "open_volume"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: the command line must answer --help without importing readers.
    if name == "open_volume":
        from neuropack.readers import open_volume

        return open_volume
    if name == "open_release":
        from neuropack.release import open_release

        return open_release
    if name == "__version__":
        from importlib.metadata import version

        return version("neuropack")
    raise AttributeError(f"module 'neuropack' has no attribute {name!r}")
