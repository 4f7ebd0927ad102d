"""Bodies of networks by the name of their kind."""

from __future__ import annotations

from peephole.errors import ArgumentError
from peephole.spec.checks import check_integer, near_miss
from peephole.spec.networks import MLPSpec, RecurrentSpec
from peephole.spec.variants import VARIANTS

KINDS: tuple[str, ...] = ("mlp", *VARIANTS)
"""Kinds of bodies: ``"mlp"``, a multilayer perceptron, and every cell in :data:`peephole.spec.VARIANTS`."""


def body_spec(
    kind: str,
    input_size: int,
    *,
    hidden_size: int = 32,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    residual: bool = False,
    learned_state: bool = False,
) -> RecurrentSpec | MLPSpec:
    """A body of any kind with the same sizes, so that comparing kinds (000 §V) is changing one argument.

    Args:
        kind: one of :data:`KINDS`.
        input_size: ``I``, features of one step.
        hidden_size: ``H``, units of each layer.
        num_layers: layers; hidden ones in a perceptron.
        bidirectional: a second network runs from the last valid step to the first; not in a perceptron.
        bias: whether the layers have bias terms.
        residual: the input of a layer is added to its output where the sizes are the same; not in a perceptron.
        learned_state: the state before the first step is learned; not in a perceptron, which has none.

    Raises:
        ArgumentError: for an unknown kind, a size out of range, or what a perceptron does not have.

    Example:
        >>> from peephole.spec import body_spec
        >>> [body_spec(kind, 3, hidden_size=8, num_layers=2).feature_size for kind in ("mlp", "rnn", "lstm")]
        [8, 8, 8]
    """
    if kind not in KINDS:
        raise ArgumentError(
            f"body_spec: unknown kind {kind!r}; choose one of {', '.join(KINDS)}{near_miss(kind, KINDS)}"
        )
    check_integer("num_layers", num_layers, minimum=1, owner="body_spec")
    recurrent_only = {"bidirectional": bidirectional, "residual": residual, "learned_state": learned_state}
    if kind != "mlp":
        cell = VARIANTS[kind].spec
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        return RecurrentSpec(cell=cell, **sizes, bias=bias, **recurrent_only)
    for name, value in recurrent_only.items():
        if value:
            raise ArgumentError(f"body_spec: {name} belongs to recurrent layers (got {value!r} with kind='mlp')")
    return MLPSpec(input_size=input_size, hidden_sizes=(hidden_size,) * num_layers, bias=bias)
