"""The version of Peephole that is installed."""

from importlib import metadata


def _installed() -> str:
    try:
        return metadata.version("peephole")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


VERSION = _installed()
