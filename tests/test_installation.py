"""Installing where the core cannot be built: it succeeds, says so, and what is installed works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from peephole.runtime import ForecastModel, load
from tests.runtime.models import forecast_task, recurrent, saved
from tests.tolerances import TOLERANCES

ROOT = Path(__file__).parents[1]
VALUES = [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]
SOURCES = ("CMakeLists.txt", "LICENSE", "README.md", "native", "pyproject.toml", "src")

PREDICT = """
import sys
from peephole import runtime
values = [float(value) for value in sys.argv[2:]]
model = runtime.load(sys.argv[1])
stream = model.stream(series="a")
for value in values:
    streamed = stream.step(value)
print(runtime.__file__)
print(*model.predict(values, series="a"))
print(*streamed)
"""


@pytest.fixture
def without_compiler() -> dict[str, str]:
    """The environment of a machine whose compiler fails; CMake is there."""
    failing = shutil.which("false")
    if failing is None:
        pytest.skip("needs the program false, as a compiler that fails")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PEEPHOLE_", "SKBUILD_"))}
    tools = os.pathsep.join((str(Path(sys.executable).parent), ours.get("PATH", os.defpath)))
    return ours | {"CC": failing, "CXX": failing, "PATH": tools}


def install(folder: Path, environment: dict[str, str]) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Install a copy of the sources, since a build folder of the checkout remembers its compiler."""
    copy, target = folder / "sources", folder / "installed"
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(source, copy / name)
    options = [
        "--verbose",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "--no-cache-dir",
        "--target",
        str(target),
    ]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options, str(copy)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment), target


def test_without_a_compiler_it_is_installed_and_works(tmp_path: Path, without_compiler: dict[str, str]) -> None:
    done, target = install(tmp_path, without_compiler)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Peephole was installed WITHOUT its compiled core" in said
    assert "py3-none-any.whl" in said
    assert [path.name for path in (target / "peephole").glob("_native*")] == ["_native.pyi"]

    model = saved(tmp_path / "model", recurrent("peephole", input_size=1), task=forecast_task())
    command = [sys.executable, "-c", PREDICT, str(model), *map(str, VALUES)]
    alone = without_compiler | {"PYTHONPATH": str(target)}
    used = subprocess.run(command, capture_output=True, text=True, check=False, env=alone, cwd=tmp_path)
    assert used.returncode == 0, used.stderr
    where, predicted, streamed = used.stdout.splitlines()
    assert where.startswith(str(target))
    with_core = load(model)
    assert isinstance(with_core, ForecastModel)
    expected = with_core.predict(VALUES, series="a")
    for got in (predicted, streamed):
        np.testing.assert_allclose(np.array(got.split(), float), expected, rtol=0, atol=TOLERANCES["runtime_float64"])
    assert used.stderr.count("SlowBackendWarning: Peephole was installed without its compiled core") == 1


def test_who_requires_the_core_is_told_that_it_cannot_be_built(
    tmp_path: Path, without_compiler: dict[str, str]
) -> None:
    done, target = install(tmp_path, without_compiler | {"PEEPHOLE_REQUIRE_CORE": "1"})
    assert done.returncode != 0
    assert "CMake configuration failed" in done.stdout + done.stderr
    assert not target.exists()
