"""The command line as a whole: help, version, what it imports, how it fails."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from peephole.cli import gradcheck
from peephole.spec import VARIANTS
from tests.cli.command import peephole

COMMANDS = (
    ("fit",),
    ("fit", "forecast"),
    ("predict",),
    ("evaluate",),
    ("export",),
    ("gradcheck",),
    ("variants",),
    ("bench",),
    ("demo",),
)
HEAVY = ("torch", "numpy", "pandas", "polars", "matplotlib")


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    done = peephole(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert " ".join(("Usage: peephole", *command)) in done.out
    assert "xample" in done.out or command in ((), ("fit",))


def test_without_a_command_the_help_is_shown() -> None:
    assert peephole().out.strip() == peephole("--help").out.strip()
    assert peephole("fit").out.strip() == peephole("fit", "--help").out.strip()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom peephole.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_version_is_one_line() -> None:
    done = peephole("--version")
    assert done.code == 0
    assert done.out.startswith("peephole ")
    assert len(done.out.splitlines()) == 1


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_typer_or_rich_one_line_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom peephole.cli import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: the command line needs {missing}, which is not installed; pip install peephole[train]\n"
    )


def test_variants_are_all_listed() -> None:
    done = peephole("variants")
    assert done.code == 0
    for name, entry in VARIANTS.items():
        assert name in done.out
        assert entry.source in done.out
    found = json.loads(peephole("variants", "--json").out)["variants"]
    assert [entry["name"] for entry in found] == list(VARIANTS)


@pytest.mark.parametrize("backend", ["equations", "native"])
def test_gradcheck_passes(backend: str) -> None:
    done = peephole("gradcheck", "--variant", "rnn", "--variant", "elman", "--backend", backend)
    assert done.code == 0, done.out
    assert "All 2 variants are within 1e-07." in done.out


def test_gradcheck_fails_with_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradcheck, "LIMIT", 0.0)
    done = peephole("gradcheck", "--variant", "rnn")
    assert done.code == 1
    assert "1 of 1 variants are above" in done.out
    found = json.loads(peephole("gradcheck", "--variant", "rnn", "--json").out)
    assert found["passed"] is False
    assert {entry["variant"] for entry in found["gradients"]} == {"rnn"}


def test_an_error_that_nobody_expected_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_rows: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("peephole.cli.console.print_json", broken)
    with pytest.raises(ZeroDivisionError):
        peephole("variants", "--json")
