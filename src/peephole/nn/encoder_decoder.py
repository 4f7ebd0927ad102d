"""``EncoderDecoder``: one network reads to the end, another writes, and both are trained as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast, final, overload

import torch
from numpy.typing import NDArray
from torch import Tensor

from peephole import decoding
from peephole.errors import ArgumentError
from peephole.nn import arrays, generation
from peephole.nn.attention import AdditiveAttention
from peephole.nn.building import make_body, make_input
from peephole.nn.cell import valid_steps
from peephole.nn.checks import Lengths, check_dtype, check_generator, check_lengths, check_range
from peephole.nn.generation import Decoding, Encoded, Generated
from peephole.nn.lstm import LSTM
from peephole.nn.mlp import MLP
from peephole.nn.rnn import RNN
from peephole.nn.sequences import check_sequence, check_start
from peephole.spec import EncoderDecoderSpec, state_sizes, whole_state_size
from peephole.spec.checks import check_kind
from peephole.weights import network_shapes


@final
class EncoderDecoder(torch.nn.Module):
    """An encoder, a decoder that starts from its last state, and a linear head ``y = V [h, context] + d``.

    002 Fig. 5.1; Sutskever et al. 2014. Everything is time-major. With the right outputs known (teacher forcing) the
    decoder is one pass of the kernels over all steps, and the attention one batched operation behind it. Parameters
    have the names of the artifact (:func:`peephole.weights.encoder_decoder_shapes`).
    It begins with torch's first weights; :func:`peephole.nn.initialise` draws those of encoder and decoder by another
    scheme.

    Args:
        spec: encoder, decoder, what lies before and between them, and the head.
        dropout: probability of dropout between recurrent layers, in training.
        device: where the parameters are made.
        dtype: their dtype.

    Attributes:
        spec: the description, frozen.
        source: ``Embedding``, ``Linear`` or None.
        encoder: :class:`~peephole.nn.LSTM`, :class:`~peephole.nn.RNN` or :class:`~peephole.nn.MLP`.
        bridge: the linear map between the states, or None where the state is handed over.
        target: ``Embedding``, ``Linear`` or None.
        decoder: :class:`~peephole.nn.LSTM` or :class:`~peephole.nn.RNN`.
        attention: the attention, or None.
        head: the linear layer.

    Raises:
        ArgumentError: for a dropout out of range.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> from peephole.spec import EncoderDecoderSpec, body_spec
        >>> sides = {"encoder": body_spec("lstm", 3), "decoder": body_spec("lstm", 1)}
        >>> model = nn.EncoderDecoder(EncoderDecoderSpec(**sides, output_size=1))
        >>> source, target = torch.randn(7, 2, 3), torch.randn(4, 2, 1)
        >>> tuple(model(source, target).shape), tuple(model.generate(source, max_steps=9).sequences.shape)
        ((4, 2, 1), (9, 2, 1))
    """

    spec: EncoderDecoderSpec

    def __init__(
        self,
        spec: EncoderDecoderSpec,
        *,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_kind("spec", spec, (EncoderDecoderSpec,), owner="EncoderDecoder")
        check_dtype("EncoderDecoder", dtype)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.spec = spec
        self.source = make_input(spec.source, **place)
        self.encoder = make_body(spec.encoder, dropout=dropout, **place)
        sizes = whole_state_size(spec.encoder), whole_state_size(spec.decoder)
        self.bridge = torch.nn.Linear(*sizes, **place) if spec.maps_state else None
        self.target = make_input(spec.target, **place)
        self.decoder = cast("LSTM | RNN", make_body(spec.decoder, dropout=dropout, **place))
        sizes = spec.decoder.feature_size, spec.encoder.feature_size, spec.attention_size
        self.attention = AdditiveAttention(*sizes, **place) if spec.attention else None
        self.head = torch.nn.Linear(spec.head_size, spec.output_size, **place)

    @overload
    def forward(
        self,
        source: Tensor,
        target: Tensor,
        *,
        source_lengths: Lengths | None = None,
        target_lengths: Lengths | None = None,
        start: Tensor | None = None,
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
        return_attention: Literal[False] = False,
    ) -> Tensor: ...
    @overload
    def forward(
        self,
        source: Tensor,
        target: Tensor,
        *,
        source_lengths: Lengths | None = None,
        target_lengths: Lengths | None = None,
        start: Tensor | None = None,
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
        return_attention: Literal[True],
    ) -> tuple[Tensor, Tensor]: ...
    def forward(
        self,
        source: Tensor,
        target: Tensor,
        *,
        source_lengths: Lengths | None = None,
        target_lengths: Lengths | None = None,
        start: Tensor | None = None,
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
        return_attention: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """What the decoder says at every step when it is told the right output of the step before (teacher forcing).

        Output ``t`` is the prediction of ``target[t]``; the decoder sees ``target[t − 1]`` there, and at the first step
        the start token or ``start``. Scheduled sampling (Bengio et al. 2015) tells it its own previous output in some
        places: the most probable token, or its own numbers, through which the gradient flows. The steps are then
        run one by one.

        Args:
            source: tokens ``[S, B]`` or features ``[S, B, I]``; for a perceptron as encoder ``[B]`` or ``[B, I]``.
            target: the right outputs, without a start token and with the end token: ``[T, B]``, or ``[T, B, K]``.
            source_lengths: valid steps of each source, ``[B]``; all where None.
            target_lengths: valid steps of each target, ``[B]``; all where None. What lies behind the end of a source
                or target is never looked at (``-100`` and NaN will do), and the output there is what the head says
                of zeros.
            start: numbers that the decoder is given first, ``[B, K]``, for a target of numbers; zeros where None.
            sampling: the probability, for each row and step but the first, that the decoder is told its own output.
            generator: of torch, for the draws of ``sampling``.
            return_attention: whether the weights of the attention are returned too.

        Returns:
            ``[T, B, K]``: logits, or numbers; and with ``return_attention`` ``[T, B, S]``.

        Raises:
            ArgumentError: for wrong shapes, tokens, lengths, probabilities or devices, and for ``sampling`` with a
                decoder whose recurrent dropout draws one mask a sequence.
            ArgumentTypeError: for wrong types or dtypes.
        """
        self._check_options(start, sampling, generator, return_attention=return_attention)
        encoded = self.encode(source, lengths=source_lengths)
        parameter = self.head.weight
        target = check_sequence("target", target, self.spec.target, self.spec.output_size, like=parameter)
        T, B = target.shape[0], target.shape[1]
        if encoded.state[0].shape[1] != B:
            raise ArgumentError(
                f"EncoderDecoder: source and target must have as many rows (got {encoded.state[0].shape[1]} and {B})"
            )
        lengths = _lengths("target", target_lengths, target)
        inputs = self.shifted(target, start=start)
        if sampling == 0:
            found = self.decode(inputs, encoded, encoded.state, lengths=lengths)
        else:
            own = torch.rand((T, B), generator=generator, device=generator.device if generator else None) < sampling
            found = self._decode_sampling(inputs, own.to(inputs.device), encoded, lengths)
        return (found.outputs, cast(Tensor, found.attention)) if return_attention else found.outputs

    def encode(self, source: Tensor, *, lengths: Lengths | None = None) -> Encoded:
        """Read the source.

        Args:
            source: as in :meth:`forward`.
            lengths: valid steps of each source.

        Returns:
            The first state of the decoder, and with attention what it looks at.

        Raises:
            ArgumentError: for a wrong shape, tokens out of range, or lengths given to a perceptron.
            ArgumentTypeError: for a wrong type or dtype.
        """
        spec, steps = self.spec, not isinstance(self.encoder, MLP)
        like = self.head.weight
        x = check_sequence("source", source, spec.source, spec.encoder.input_size, like=like, steps=steps)
        if isinstance(self.encoder, MLP):
            if lengths is not None:
                raise ArgumentError("EncoderDecoder: source_lengths belong to a recurrent encoder (got an MLP)")
            features = cast(Tensor, self.encoder(self._into("source", x, None)))
            return Encoded(self._first_state((features.unsqueeze(0),)), None, None, None)
        valid = _lengths("source", lengths, x)
        memory, state = _run(self.encoder, self._into("source", x, valid), None, valid)
        first = self._first_state(state)
        if self.attention is None:
            return Encoded(first, None, None, None)
        counted = None if valid is None else valid_steps(valid, x.shape[0], x.device).squeeze(-1)
        return Encoded(first, memory, self.attention.keys(memory), counted)

    def decode(
        self, inputs: Tensor, encoded: Encoded, state: tuple[Tensor, ...], *, lengths: Tensor | None = None
    ) -> Decoding:
        """One or more steps of the decoder, for whoever writes a search of their own.

        Args:
            inputs: the outputs before each step: tokens ``[T, B]``, or numbers ``[T, B, K]``.
            encoded: what :meth:`encode` gave.
            state: before the first step; ``encoded.state`` at the beginning.
            lengths: valid steps of each row, ``[B]`` int64 on the CPU; all where None.

        Returns:
            Outputs, state and attention.
        """
        features, state = _run(self.decoder, self._into("target", inputs, lengths), state, lengths)
        weights = None
        if self.attention is not None and encoded.memory is not None:
            context, weights = self.attention(features, encoded.memory, keys=encoded.keys, valid=encoded.valid)
            if lengths is not None:
                beyond = ~valid_steps(lengths, inputs.shape[0], inputs.device)
                context, weights = context.masked_fill(beyond, 0.0), weights.masked_fill(beyond, 0.0)
            features = torch.cat([features, context], -1)
        return Decoding(cast(Tensor, self.head(features)), state, weights)

    def shifted(self, target: Tensor, *, start: Tensor | None = None) -> Tensor:
        """What the decoder sees: the target ``[T, B]`` or ``[T, B, K]`` one step later, behind what it starts with."""
        if self.spec.start_token is not None:
            first = target.new_full(target.shape[1:], self.spec.start_token)
        else:
            first = check_start(start, target.shape[1], self.spec.output_size, like=self.head.weight)
        return torch.cat([first.unsqueeze(0), target])[: len(target)]

    @torch.no_grad()
    def generate(
        self,
        source: Tensor,
        *,
        max_steps: int,
        lengths: Lengths | None = None,
        start: Tensor | None = None,
        beam_size: int = 1,
        n_best: int | None = None,
        length_penalty: float = 0.0,
        temperature: float | None = None,
        generator: torch.Generator | None = None,
        return_attention: bool = False,
    ) -> Generated:
        """Write a sequence for each source; without dropout and masks, in training mode as well.

        Args:
            source: as in :meth:`forward`.
            max_steps: the most steps of a sequence; all of them for numbers and without an end token.
            lengths: valid steps of each source.
            start: numbers to begin with, ``[B, K]``, for a target of numbers; zeros where None.
            beam_size: beginnings kept by beam search; 1 takes the most probable token at each step.
            n_best: sequences of each source, best first, up to ``beam_size``; None for the best alone.
            length_penalty: ``α`` of the score that sequences are ranked by (:mod:`peephole.decoding`), at least 0.
            temperature: draws each token from ``softmax(logits / temperature)`` instead of taking the most probable.
            generator: of torch, for those draws.
            return_attention: whether the weights of the attention are returned.

        Returns:
            The sequences ``[T, B]`` (numbers: ``[T, B, K]``), their log-probabilities and lengths ``[B]``, and the
            attention ``[T, B, S]``; with ``n_best`` each has an axis more in front.

        Raises:
            ArgumentError: for wrong shapes, tokens, lengths or settings; for settings that belong to tokens where
                numbers are written.
            ArgumentTypeError: for wrong types or dtypes.
        """
        self._check_options(start, 0.0, generator, return_attention=return_attention)
        search = decoding.Search(
            max_steps=max_steps,
            beam_size=beam_size,
            n_best=n_best,
            length_penalty=length_penalty,
            temperature=temperature,
        )
        with generation.without_draws(self):
            encoded = self.encode(source, lengths=lengths)
            if self.spec.writes_tokens:
                return generation.write_tokens(self, encoded, search, generator, return_attention=return_attention)
            return generation.write_numbers(self, encoded, search, start, return_attention=return_attention)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """A copy of every tensor under its name in an artifact, as NumPy arrays."""
        return arrays.to_arrays(self, network_shapes(self.spec))

    def load_arrays(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Take every tensor from NumPy arrays, the inverse of :meth:`to_arrays`.

        Args:
            values: by name; all and only those of :func:`peephole.weights.encoder_decoder_shapes`.

        Raises:
            ArgumentError: for a missing, extra or misshapen array; nothing is changed then.
        """
        arrays.load_arrays(self, network_shapes(self.spec), values)

    def _decode_sampling(self, inputs: Tensor, own: Tensor, encoded: Encoded, lengths: Tensor | None) -> Decoding:
        """Step by step, with the own output in place of the input where ``own`` ``[T, B]`` says so."""
        state, steps = encoded.state, list[Decoding]()
        for t, right in enumerate(inputs):
            given = right
            if t:
                said = steps[-1].outputs[0]
                if self.spec.writes_tokens:
                    given = torch.where(own[t], said.argmax(-1), right)
                else:
                    given = torch.where(own[t].unsqueeze(-1), said, right)
            here = None if lengths is None else (lengths > t).to(lengths.dtype)
            steps.append(self.decode(given.unsqueeze(0), encoded, state, lengths=here))
            state = steps[-1].state
        weights = [cast(Tensor, step.attention) for step in steps] if self.attention is not None else None
        return Decoding(
            torch.cat([step.outputs for step in steps]), state, None if weights is None else torch.cat(weights)
        )

    def _into(self, name: Literal["source", "target"], values: Tensor, lengths: Tensor | None) -> Tensor:
        """Through the embedding or the linear map; what lies behind a row's end becomes 0 first."""
        module = cast("torch.nn.Module | None", getattr(self, name))
        if lengths is not None:
            beyond = ~valid_steps(lengths, values.shape[0], values.device)
            values = values.masked_fill(beyond.squeeze(-1) if values.dim() == 2 else beyond, 0)
        if isinstance(module, torch.nn.Embedding):
            told = "source" if name == "source" else "target, as the decoder is given it,"  # one step later
            check_range("EncoderDecoder", told, values, module.num_embeddings)
        return values if module is None else cast(Tensor, module(values))

    def _first_state(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The decoder's first state from the encoder's last: as it is, or mapped (:class:`EncoderDecoderSpec`)."""
        if self.bridge is None:
            return state
        whole = torch.cat([q for part in state for q in part], -1)
        mapped, count = cast(Tensor, self.bridge(whole)), self.spec.decoder.num_layers
        parts: list[Tensor] = []
        for size in state_sizes(self.spec.decoder).values():
            part, mapped = mapped[:, : count * size], mapped[:, count * size :]
            parts.append(part.reshape(-1, count, size).transpose(0, 1).contiguous())
        return tuple(parts)

    def _check_options(
        self, start: Tensor | None, sampling: object, generator: object, *, return_attention: bool
    ) -> None:
        check_generator("EncoderDecoder", generator)
        if isinstance(sampling, bool) or not isinstance(sampling, (int, float)) or not 0 <= sampling <= 1:
            raise ArgumentError(f"EncoderDecoder: sampling must be a probability in [0, 1] (got {sampling!r})")
        if sampling and self.training and self.spec.decoder.cell.recurrent_dropout:
            raise ArgumentError(
                "EncoderDecoder: sampling runs the decoder step by step, but recurrent_dropout draws one mask a "
                "sequence; leave one of them out"
            )
        if return_attention and self.attention is None:
            raise ArgumentError("EncoderDecoder: return_attention needs attention (the spec has attention=None)")
        if start is not None and self.spec.writes_tokens:
            raise ArgumentError("EncoderDecoder: start belongs to a target of numbers; tokens begin with start_token")


def _lengths(name: str, lengths: Lengths | None, sequence: Tensor) -> Tensor | None:
    if lengths is None:
        return None
    return check_lengths(f"EncoderDecoder, {name}", lengths, steps=sequence.shape[0], batch=sequence.shape[1])


def _run(
    module: LSTM | RNN, x: Tensor, state: tuple[Tensor, ...] | None, lengths: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A stack, its state always a tuple."""
    if isinstance(module, LSTM):
        return cast("tuple[Tensor, tuple[Tensor, ...]]", module(x, state, lengths=lengths))
    output, h_n = cast("tuple[Tensor, Tensor]", module(x, None if state is None else state[0], lengths=lengths))
    return output, (h_n,)
