"""Stacks, perceptrons and whole networks as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from peephole.errors import ArgumentError
from peephole.spec.cell import ACTIVATIONS, Activation, CellSpec
from peephole.spec.checks import check_choice, check_integer, check_switch

_PLAIN = CellSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentSpec:
    """A stack of recurrent layers.

    Attributes:
        cell: the cell of every layer.
        input_size: ``I``, features of one step.
        hidden_size: ``H = N·C``, memory cells (units) of one layer and direction.
        num_layers: layers, the ``h`` of one being the ``x`` of the next.
        bidirectional: a second network runs from the last valid step to the first.
        bias: whether the cells have bias terms.
        residual: the input of a layer is added to its output, in every layer where both have the same size.
        learned_state: the state before the first step is a parameter of each layer and direction, not zero.
    """

    kind: Literal["recurrent"] = field(default="recurrent", init=False)
    cell: CellSpec = _PLAIN
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    residual: bool = False
    learned_state: bool = False

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers"):
            check_integer(name, getattr(self, name), minimum=1, owner="RecurrentSpec")
        for name in ("bidirectional", "bias", "residual", "learned_state"):
            check_switch(name, getattr(self, name), owner="RecurrentSpec")
        check_hidden_size("RecurrentSpec", self.cell, self.hidden_size)

    @property
    def num_directions(self) -> int:
        """2 when bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def feature_size(self) -> int:
        """Features that come out of the last layer: ``P`` (or ``H``) times the directions."""
        return (self.cell.proj_size or self.hidden_size) * self.num_directions

    def layer_input_size(self, layer: int) -> int:
        """Features that go into layer ``layer``, counted from 0."""
        return self.input_size if layer == 0 else self.feature_size


@dataclass(frozen=True, slots=True, kw_only=True)
class MLPSpec:
    """A multilayer perceptron: ``y = φ(W x + b)`` layer upon layer (000 eq. 1-14).

    Attributes:
        input_size: features that go in.
        hidden_sizes: units of each hidden layer.
        activation: ``φ`` of every hidden layer.
        bias: whether the layers have bias terms.
    """

    kind: Literal["mlp"] = field(default="mlp", init=False)
    input_size: int
    hidden_sizes: tuple[int, ...] = (32,)
    activation: Activation = "tanh"
    bias: bool = True

    def __post_init__(self) -> None:
        check_integer("input_size", self.input_size, minimum=1, owner="MLPSpec")
        if not self.hidden_sizes:
            raise ArgumentError("MLPSpec: hidden_sizes must name at least one layer (got none); for example (32,)")
        for size in self.hidden_sizes:
            check_integer("hidden_sizes", size, minimum=1, owner="MLPSpec")
        check_choice("activation", self.activation, ACTIVATIONS, owner="MLPSpec")

    @property
    def feature_size(self) -> int:
        """Units of the last hidden layer."""
        return self.hidden_sizes[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSpec:
    """Whole numbers in, a learned vector for each out.

    Attributes:
        num_embeddings: numbers that there are, 0 to ``num_embeddings − 1`` (the size of a vocabulary).
        embedding_dim: size of each vector.
    """

    kind: Literal["embedding"] = field(default="embedding", init=False)
    num_embeddings: int
    embedding_dim: int

    def __post_init__(self) -> None:
        for name in ("num_embeddings", "embedding_dim"):
            check_integer(name, getattr(self, name), minimum=1, owner="EmbeddingSpec")

    @property
    def feature_size(self) -> int:
        """Features that come out."""
        return self.embedding_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSpec:
    """A linear map of the features, ``y = W x + b``.

    Attributes:
        input_size: features that go in.
        output_size: features that come out.
    """

    kind: Literal["linear"] = field(default="linear", init=False)
    input_size: int
    output_size: int

    def __post_init__(self) -> None:
        for name in ("input_size", "output_size"):
            check_integer(name, getattr(self, name), minimum=1, owner="LinearSpec")

    @property
    def feature_size(self) -> int:
        """Features that come out."""
        return self.output_size


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A body and a linear head, ``y = V h + d``.

    Attributes:
        body: a stack of recurrent layers or a multilayer perceptron.
        output_size: ``K``, output units.
        readout: what the head sees of a recurrent body: its features at the ``"last"`` valid step
            (many-to-one; of both directions where there are two) or at ``"every"`` step (synced many-to-many).
    """

    body: RecurrentSpec | MLPSpec
    output_size: int
    readout: Literal["last", "every"] = "last"

    def __post_init__(self) -> None:
        check_integer("output_size", self.output_size, minimum=1, owner="NetworkSpec")
        check_choice("readout", self.readout, ("last", "every"), owner="NetworkSpec")


def check_hidden_size(owner: str, cell: CellSpec, hidden_size: int) -> None:
    """Check that ``hidden_size`` suits the cell.

    Raises:
        ArgumentError: where it is no multiple of ``cells_per_block`` or no larger than ``proj_size``.
    """
    blocks, rest = divmod(hidden_size, cell.cells_per_block)
    if rest or not blocks:
        below, above = blocks * cell.cells_per_block, (blocks + 1) * cell.cells_per_block
        advice = f"choose {below} or {above}" if below else f"choose {above}"
        raise ArgumentError(
            f"{owner}: hidden_size must be a multiple of cells_per_block "
            f"(got {hidden_size} and {cell.cells_per_block}); {advice}"
        )
    if cell.proj_size >= hidden_size:
        raise ArgumentError(
            f"{owner}: proj_size must be smaller than hidden_size (got {cell.proj_size} and {hidden_size}); "
            "choose a smaller one, or 0 for no projection"
        )
