"""Every buffer of the compiled core by name, with its shape: the one truth for all who hand it memory.

A buffer's dimensions are letters of the glossary. Beyond those of the equations there are ``gates`` (gates that have
weights), ``G = gates·N``, ``U`` (values that layer norm makes of one step and row: ``K + H``, in an RNN ``K``) and
``V`` (parts that it normalises: the rows' parts, then the cell; in an RNN 1). What each buffer holds stands in
``native/include/peephole.h`` and, for the tape, in :class:`peephole.equations.state.Tape`.

A cell has only some of the buffers; the functions here leave out those that it has not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from types import MappingProxyType
from typing import NamedTuple, ParamSpec, TypeVar, cast

from peephole.spec import CellSpec
from peephole.weights import cell_shapes, row_count

P = ParamSpec("P")
T = TypeVar("T")

Shapes = Mapping[str, tuple[int, ...]]

WEIGHTS = {"W": "K I", "R": "K P", "b": "K", "p": "gates H", "S": "G G", "W_p": "P H", "gain": "U", "shift": "U"}
"""Parameters. ``b`` may be left out."""

INPUTS = {
    "x": "T B I",
    "h0": "B P",
    "c0": "B H",
    "r0": "B G",
    "lengths": "B",
    "zoneout_h": "T B P",
    "zoneout_c": "T B H",
    "drop_h": "B P",
    "drop_g": "B H",
}
"""What a pass reads. All but ``x`` may be left out; ``lengths`` is int64, the rest as ``x``."""

TAPE = {
    "y": "T B P",
    "gates": "T B K",
    "c": "T B H",
    "a": "T B H",
    "c_hat": "T B H",
    "normed": "T B U",
    "rstd": "T B V",
    "h_n": "B P",
    "c_n": "B H",
    "r_n": "B G",
}
"""What the forward pass writes. The final state always; the rest may be left out where nothing is carried back."""

ERRORS = {"dy": "T B P", "dh_n": "B P", "dc_n": "B H", "dr_n": "B G", "dgates": "T B K", "dc": "T B H"}
"""What the backward pass is given. All may be left out."""

GRADIENTS = {
    "dx": "T B I",
    "dh0": "B P",
    "dc0": "B H",
    "dr0": "B G",
    **{f"d{letter}": dimensions for letter, dimensions in WEIGHTS.items()},
}
"""What the backward pass writes. All may be left out."""

DIMENSIONS: Mapping[str, str] = MappingProxyType({**WEIGHTS, **INPUTS, **TAPE, **ERRORS, **GRADIENTS})
"""The dimensions of every buffer, by name."""


class Sizes(NamedTuple):
    """Sizes of one call: steps, rows of the batch, input features, memory cells."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int


def once_for_sizes(function: Callable[P, T]) -> Callable[P, T]:
    """Keep what follows from a cell and its sizes, the first two arguments.

    Sizes that stand for any number, as a compiler of torch has them, cannot be looked up: for them it is worked out.
    """
    kept = lru_cache(maxsize=256)(function)

    @wraps(function)
    def of(*args: P.args, **kwargs: P.kwargs) -> T:
        sizes = cast(Sizes, args[1])
        plain = type(sizes.T) is int and type(sizes.B) is int
        return cast("Callable[P, T]", kept if plain else function)(*args, **kwargs)

    return of


def letter_sizes(spec: CellSpec, sizes: Sizes) -> dict[str, int]:
    """The size behind every letter of :data:`DIMENSIONS`."""
    T, B, I, H = sizes  # noqa: E741
    rnn = spec.cell == "rnn"
    gates = len(spec.gates)
    K = row_count(spec, H)
    return {
        "T": T,
        "B": B,
        "I": I,
        "H": H,
        "P": spec.proj_size or H,
        "K": K,
        "G": K - H,
        "gates": gates,
        "U": K if rnn else K + H,
        "V": 1 if rnn else len(spec.rows) + 1,
    }


@once_for_sizes
def weight_shapes(spec: CellSpec, sizes: Sizes, *, bias: bool = True) -> Shapes:
    """The parameters of the cell."""
    present = cell_shapes(spec, sizes.I, sizes.H, bias=bias)
    return _shapes(spec, sizes, {name: WEIGHTS[name] for name in present})


@once_for_sizes
def input_shapes(spec: CellSpec, sizes: Sizes) -> Shapes:
    """What a pass over the cell may read."""
    return _shapes(spec, sizes, INPUTS)


@once_for_sizes
def tape_shapes(spec: CellSpec, sizes: Sizes) -> Shapes:
    """What the forward pass writes; without zoneout of the cell ``c_hat`` is ``c`` and left out."""
    return _shapes(spec, sizes, TAPE)


@once_for_sizes
def error_shapes(spec: CellSpec, sizes: Sizes) -> Shapes:
    """What the backward pass may be given."""
    return _shapes(spec, sizes, ERRORS)


@once_for_sizes
def gradient_shapes(spec: CellSpec, sizes: Sizes, *, bias: bool = True) -> Shapes:
    """What the backward pass may be asked for."""
    state = ("dx", "dh0", "dc0", "dr0")
    weights = (f"d{letter}" for letter in cell_shapes(spec, sizes.I, sizes.H, bias=bias))
    return _shapes(spec, sizes, {name: GRADIENTS[name] for name in (*state, *weights)})


def _shapes(spec: CellSpec, sizes: Sizes, dimensions: Mapping[str, str]) -> Shapes:
    size = letter_sizes(spec, sizes)
    absent = _absent(spec)
    return MappingProxyType(
        {
            name: tuple(size[letter] for letter in letters.split())
            for name, letters in dimensions.items()
            if name not in absent
        }
    )


def _absent(spec: CellSpec) -> frozenset[str]:
    """The buffers that the cell has not, beyond its parameters."""
    dropout = spec.recurrent_dropout_on if spec.recurrent_dropout else None
    rules = {
        ("c0", "c", "a", "c_n", "dc_n", "dc", "dc0"): spec.cell == "lstm",
        ("r0", "r_n", "dr_n", "dr0"): spec.full_gate_recurrence,
        ("normed", "rstd"): spec.layer_norm,
        ("zoneout_h",): spec.zoneout_hidden > 0,
        ("zoneout_c", "c_hat"): spec.zoneout_cell > 0,
        ("drop_h",): dropout == "hidden",
        ("drop_g",): dropout == "candidate",
    }
    return frozenset(name for names, there in rules.items() if not there for name in names)
