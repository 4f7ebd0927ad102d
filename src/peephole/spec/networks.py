"""Stacks, perceptrons and whole networks as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from peephole.errors import ArgumentError
from peephole.spec.cell import ACTIVATIONS, Activation, CellSpec
from peephole.spec.checks import check_choice, check_integer, check_kind, check_switch

Readout = Literal["last", "mean", "max", "every"]
READOUTS: tuple[Readout, ...] = get_args(Readout)

_PLAIN = CellSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentSpec:
    """A stack of recurrent layers.

    Attributes:
        cell: the cell of every layer.
        input_size: ``I``, features of one step.
        hidden_size: ``H = N·C``, memory cells (units) of one layer and direction.
        num_layers: layers, the ``h`` of one being the ``x`` of the next.
        bidirectional: a second network runs from the last valid step to the first (Schuster & Paliwal 1997).
        bias: whether the cells have bias terms.
        residual: the input of a layer is added to its output, in every layer where both have the same size: in all
            but the first, and in the first too where ``input_size`` is :attr:`feature_size` (He et al. 2016).
        learned_state: the state before the first step is a parameter of each layer and direction, not zero.

    Raises:
        ArgumentError: for a size out of range, sizes that do not suit each other, or ``residual`` where it would add
            nothing anywhere.

    Example:
        >>> from peephole.spec import RecurrentSpec, variant
        >>> sizes = {"input_size": 3, "hidden_size": 8, "num_layers": 2}
        >>> stack = RecurrentSpec(cell=variant("peephole"), **sizes, bidirectional=True)
        >>> stack.feature_size, stack.layer_input_size(1)
        (16, 16)
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
        check_kind("cell", self.cell, (CellSpec,), owner="RecurrentSpec")
        for name in ("input_size", "hidden_size", "num_layers"):
            check_integer(name, getattr(self, name), minimum=1, owner="RecurrentSpec")
        for name in ("bidirectional", "bias", "residual", "learned_state"):
            check_switch(name, getattr(self, name), owner="RecurrentSpec")
        check_hidden_size("RecurrentSpec", self.cell, self.hidden_size)
        if self.residual and not self.adds_input(self.num_layers - 1):
            raise ArgumentError(
                "RecurrentSpec: residual adds a layer's input to its output where both have the same size, which no "
                f"layer has here (got {self.input_size} features in and {self.feature_size} out of the only layer); "
                "use more layers, make the sizes equal, or leave residual out"
            )

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

    def adds_input(self, layer: int) -> bool:
        """Whether the input of layer ``layer`` is added to its output: ``residual``, and both have the same size."""
        return self.residual and self.layer_input_size(layer) == self.feature_size


