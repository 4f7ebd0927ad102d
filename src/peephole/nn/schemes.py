"""The named ways to draw a recurrent network's first weights, as data, and the one function that carries them out.

What every scheme shares: layer norm begins as the identity (gain 1, shift 0) and a learned state as zeros. A gate's
bias that is asked for (``forget_bias``, ``chrono``) is the sum of torch's two terms: the first one holds it, the second
is zero. With layer norm it is the gate's shift instead, for a constant in front of the normalisation falls out of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import init

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.spec import Activation, CellSpec, RecurrentSpec
from peephole.spec.checks import near_miss
from peephole.weights import MODULE_NAMES, STATE_NAMES, cells, module_shapes, row_slices, suffix

Rule = Literal["uniform", "glorot", "orthogonal", "lecun", "identity", "small", "zeros"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialisation:
    """One named way to draw the first weights.

    Attributes:
        inputs: rule for what is not recurrent: the input weights and the projection.
        recurrent: rule for the recurrent weights, those between the gates included.
        rest: rule for the bias terms and the peepholes.
        by_gate: whether each gate's block of rows is a matrix of its own, with its own fans, or the stacked one is.
        forget_bias: bias of the forget gate where the cell has one and bias terms; ``None`` for none of its own.
        activations: the hidden units it is made for, of an RNN; empty for every cell.
        summary: what it is.
        when: when to choose it.
        source: where it comes from.

    Example:
        >>> from peephole import nn
        >>> nn.INITIALISATIONS["irnn"].recurrent, nn.INITIALISATIONS["irnn"].source
        ('identity', 'Le et al. 2015')
    """

    inputs: Rule
    recurrent: Rule
    rest: Rule
    by_gate: bool = True
    forget_bias: float | None = None
    activations: tuple[Activation, ...] = ()
    summary: str
    when: str
    source: str


INITIALISATIONS: Mapping[str, Initialisation] = MappingProxyType(
    {
        "torch": Initialisation(
            inputs="uniform",
            recurrent="uniform",
            rest="uniform",
            by_gate=False,
            summary="everything from U(−1/√H, 1/√H)",
            when="to begin where `torch.nn.LSTM` begins: the same seed gives the same weights",
            source="`torch.nn.LSTM`",
        ),
        "glorot": Initialisation(
            inputs="glorot",
            recurrent="glorot",
            rest="zeros",
            summary="weights from U(−a, a), a = √(6 / (fan in + fan out)) of each gate's block; bias 0",
            when="inputs of unit size and hidden sizes unlike the input's",
            source="Glorot & Bengio 2010",
        ),
        "orthogonal": Initialisation(
            inputs="glorot",
            recurrent="orthogonal",
            rest="zeros",
            summary="input weights as `glorot`, recurrent weights orthogonal gate by gate; bias 0",
            when="long sequences: each gate's product with h⁻ neither grows nor shrinks it",
            source="Saxe et al. 2014",
        ),
        "keras": Initialisation(
            inputs="glorot",
            recurrent="orthogonal",
            rest="zeros",
            by_gate=False,
            forget_bias=1.0,
            summary="as `keras.layers.LSTM`: Glorot and orthogonal over the stacked gates, bias 0, forget bias 1",
            when="to repeat what was done in Keras",
            source="Keras 3",
        ),
        "lecun": Initialisation(
            inputs="lecun",
            recurrent="lecun",
            rest="zeros",
            summary="weights from N(0, 1 / fan in); bias 0",
            when="inputs of unit size, units that are nearly linear around 0",
            source="LeCun et al. 1998",
        ),
        "irnn": Initialisation(
            inputs="small",
            recurrent="identity",
            rest="zeros",
            activations=("relu",),
            summary="recurrent weights the identity, input weights from N(0, 0.001²), bias 0",
            when="an RNN of rectified units that has to remember for long",
            source="Le et al. 2015",
        ),
    }
)
"""The named initialisations. The rules for what they leave open stand at the head of this module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a layer was told to begin with: a name out of :data:`INITIALISATIONS`, and biases of the gates."""

    scheme: str = "torch"
    forget_bias: float | None = None
    chrono: float | None = None


def check_recipe(owner: str, spec: RecurrentSpec, recipe: Recipe) -> None:
    """Check that a recipe suits a stack.

    Raises:
        ArgumentError: for an unknown name, a scheme made for other units, or a bias that the cell has no place for.
        ArgumentTypeError: for a bias that is no number.
    """
    given = cast(object, recipe.scheme)  # whatever it was called with
    scheme = INITIALISATIONS.get(given) if isinstance(given, str) else None
    if scheme is None:
        raise ArgumentError(
            f"{owner}: init must be one of {', '.join(INITIALISATIONS)} (got {recipe.scheme!r})"
            f"{near_miss(given, INITIALISATIONS)}"
        )
    if scheme.activations and (spec.cell.cell != "rnn" or spec.cell.input_activation not in scheme.activations):
        got = "an LSTM" if spec.cell.cell == "lstm" else f"nonlinearity={spec.cell.input_activation!r}"
        raise ArgumentError(
            f"{owner}: init={recipe.scheme!r} is for an RNN of units {' or '.join(scheme.activations)} (got {got}); "
            "use peephole.nn.RNN(nonlinearity='relu') or another init"
        )
    _check_number(owner, "forget_bias", recipe.forget_bias)
    _check_number(owner, "chrono", recipe.chrono)
    if recipe.forget_bias is not None and recipe.chrono is not None:
        raise ArgumentError(
            f"{owner}: forget_bias and chrono both set the bias of the forget gate "
            f"(got {recipe.forget_bias} and {recipe.chrono}); give one of them"
        )
    if recipe.chrono is not None and recipe.chrono < 2:
        raise ArgumentError(
            f"{owner}: chrono must be the longest range in steps, at least 2 (got {recipe.chrono}); "
            "for example the length of a sequence"
        )
    for name, value, needed in (("forget_bias", recipe.forget_bias, "f"), ("chrono", recipe.chrono, "if")):
        if value is not None:
            _check_place(owner, name, spec, needed)


def _check_number(owner: str, name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"{owner}: {name} must be a number or None (got {value!r}); for example 1.0")
    if not math.isfinite(value):
        raise ArgumentError(f"{owner}: {name} must be finite (got {value}); for example 1.0")


def _check_place(owner: str, name: str, spec: RecurrentSpec, needed: str) -> None:
    """Refuse a bias of gates that are not there, or that nothing is there to hold."""
    cell = spec.cell
    gates = {"i": "input", "f": "forget"}
    missing = [gates[gate] for gate in needed if gate not in cell.gates and not (gate == "f" and cell.coupled)]
    if missing:
        raise ArgumentError(
            f"{owner}: {name} sets the bias of the {' and the '.join(gates[gate] for gate in needed)} gate "
            f"(got a cell without {' and '.join(missing)} gate); leave {name} out"
        )
    if not (spec.bias or cell.layer_norm):
        raise ArgumentError(f"{owner}: {name} needs bias terms (got bias=False); leave {name} out or set bias=True")


def fill(
    spec: RecurrentSpec, parameters: Mapping[str, Tensor], recipe: Recipe, *, generator: torch.Generator | None = None
) -> None:
    """Write the first weights of a stack.

    Args:
        spec: the stack.
        parameters: every parameter by its module name.
        recipe: checked by :func:`check_recipe`.
        generator: what is drawn from; ``None`` for torch's own.
    """
    scheme = INITIALISATIONS[recipe.scheme]
    with torch.no_grad():
        for name in module_shapes(spec):
            letter = _LETTERS[name.rpartition("_l")[0]]
            if letter in _CONSTANTS:
                parameters[name].fill_(_CONSTANTS[letter])
                continue
            for block in _blocks(spec, letter, parameters[name], by_gate=scheme.by_gate):
                _RULES[_rule_for(letter, scheme)](block, spec.hidden_size, generator)
        for layer, direction in cells(spec):
            _fill_gate_biases(spec, parameters, recipe, suffix(layer, direction), generator)


_LETTERS = {name: letter for letter, names in MODULE_NAMES.items() for name in names} | {
    name: part for part, name in STATE_NAMES.items()
}
_CONSTANTS = {"gain": 1.0, "shift": 0.0, **dict.fromkeys(STATE_NAMES, 0.0)}


def _rule_for(letter: str, scheme: Initialisation) -> Rule:
    if letter in ("W", "W_p"):
        return scheme.inputs
    return scheme.recurrent if letter in ("R", "S") else scheme.rest


def _blocks(spec: RecurrentSpec, letter: str, q: Tensor, *, by_gate: bool) -> Iterator[Tensor]:
    """The matrices that a rule is applied to: the whole, or each gate's (of ``S`` one for each pair of gates)."""
    if by_gate and letter in ("W", "R"):
        yield from (q[rows] for rows in row_slices(spec.cell, spec.hidden_size).values())
    elif by_gate and letter == "S":
        blocks = spec.hidden_size // spec.cell.cells_per_block
        pairs = itertools.product(range(0, q.shape[0], blocks), repeat=2)
        yield from (q[to : to + blocks, of : of + blocks] for to, of in pairs)
    else:
        yield q


