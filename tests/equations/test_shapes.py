"""The shape annotations hold: every pass is run with them checked, in a process of its own, for checking is slow."""

from __future__ import annotations

import subprocess
import sys

_HOOK = """
from jaxtyping import install_import_hook
install_import_hook(["peephole.equations"], "beartype.beartype")
import numpy as np
from peephole import equations, kernels
from peephole.equations import losses
from peephole.equations.attention import Attention, attention_backward, attention_forward, attention_keys
from peephole.equations.gradcheck import random_problem
from tests.cells import CELLS, EVERYTHING_AT_ONCE, PROJECTED
"""

_ALL_PASSES = (
    _HOOK
    + """
for passes in (equations, kernels):
    for spec in [*CELLS.values(), *PROJECTED.values(), EVERYTHING_AT_ONCE]:
        p = random_problem(spec)
        tape = passes.forward(spec, p.weights, p.x, p.state, lengths=p.lengths, masks=p.masks)
        passes.backward(spec, p.weights, tape, np.ones_like(tape.y))
layers = [equations.Layer(W=np.ones((3, 2)), b=np.ones(3))]
outputs = equations.mlp_forward(layers, np.ones((4, 2)))
equations.mlp_backward(layers, outputs, outputs[-1])
attention, s = Attention(W_q=np.ones((5, 4)), W_k=np.ones((5, 3)), v=np.ones(5)), np.ones((7, 2, 3))
tape = attention_forward(attention, np.ones((6, 2, 4)), s, keys=attention_keys(attention, s), lengths=np.array([7, 0]))
attention_backward(attention, tape, np.ones((6, 2, 3)), da=np.ones((6, 2, 7)))
losses.multiclass_hinge(np.ones((2, 3)), np.array([0, 1]))
losses.softmax_cross_entropy(np.ones((2, 3)), np.ones((2, 3)) / 3)
"""
)

_WRONG_SHAPE = (
    _HOOK
    + """
losses.squared_error(np.ones((2, 3)), np.ones((3, 2)))
"""
)


def _run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_every_pass_keeps_the_shapes_it_states() -> None:
    outcome = _run(_ALL_PASSES)
    assert outcome.returncode == 0, outcome.stderr[-2000:]


def test_wrong_shape_is_seen_by_the_check() -> None:
    outcome = _run(_WRONG_SHAPE)
    assert outcome.returncode != 0
    assert "TypeCheckError" in outcome.stderr
