"""Real series in the public domain that ship with the package; ``samples/PROVENANCE.md`` says where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from peephole.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Sample:
    """A series that ships with the package.

    Attributes:
        file: name of the file beside this module.
        time_col: its column of times.
        target_col: its column of values.
        season_length: steps of a season.
        unit: unit of the values.
        title: what it is, for a picture.
        source: who measured it.
        licence: its terms.
    """

    file: str
    time_col: str
    target_col: str
    season_length: int
    unit: str
    title: str
    source: str
    licence: str


SAMPLES: Mapping[str, Sample] = MappingProxyType(
    {
        "elnino": Sample(
            file="elnino.csv",
            time_col="month",
            target_col="temperature",
            season_length=12,
            unit="°C",
            title="Sea surface off Peru and Ecuador (Niño 1+2), monthly 1950-2010",
            source="NOAA, ERSST.V3B, region Niño 1+2 (0-10° S, 90-80° W)",
            licence="public domain",
        ),
        "sunspots": Sample(
            file="sunspots.csv",
            time_col="year",
            target_col="sunspots",
            season_length=11,
            unit="sunspot number",
            title="Sunspots, yearly 1700-2008",
            source="NOAA, National Geophysical Data Center",
            licence="public domain",
        ),
    }
)
"""The samples by name."""


def sample_path(name: str) -> Path:
    """Path of a sample's CSV file.

    Raises:
        ArgumentError: for a name that is not there.
    """
    if name not in SAMPLES:
        raise ArgumentError(f"sample: unknown sample {name!r}; choose one of {', '.join(SAMPLES)}")
    return Path(str(files("peephole.data").joinpath("samples", SAMPLES[name].file)))