def _fill_gate_biases(
    spec: RecurrentSpec,
    parameters: Mapping[str, Tensor],
    recipe: Recipe,
    behind: str,
    generator: torch.Generator | None,
) -> None:
    """Set the bias of forget and input gate of one layer and direction, where the recipe says one."""
    cell = spec.cell
    holder = ("norm_shift", None) if cell.layer_norm else ("bias_ih", "bias_hh") if spec.bias else None
    if holder is None or cell.cell == "rnn" or not cell.forget_gate:
        return
    value, second = parameters[holder[0] + behind], holder[1]
    rows = row_slices(cell, spec.hidden_size)
    blocks = spec.hidden_size // cell.cells_per_block
    for gate, bias in _gate_biases(cell, recipe, value.new_empty(blocks), generator).items():
        value[rows[gate]] = bias
        if second is not None:
            parameters[second + behind][rows[gate]] = 0


def _gate_biases(
    cell: CellSpec, recipe: Recipe, like: Tensor, generator: torch.Generator | None
) -> dict[str, Tensor | float]:
    """The bias of each gate that the recipe sets.

    ``chrono``: ``b_f ∼ log U(1, T − 1)``, ``b_i = −b_f`` (Tallec & Ollivier 2018). In a coupled cell the forget gate is
    ``1 − σ(z_i) = σ(−z_i)``, so that its bias is the input gate's with the other sign.
    """
    if recipe.chrono is not None:
        drawn = like.uniform_(1, max(recipe.chrono - 1, 1), generator=generator).log_()
        return {"i": -drawn} if cell.coupled else {"f": drawn, "i": -drawn}
    bias = INITIALISATIONS[recipe.scheme].forget_bias if recipe.forget_bias is None else recipe.forget_bias
    if bias is None:
        return {}
    return {"i": -bias} if cell.coupled else {"f": bias}


