"""A saved encoder-decoder that predicts and writes, with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast, final

import numpy as np
from numpy.typing import ArrayLike

from peephole import decoding, kernels
from peephole.artifact import Artifact
from peephole.equations.activations import Array
from peephole.equations.attention import Attention, attention_forward, attention_keys
from peephole.equations.composition import stack_forward
from peephole.equations.state import State
from peephole.errors import ArgumentError, ArtifactError
from peephole.runtime.inputs import Lengths, check_range, checked_ends
from peephole.runtime.layers import dense, enter, linear_layer, part, perceptron_layers
from peephole.runtime.sequences import before_the_end, checked_sequence
from peephole.spec import EmbeddingSpec, EncoderDecoderSpec, MLPSpec, state_sizes

_States = tuple[State, ...]


class Generated(NamedTuple):
    """What was written; with ``n_best`` every array has an axis more in front, best first.

    Attributes:
        sequences: tokens ``[T, B]`` int64, the end token behind each end, or numbers ``[T, B, K]``.
        lengths: steps of each sequence, the end token included, ``[B]``; 0 where a search for the ``n_best`` found
            fewer.
        log_probabilities: of each sequence, ``[B]``; ``−inf`` where there is none. None for numbers.
        attention: ``[T, B, S]``, 0 behind each end, or None.

    Example:
        >>> import numpy as np
        >>> from peephole import artifact, runtime, spec, weights
        >>> sides = {"encoder": spec.body_spec("lstm", 3), "decoder": spec.body_spec("lstm", 4)}
        >>> tokens = {"target": spec.EmbeddingSpec(num_embeddings=9, embedding_dim=4), "start_token": 0}
        >>> network = spec.EncoderDecoderSpec(**sides, **tokens, output_size=9)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.network_shapes(network).items()}
        >>> artifact.save("writer", network, zeros)
        >>> written = runtime.load("writer").generate(np.ones((7, 2, 3)), max_steps=5, beam_size=3, n_best=3)
        >>> written.sequences.shape, written.log_probabilities.shape, written.lengths.tolist()
        ((3, 5, 2), (3, 2), [[5, 5], [5, 5], [5, 5]])
    """

    sequences: Array
    lengths: Array
    log_probabilities: Array | None
    attention: Array | None


class _Encoded(NamedTuple):
    """The decoder's first states, and with attention the encoder's outputs, their keys and valid steps."""

    states: _States
    memory: Array | None = None
    keys: Array | None = None
    lengths: Array | None = None

    def repeated(self, times: int) -> _Encoded:
        """Every row ``times`` times, one after the other."""

        def more(q: Array | None, axis: int) -> Any:
            return None if q is None else np.repeat(q, times, axis=axis)

        states = tuple(_each(state, lambda q: more(q, 0)) for state in self.states)
        return _Encoded(states, more(self.memory, 1), more(self.keys, 0), more(self.lengths, 0))


class _Step(NamedTuple):
    """What some steps of the decoder gave: outputs ``[T, B, K]``, the states after them, weights ``[T, B, S]``."""

    outputs: Array
    states: _States
    attention: Array | None


@final
class SequenceModel:
    """An encoder-decoder with its weights, computing in their dtype on the CPU.

    Args:
        saved: what :func:`peephole.artifact.load` gave.

    Attributes:
        network: what it is made of.
        weights: its tensors by the names of :func:`peephole.weights.encoder_decoder_shapes`, read-only.
        task: what it was trained for, or None.
        sha256: checksum of the weights.

    Raises:
        ArtifactError: where the artifact holds another kind of network.

    Example:
        >>> import numpy as np
        >>> from peephole import artifact, runtime, spec, weights
        >>> sides = {"encoder": spec.body_spec("lstm", 3), "decoder": spec.body_spec("lstm", 4)}
        >>> tokens = {"target": spec.EmbeddingSpec(num_embeddings=9, embedding_dim=4), "start_token": 0}
        >>> network = spec.EncoderDecoderSpec(**sides, **tokens, output_size=9)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.network_shapes(network).items()}
        >>> artifact.save("writer", network, zeros)
        >>> model = runtime.load("writer")
        >>> source, target = np.ones((7, 2, 3)), np.zeros((5, 2), np.int64)
        >>> model.predict(source, target).shape, model.generate(source, max_steps=4).sequences.shape
        ((5, 2, 9), (4, 2))
    """

    network: EncoderDecoderSpec
    weights: Mapping[str, Array]
    task: Mapping[str, Any] | None
    sha256: str

    def __init__(self, saved: Artifact) -> None:
        if not isinstance(saved.network, EncoderDecoderSpec):
            raise ArtifactError("SequenceModel: this artifact holds no encoder-decoder; open it with runtime.load")
        self.network, self.weights = saved.network, saved.weights
        self.task, self.sha256 = saved.task, saved.sha256
        self._encoder, self._decoder = part(saved.weights, "encoder"), part(saved.weights, "decoder")
        of = part(saved.weights, "attention")
        self._attention = Attention(of["weight_query"], of["weight_key"], of["weight_score"]) if of else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, in which everything is computed."""
        return self.weights["head.bias"].dtype

    def predict(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        source_lengths: Lengths | None = None,
        target_lengths: Lengths | None = None,
        start: ArrayLike | None = None,
    ) -> Array:
        """What the decoder says at every step when it is told the right output of the step before (teacher forcing).

        Args:
            source: tokens ``[S, B]`` or features ``[S, B, I]``; for a perceptron as encoder ``[B]`` or ``[B, I]``.
            target: the right outputs, without a start token and with the end token, ``[T, B]`` or ``[T, B, K]``.
            source_lengths: valid steps of each source, ``[B]``; all where None.
            target_lengths: valid steps of each target, ``[B]``; all where None. What lies behind an end is not looked
                at, and the output there is what the head says of zeros.
            start: numbers that the decoder is given first, ``[B, K]``, for a target of numbers; zeros where None.

        Returns:
            ``[T, B, K]``: logits of every token of the vocabulary, or numbers. Output ``t`` predicts ``target[t]``.

        Raises:
            ArgumentError: for a shape, a length or a token that does not fit.
            ArgumentTypeError: where something holds no numbers of the right kind.
        """
        spec = self.network
        if spec.writes_tokens:
            _refuse_start("predict", start)
        encoded = self._encode("predict", source, source_lengths)
        given = checked_sequence("predict: target", target, spec.target, spec.output_size, dtype=self.dtype)
        rows = len(encoded.states[0].h)
        if given.shape[1] != rows:
            raise ArgumentError(f"predict: target must have as many rows as source (got {given.shape[1]} and {rows})")
        ends = checked_ends("predict: target", target_lengths, steps=len(given), batch=rows)
        given = before_the_end(ends, given)
        if isinstance(spec.target, EmbeddingSpec):
            check_range("predict: target", given[:-1], spec.target.num_embeddings)  # the last is no input
        first = None if spec.writes_tokens else self._start("predict", start, rows)
        return self._decode(self._shifted(given, first), encoded, encoded.states, ends).outputs

    def generate(
        self,
        source: ArrayLike,
        *,
        max_steps: int,
        lengths: Lengths | None = None,
        start: ArrayLike | None = None,
        beam_size: int = 1,
        n_best: int | None = None,
        length_penalty: float = 0.0,
        temperature: float | None = None,
        generator: np.random.Generator | None = None,
        return_attention: bool = False,
    ) -> Generated:
        """Write a sequence for each source.

        Args:
            source: as for :meth:`predict`.
            max_steps: the most steps of a sequence; all of them for numbers and without an end token.
            lengths: valid steps of each source.
            start: numbers to begin with, ``[B, K]``, for a target of numbers; zeros where None.
            beam_size: beginnings kept by beam search; 1 takes the most probable token at each step.
            n_best: sequences of each source, best first, up to ``beam_size``; None for the best alone.
            length_penalty: ``α`` of the score that sequences are ranked by (:mod:`peephole.decoding`), at least 0.
            temperature: draws each token from ``softmax(logits / temperature)`` instead of taking the most probable.
            generator: of NumPy, for those draws.
            return_attention: whether the weights of the attention are returned.

        Returns:
            The sequences ``[T, B]`` (numbers: ``[T, B, K]``), their log-probabilities and lengths ``[B]``, and the
            attention ``[T, B, S]``; with ``n_best`` each has an axis more in front.

        Raises:
            ArgumentError: for a shape, a length, a token or a setting that does not fit.
            ArgumentTypeError: where something holds no numbers of the right kind.
        """
        spec, attention = self.network, None
        search = decoding.Search(
            max_steps=max_steps,
            beam_size=beam_size,
            n_best=n_best,
            length_penalty=length_penalty,
            temperature=temperature,
        )
        if return_attention and spec.attention is None:
            raise ArgumentError("generate: return_attention needs attention (this model has none); leave it out")
        encoded = self._encode("generate", source, lengths)
        if not spec.writes_tokens:
            search.check_numbers()
            return self._write_numbers(encoded, max_steps, start, return_attention=return_attention)
        _refuse_start("generate", start)
        found = self._search(encoded, search, generator)
        if return_attention:
            pairs = zip(found.tokens, found.lengths, strict=True)
            attention = np.stack([self._looked(encoded, tokens, ends) for tokens, ends in pairs])
        if n_best is not None:
            return Generated(found.tokens, found.lengths, found.log_probabilities, attention)
        seen = None if attention is None else attention[0]
        return Generated(found.tokens[0], found.lengths[0], found.log_probabilities[0], seen)

    def _search(
        self, encoded: _Encoded, search: decoding.Search, generator: np.random.Generator | None
    ) -> decoding.Decoded:
        seen = encoded.repeated(search.beam_size)

        def step(tokens: Array, states: _States) -> tuple[Array, _States]:
            said = self._decode(tokens[None], seen, states, None)
            return _log_softmax(said.outputs[0]), said.states

        def select(states: _States, rows: Array) -> _States:
            return tuple(_each(state, lambda q: q[rows]) for state in states)

        return decoding.search_tokens(
            search,
            step,
            seen.states,
            select,
            batch=len(encoded.states[0].h),
            start_token=cast(int, self.network.start_token),
            end_token=self.network.end_token,
            generator=generator,
        )

    def _write_numbers(
        self, encoded: _Encoded, max_steps: int, start: ArrayLike | None, *, return_attention: bool
    ) -> Generated:
        """Free running: every output is the next input."""
        states, batch = encoded.states, len(encoded.states[0].h)
        steps: list[_Step] = []
        given = self._start("generate", start, batch)
        for _ in range(max_steps):
            steps.append(self._decode(given[None], encoded, states, None))
            given, states = steps[-1].outputs[0], steps[-1].states
        weights = [step.attention for step in steps if return_attention and step.attention is not None]
        outputs = np.concatenate([step.outputs for step in steps])
        lengths = np.full(batch, max_steps, np.int64)
        return Generated(outputs, lengths, None, np.concatenate(weights) if weights else None)

    def _looked(self, encoded: _Encoded, tokens: Array, lengths: Array) -> Array:
        """The weights under teacher forcing on what was written: those of the search, in one pass."""
        said = self._decode(self._shifted(tokens, None), encoded, encoded.states, lengths)
        return cast(Array, said.attention)

    def _encode(self, owner: str, source: ArrayLike, lengths: Lengths | None) -> _Encoded:
        spec, name = self.network, f"{owner}: source"
        perceptron = isinstance(spec.encoder, MLPSpec)
        x = checked_sequence(name, source, spec.source, spec.encoder.input_size, dtype=self.dtype, steps=not perceptron)
        if isinstance(spec.encoder, MLPSpec):
            if lengths is not None:
                raise ArgumentError(
                    f"{owner}: lengths belong to a recurrent encoder (got a perceptron); leave them out"
                )
            features = self._entered(name, x)
            for layer in perceptron_layers(spec.encoder, self.weights, "encoder"):
                features = dense(layer, features)
            return _Encoded(self._first_states([features]))
        ends = checked_ends(name, lengths, steps=x.shape[0], batch=x.shape[1])
        x = self._entered(name, before_the_end(ends, x))
        tape = stack_forward(spec.encoder, self._encoder, x, lengths=ends, forward=kernels.forward)
        last = [[state[part] for state in tape.final] for part in range(len(state_sizes(spec.encoder)))]
        first = self._first_states([np.concatenate(cast("list[Array]", part), axis=1) for part in last], tape.final)
        if self._attention is None:
            return _Encoded(first)
        return _Encoded(first, tape.y, attention_keys(self._attention, tape.y), ends)

    def _entered(self, name: str, source: Array) -> Array:
        """The source as the encoder takes it; ``name`` is what a message calls it."""
        spec = self.network.source
        if isinstance(spec, EmbeddingSpec):
            check_range(name, source, spec.num_embeddings)
        return enter(spec, self.weights, source, name="source")

    def _first_states(self, parts: list[Array], states: _States = ()) -> _States:
        """The decoder's first states from the encoder's last: as they are, or mapped."""
        spec = self.network
        if not spec.maps_state:
            return states
        mapped, first = dense(linear_layer(self.weights, "bridge"), np.concatenate(parts, axis=1)), list[list[Array]]()
        for size in state_sizes(spec.decoder).values():
            count = spec.decoder.num_layers * size
            part, mapped = mapped[:, :count], mapped[:, count:]
            first.append(np.split(part, spec.decoder.num_layers, axis=1))
        return tuple(State(*of_layer) for of_layer in zip(*first, strict=True))

    def _decode(self, inputs: Array, encoded: _Encoded, states: _States, lengths: Array | None) -> _Step:
        """Steps of the decoder on the outputs before each, ``[T, B]`` or ``[T, B, K]``."""
        x = enter(self.network.target, self.weights, inputs, name="target")
        tape = stack_forward(self.network.decoder, self._decoder, x, states, lengths=lengths, forward=kernels.forward)
        features, a = tape.y, None
        if self._attention is not None and encoded.memory is not None:
            seen = attention_forward(
                self._attention, features, encoded.memory, keys=encoded.keys, lengths=encoded.lengths
            )
            context, a = before_the_end(lengths, seen.context), before_the_end(lengths, seen.a)
            features = np.concatenate([features, context], axis=2)
        return _Step(dense(linear_layer(self.weights, "head"), features), tape.final, a)

    def _shifted(self, target: Array, first: Array | None) -> Array:
        """The target one step later, behind the start token, or behind ``first`` where it holds numbers."""
        if first is None:
            first = np.full(target.shape[1:], cast(int, self.network.start_token), np.int64)
        return np.concatenate([first[None], target])[: len(target)]

    def _start(self, owner: str, start: ArrayLike | None, batch: int) -> Array:
        size = self.network.output_size
        if start is None:
            return np.zeros((batch, size), self.dtype)
        given = checked_sequence(f"{owner}: start", start, None, size, dtype=self.dtype, steps=False)
        if len(given) != batch:
            raise ArgumentError(f"{owner}: start must have a row for each of the {batch} sources (got {len(given)})")
        return given


def _refuse_start(owner: str, start: ArrayLike | None) -> None:
    if start is not None:
        raise ArgumentError(f"{owner}: start belongs to a target of numbers; tokens begin with start_token")


def _each(state: State, change: Callable[[Array], Array]) -> State:
    """The state with every part that it has changed."""
    h, c, r = state
    return State(change(h), None if c is None else change(c), None if r is None else change(r))


def _log_softmax(scores: Array) -> Array:
    wide = scores.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
