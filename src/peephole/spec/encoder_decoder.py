"""Two networks in a row as data: one reads a sequence (or a vector) to its end, the other writes one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

from peephole.errors import ArgumentError
from peephole.spec.checks import check_choice, check_integer, check_kind, check_switch
from peephole.spec.networks import EmbeddingSpec, LinearSpec, MLPSpec, RecurrentSpec

_OWNER = "EncoderDecoderSpec"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderDecoderSpec:
    """An encoder, a decoder that starts from its last state, and a linear head (002 Fig. 5.1; Sutskever et al. 2014).

    A perceptron as encoder is one-to-many: one vector, such as the features of an image, starts the decoder.

    The rule of the first state: where encoder and decoder have as many layers with states of the same sizes and there
    is one direction, the decoder starts from the encoder's last state as it is. Everywhere else, and with ``bridge``,
    one linear map takes the whole last state of the encoder (``h`` of every layer and direction, then ``c``, then
    ``r``, as far as the cell has them; of a perceptron its features) to the whole first state of the decoder.

    Attributes:
        encoder: what reads the source.
        decoder: what writes the target, a stack of one direction. Cell, sizes and layers may differ from the encoder's.
        source: what the source goes through before the encoder; None where its features are the encoder's input.
        target: what an output goes through before it is the decoder's next input: an embedding where outputs are
            tokens, a linear map or None where they are vectors of numbers.
        output_size: ``K``, the vocabulary of the target, or the numbers of one output.
        attention: ``"additive"`` (Bahdanau et al. 2015), placed behind the decoder (Luong et al. 2015), or None.
        attention_size: ``A``, units of the attention's hidden layer; 0 without attention.
        start_token: the token that the decoder is given first; None for vectors, which begin with a vector.
        end_token: the token that ends a sequence; None where every sequence has as many steps as are asked for.
        bridge: whether the state is mapped where it could be handed over.

    Raises:
        ArgumentError: for a value out of range, or parts that do not fit together.

    Example:
        >>> from peephole.spec import EmbeddingSpec, EncoderDecoderSpec, body_spec
        >>> sides = {"encoder": body_spec("rnn", 3, hidden_size=16), "decoder": body_spec("lstm", 4, hidden_size=8)}
        >>> tokens = {"target": EmbeddingSpec(num_embeddings=9, embedding_dim=4), "output_size": 9, "start_token": 0}
        >>> spec = EncoderDecoderSpec(**sides, **tokens, end_token=1)
        >>> spec.writes_tokens, spec.maps_state, spec.head_size
        (True, True, 8)
    """

    kind: Literal["encoder_decoder"] = field(default="encoder_decoder", init=False)
    encoder: RecurrentSpec | MLPSpec
    decoder: RecurrentSpec
    source: EmbeddingSpec | LinearSpec | None = None
    target: EmbeddingSpec | LinearSpec | None = None
    output_size: int
    attention: Literal["additive"] | None = None
    attention_size: int = 0
    start_token: int | None = None
    end_token: int | None = None
    bridge: bool = False

    def __post_init__(self) -> None:
        check_integer("output_size", self.output_size, minimum=1, owner=_OWNER)
        check_switch("bridge", self.bridge, owner=_OWNER)
        self._check_kinds()
        self._check_sizes()
        self._check_attention()
        self._check_tokens()

    def _check_kinds(self) -> None:
        for name, kinds in (
            ("encoder", (RecurrentSpec, MLPSpec)),
            ("decoder", (RecurrentSpec,)),
            ("source", (EmbeddingSpec, LinearSpec, type(None))),
            ("target", (EmbeddingSpec, LinearSpec, type(None))),
        ):
            check_kind(name, getattr(self, name), kinds, owner=_OWNER)
        if self.decoder.bidirectional:
            raise ArgumentError(
                f"{_OWNER}: the decoder writes one step after the other and cannot be bidirectional; the encoder can"
            )
        if self.decoder.learned_state:
            raise ArgumentError(
                f"{_OWNER}: the decoder begins from the encoder's state (got learned_state=True for it); leave it out"
            )

    def _check_sizes(self) -> None:
        if self.source is not None and self.source.feature_size != self.encoder.input_size:
            raise ArgumentError(
                f"{_OWNER}: the encoder's input_size must be the features of source "
                f"(got {self.encoder.input_size} and {self.source.feature_size})"
            )
        given = self.output_size if self.target is None else self.target.feature_size
        if given != self.decoder.input_size:
            of_what = (
                "output_size, the output being the next input" if self.target is None else "the features of target"
            )
            raise ArgumentError(
                f"{_OWNER}: the decoder's input_size must be {of_what} (got {self.decoder.input_size} and {given})"
            )
        if isinstance(self.target, EmbeddingSpec) and self.target.num_embeddings != self.output_size:
            raise ArgumentError(
                f"{_OWNER}: target must embed every token that can come out: num_embeddings must be output_size "
                f"(got {self.target.num_embeddings} and {self.output_size})"
            )
        if isinstance(self.target, LinearSpec) and self.target.input_size != self.output_size:
            raise ArgumentError(
                f"{_OWNER}: target must take what comes out: its input_size must be output_size "
                f"(got {self.target.input_size} and {self.output_size})"
            )

    def _check_attention(self) -> None:
        if self.attention is None:
            if self.attention_size != 0:
                raise ArgumentError(
                    f"{_OWNER}: attention_size belongs to attention (got {self.attention_size!r} without it); "
                    "leave it out, or pass attention='additive'"
                )
            return
        check_choice("attention", self.attention, ("additive",), owner=_OWNER)
        check_integer("attention_size", self.attention_size, minimum=1, owner=_OWNER)
        if isinstance(self.encoder, MLPSpec):
            raise ArgumentError(
                f"{_OWNER}: attention looks at the steps of the encoder, and a perceptron has none; leave it out"
            )

    def _check_tokens(self) -> None:
        for name in ("start_token", "end_token"):
            value = getattr(self, name)
            if not self.writes_tokens:
                if value is not None:
                    raise ArgumentError(
                        f"{_OWNER}: {name} belongs to a target of tokens (got {value!r} with "
                        f"target={type(self.target).__name__}); leave it out, or pass target=EmbeddingSpec(...)"
                    )
            elif value is not None or name == "start_token":
                check_integer(name, value, minimum=0, owner=_OWNER)
                if cast(int, value) >= self.output_size:
                    raise ArgumentError(
                        f"{_OWNER}: {name} must be a token below output_size = {self.output_size} (got {value!r})"
                    )

    @property
    def writes_tokens(self) -> bool:
        """Whether what comes out are tokens, and not vectors of numbers."""
        return isinstance(self.target, EmbeddingSpec)

    @property
    def maps_state(self) -> bool:
        """Whether a linear map lies between the encoder's last state and the decoder's first."""
        if self.bridge or isinstance(self.encoder, MLPSpec):
            return True
        return (
            self.encoder.bidirectional
            or self.encoder.num_layers != self.decoder.num_layers
            or state_sizes(self.encoder) != state_sizes(self.decoder)
        )

    @property
    def head_size(self) -> int:
        """Features that the head sees: those of the decoder and, with attention, the context."""
        return self.decoder.feature_size + (self.encoder.feature_size if self.attention else 0)


def state_sizes(body: RecurrentSpec | MLPSpec) -> dict[str, int]:
    """Sizes of the parts ``h``, ``c``, ``r`` of one layer's and direction's state; of a perceptron, its features.

    Example:
        >>> from peephole.spec import body_spec, state_sizes
        >>> state_sizes(body_spec("full_gate_recurrence", 3, hidden_size=8))
        {'h': 8, 'c': 8, 'r': 24}
    """
    if isinstance(body, MLPSpec):
        return {"h": body.feature_size}
    return body.cell.state_sizes(body.hidden_size)


def whole_state_size(body: RecurrentSpec | MLPSpec) -> int:
    """All numbers of a state, over every layer and direction.

    Example:
        >>> from peephole.spec import body_spec, whole_state_size
        >>> whole_state_size(body_spec("lstm", 3, hidden_size=8, num_layers=2, bidirectional=True))
        64
    """
    count = 1 if isinstance(body, MLPSpec) else body.num_layers * body.num_directions
    return count * sum(state_sizes(body).values())