@dataclass(frozen=True, slots=True, kw_only=True)
class MLPSpec:
    """A multilayer perceptron: ``y = φ(W x + b)`` layer upon layer (000 eq. 1-14).

    Attributes:
        input_size: features that go in.
        hidden_sizes: units of each hidden layer.
        activation: ``φ`` of every hidden layer.
        bias: whether the layers have bias terms.

    Raises:
        ArgumentError: for a size out of range, an unknown activation, or a ``bias`` that is not True or False.

    Example:
        >>> from peephole.spec import MLPSpec
        >>> MLPSpec(input_size=3, hidden_sizes=(16, 8), activation="relu").feature_size
        8
    """

    kind: Literal["mlp"] = field(default="mlp", init=False)
    input_size: int
    hidden_sizes: tuple[int, ...] = (32,)
    activation: Activation = "tanh"
    bias: bool = True

    def __post_init__(self) -> None:
        check_integer("input_size", self.input_size, minimum=1, owner="MLPSpec")
        check_kind("hidden_sizes", self.hidden_sizes, (tuple, list), owner="MLPSpec")
        if not self.hidden_sizes:
            raise ArgumentError("MLPSpec: hidden_sizes must name at least one layer (got none); for example (32,)")
        for size in self.hidden_sizes:
            check_integer("hidden_sizes", size, minimum=1, owner="MLPSpec")
        check_choice("activation", self.activation, ACTIVATIONS, owner="MLPSpec")
        check_switch("bias", self.bias, owner="MLPSpec")

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

    Example:
        >>> from peephole.spec import EmbeddingSpec
        >>> EmbeddingSpec(num_embeddings=100, embedding_dim=16).feature_size
        16
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

    Example:
        >>> from peephole.spec import LinearSpec
        >>> LinearSpec(input_size=3, output_size=16).feature_size
        16
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
    """An input, a body and a linear head, ``y = V q + d``, where ``q`` is what the readout shows of the body.

    One-to-one, many-to-one and synced many-to-many of 002 Fig. 5.1.

    Attributes:
        input: what the network begins with: an embedding of whole numbers, a linear map of the features, or None where
            the body takes the features as they are.
        body: a stack of recurrent layers, or a multilayer perceptron, which sees each step of a sequence by itself.
        output_size: ``K``, output units.
        readout: what the head sees of the body's features over a sequence: those at the ``"last"`` valid step (of
            both directions where there are two), their ``"mean"`` or, feature by feature, their ``"max"`` over the
            valid steps (many-to-one), or those at ``"every"`` step (synced many-to-many). A sequence without a step
            shows the head zeros.

    Raises:
        ArgumentError: for a field out of range, or an input that gives other features than the body takes.

    Example:
        >>> from peephole.spec import EmbeddingSpec, NetworkSpec, body_spec
        >>> words = EmbeddingSpec(num_embeddings=100, embedding_dim=16)
        >>> tagger = NetworkSpec(input=words, body=body_spec("lstm", 16), output_size=5, readout="every")
        >>> tagger.vocabulary, tagger.body.feature_size
        (100, 32)
    """

    input: EmbeddingSpec | LinearSpec | None = None
    body: RecurrentSpec | MLPSpec
    output_size: int
    readout: Readout = "last"

    def __post_init__(self) -> None:
        check_kind("input", self.input, (EmbeddingSpec, LinearSpec, type(None)), owner="NetworkSpec")
        check_kind("body", self.body, (RecurrentSpec, MLPSpec), owner="NetworkSpec")
        check_integer("output_size", self.output_size, minimum=1, owner="NetworkSpec")
        check_choice("readout", self.readout, READOUTS, owner="NetworkSpec")
        if self.input is not None and self.input.feature_size != self.body.input_size:
            size = "embedding_dim" if isinstance(self.input, EmbeddingSpec) else "output_size"
            raise ArgumentError(
                "NetworkSpec: the input must give as many features as the body takes "
                f"(got {self.input.feature_size} and {self.body.input_size}); "
                f"set {size} of the input and input_size of the body to the same number"
            )

    @property
    def vocabulary(self) -> int | None:
        """How many whole numbers there are to embed, 0 to ``vocabulary − 1``; None where features are taken."""
        return self.input.num_embeddings if isinstance(self.input, EmbeddingSpec) else None

    @property
    def input_size(self) -> int | None:
        """``I``, features of one step that are given to the network; None where whole numbers are."""
        if isinstance(self.input, EmbeddingSpec):
            return None
        return self.body.input_size if self.input is None else self.input.input_size


def check_hidden_size(owner: str, cell: CellSpec, hidden_size: int) -> None:
    """Check that ``hidden_size`` suits the cell.

    Args:
        owner: who is named in the error.
        cell: the cell.
        hidden_size: ``H``.

    Raises:
        ArgumentError: where it is no multiple of ``cells_per_block`` or no larger than ``proj_size``.

    Example:
        >>> from peephole.spec import CellSpec, check_hidden_size
        >>> check_hidden_size("LSTM", CellSpec(proj_size=8), 4)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        peephole.errors.ArgumentError: LSTM: proj_size must be smaller than hidden_size (got 8 and 4); choose a ...
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