def _uniform(q: Tensor, hidden_size: int, generator: torch.Generator | None) -> None:
    bound = 1 / math.sqrt(hidden_size)
    init.uniform_(q, -bound, bound, generator=generator)


def _glorot(q: Tensor, _: int, generator: torch.Generator | None) -> None:
    init.xavier_uniform_(q, generator=generator)


def _orthogonal(q: Tensor, _: int, generator: torch.Generator | None) -> None:
    # the factorisation is there for float32 and float64 alone
    wide = q if q.dtype in (torch.float32, torch.float64) else torch.empty_like(q, dtype=torch.float32)
    q.copy_(init.orthogonal_(wide, generator=generator))


def _lecun(q: Tensor, _: int, generator: torch.Generator | None) -> None:
    init.normal_(q, 0, 1 / math.sqrt(q.shape[1]), generator=generator)


def _identity(q: Tensor, _hidden_size: int, _generator: torch.Generator | None) -> None:
    init.eye_(q)


def _small(q: Tensor, _: int, generator: torch.Generator | None) -> None:
    init.normal_(q, 0, 0.001, generator=generator)


def _zeros(q: Tensor, _hidden_size: int, _generator: torch.Generator | None) -> None:
    q.zero_()


_RULES: Mapping[Rule, Callable[[Tensor, int, torch.Generator | None], None]] = {
    "uniform": _uniform,
    "glorot": _glorot,
    "orthogonal": _orthogonal,
    "lecun": _lecun,
    "identity": _identity,
    "small": _small,
    "zeros": _zeros,
}
