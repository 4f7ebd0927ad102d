"""What the reference shows runs as it stands there, and every public name shows something."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import pytest

PACKAGES = ("peephole.nn", "peephole.runtime", "peephole.spec")
"""Those whose ``__all__`` says what is public."""

MODULES = (
    "peephole.decoding",
    "peephole.conversion.keras_rules",
    "peephole.conversion.keras_weights",
    "peephole.conversion.onnx_export",
    "peephole.conversion.onnx_import",
    "peephole.conversion.onnx_operator",
)
"""Those of which every class and function without an underscore is public."""

WITHOUT_EXAMPLE: Mapping[str, str] = MappingProxyType(
    {
        "peephole.nn.INITIALISATIONS": "a table; Initialisation shows an entry",
        "peephole.spec.ACTIVATIONS": "a tuple of names",
        "peephole.spec.KINDS": "a tuple of names; body_spec shows some",
        "peephole.spec.READOUTS": "a tuple of names",
        "peephole.spec.VARIANTS": "a table; Variant shows an entry",
        "peephole.spec.Activation": "a type alias",
        "peephole.spec.Readout": "a type alias",
        "peephole.decoding.Decoded": "what the two searches return, which show it",
        "peephole.decoding.search_tokens": "greedy_search or beam_search, as Search says; all three show themselves",
        "peephole.conversion.keras_rules.check_config": "a step of from_keras, which shows it",
        "peephole.conversion.keras_rules.for_inference": "a step of from_keras(inference_only=True)",
    }
)
"""Public names that show nothing themselves, and why."""


def public() -> Iterator[tuple[str, object]]:
    """Every public name with what it names."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        yield from ((f"{package}.{name}", getattr(module, name)) for name in cast("list[str]", module.__all__))
    for package in MODULES:
        for name, thing in vars(importlib.import_module(package)).items():
            own = inspect.isclass(thing) or inspect.isfunction(thing)
            if own and not name.startswith("_") and thing.__module__ == package:
                yield f"{package}.{name}", thing


def examples(thing: object, name: str) -> list[doctest.DocTest]:
    """What a name and its methods show, each to be run from nothing."""
    found = doctest.DocTestFinder(exclude_empty=True).find(thing, name, globs={})
    return [test for test in found if test.examples]


NAMES = dict(public())
SHOWN = {test.name: test for name, thing in NAMES.items() for test in examples(thing, name)}


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_gives_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    outcome = doctest.DocTestRunner(verbose=False).run(SHOWN[name], out=told.append)
    assert not outcome.failed, "".join(told)


def test_every_public_name_shows_an_example() -> None:
    assert sorted(NAMES.keys() - SHOWN.keys()) == sorted(WITHOUT_EXAMPLE)


def arguments(thing: object) -> list[str]:
    """What a class or a function is made or called with; of an exception nothing, for that is Python's."""
    if inspect.isfunction(thing) or (inspect.isclass(thing) and not issubclass(thing, BaseException)):
        return list(inspect.signature(thing).parameters)
    return []


def test_every_argument_and_attribute_is_described() -> None:
    missing: list[str] = []
    for name, thing in NAMES.items():
        taken = arguments(thing)
        if inspect.isfunction(thing) and len(taken) == 1:
            continue  # the one thing it is about: its first sentence says it
        text = inspect.getdoc(thing) or ""
        missing += [f"{name}: {one}" for one in taken if not re.search(rf"^    {one}: ", text, re.MULTILINE)]
    assert not missing
