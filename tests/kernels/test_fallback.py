"""Without the compiled core everything works and says once that it is slow; a broken core is an error."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MISSING = 'import sys; sys.modules["peephole._native"] = None\n'

BROKEN = """
import sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "peephole._native":
            raise ImportError("undefined symbol: main")

sys.meta_path.insert(0, Broken())
"""

OF_ANOTHER_VERSION = """
from peephole.kernels import core
core.ABI_VERSION = -1
"""

FORWARD = """
import warnings
import numpy as np
from peephole import kernels
from peephole.spec import variant
from peephole.weights import cell_shapes

def forward(backend=None):
    spec = variant("peephole")
    weights = {name: np.ones(shape) for name, shape in cell_shapes(spec, input_size=2, hidden_size=3).items()}
    return kernels.forward(spec, weights, np.ones((4, 1, 2)), backend=backend).y

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        y = forward()
        kernels.dense_forward(kernels.dense.Layer(W=np.ones((1, 2)), b=None, activation="tanh"), np.ones((1, 2)))
print(y.tobytes().hex())
print(*(f"{warning.category.__name__}: {warning.message}" for warning in caught), sep="\\n")
"""


def run(program: str, *, backend: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PEEPHOLE_BACKEND"}
    if backend is not None:
        environment["PEEPHOLE_BACKEND"] = backend
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_without_the_core_the_equations_serve_and_say_so_once() -> None:
    done = run(MISSING + FORWARD)
    assert done.returncode == 0, done.stderr
    y, warning = done.stdout.splitlines()
    assert warning.startswith("SlowBackendWarning: Peephole was installed without its compiled core")
    assert "install a wheel" in warning
    assert "C++17 compiler" in warning
    assert y == run(FORWARD, backend="reference").stdout.splitlines()[0]


@pytest.mark.parametrize("program", [MISSING + FORWARD, FORWARD], ids=["without the core", "with the core"])
def test_who_asks_for_the_reference_is_not_warned(program: str) -> None:
    done = run(program, backend="reference")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout + done.stderr


def test_nobody_is_warned_where_there_is_a_core() -> None:
    done = run(FORWARD)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout + done.stderr


def test_without_the_core_native_asked_for_is_an_error() -> None:
    by_name = run(MISSING + FORWARD + 'forward("native")')
    by_environment = run(MISSING + FORWARD, backend="native")
    for done in (by_name, by_environment):
        assert "BackendError: kernels: the compiled core peephole._native must be installed" in done.stderr
        assert "choose backend='reference'" in done.stderr


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (BROKEN, "is there and cannot be loaded (undefined symbol: main); install Peephole again"),
        (OF_ANOTHER_VERSION, "must be of version -1"),
    ],
    ids=["cannot be loaded", "another version"],
)
def test_a_broken_core_is_an_error_and_not_done_without(damage: str, message: str) -> None:
    done = run(damage + FORWARD)
    assert done.returncode == 1
    assert "BackendError" in done.stderr
    assert message in done.stderr
    reference = run(damage + FORWARD, backend="reference")
    assert reference.returncode == 0, reference.stderr


def test_a_warning_that_is_made_an_error_is_one() -> None:
    strict = "import warnings; warnings.simplefilter('error')\n"
    done = run(MISSING + strict + "from peephole import kernels; kernels.choose_backend()")
    assert done.stderr.rstrip().splitlines()[-1].startswith("peephole.errors.SlowBackendWarning: ")


def test_whether_there_is_a_core_can_be_asked_without_a_warning() -> None:
    done = run(MISSING + "from peephole import kernels; print(kernels.native_available())")
    assert (done.stdout, done.stderr) == ("False\n", "")


LAYERS = """
import torch
from peephole import nn
layer = nn.LSTM(3, 8, variant="peephole")
x = torch.randn(5, 2, 3)
output, _ = layer(x)
output.sum().backward()
nn.MLP(3, (4,))(x[0])
"""


def test_without_the_core_torch_operations_serve_the_layers() -> None:
    done = run(MISSING + LAYERS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("SlowBackendWarning") == 1
