"""Writing sequences with an encoder-decoder: the search itself is in :mod:`peephole.decoding`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peephole import decoding
from peephole.nn.sequences import check_start

if TYPE_CHECKING:
    from peephole.nn.encoder_decoder import EncoderDecoder

_State = tuple[Tensor, ...]


class Encoded(NamedTuple):
    """What an encoder leaves for the decoder.

    Attributes:
        state: the first state of the decoder, one ``[layers, B, size]`` for each part that its cell has.
        memory: ``[S, B, E]``, outputs of the encoder; None without attention.
        keys: ``[S, B, A]``, what the attention makes of them.
        valid: ``[S, B]`` bool, which of them count; None where all do.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> from peephole.spec import EncoderDecoderSpec, body_spec
        >>> sides = {"encoder": body_spec("lstm", 3), "decoder": body_spec("lstm", 1)}
        >>> spec = EncoderDecoderSpec(**sides, output_size=1, attention="additive", attention_size=4)
        >>> encoded = nn.EncoderDecoder(spec).encode(torch.randn(7, 2, 3))
        >>> tuple(encoded.state[0].shape), tuple(encoded.memory.shape), tuple(encoded.keys.shape)
        ((1, 2, 32), (7, 2, 32), (7, 2, 4))
    """

    state: _State
    memory: Tensor | None
    keys: Tensor | None
    valid: Tensor | None

    def repeated(self, times: int) -> Encoded:
        """Every row ``times`` times, one after the other."""
        if times == 1:
            return self

        def more(q: Tensor | None) -> Tensor | None:
            return None if q is None else q.repeat_interleave(times, 1)

        state = tuple(q.repeat_interleave(times, 1) for q in self.state)
        return Encoded(state, more(self.memory), more(self.keys), more(self.valid))


class Decoding(NamedTuple):
    """What one or more steps of the decoder gave.

    Attributes:
        outputs: ``[T, B, K]``: scores of every token (logits), or numbers.
        state: after the last valid step, one ``[layers, B, size]`` for each part that the cell has.
        attention: ``[T, B, S]``, or None without attention.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> from peephole.spec import EncoderDecoderSpec, body_spec
        >>> sides = {"encoder": body_spec("lstm", 3), "decoder": body_spec("lstm", 1)}
        >>> model = nn.EncoderDecoder(EncoderDecoderSpec(**sides, output_size=1))
        >>> encoded = model.encode(torch.randn(7, 2, 3))
        >>> step = model.decode(torch.zeros(1, 2, 1), encoded, encoded.state)
        >>> tuple(step.outputs.shape), [tuple(part.shape) for part in step.state]
        ((1, 2, 1), [(1, 2, 32), (1, 2, 32)])
    """

    outputs: Tensor
    state: tuple[Tensor, ...]
    attention: Tensor | None


class Generated(NamedTuple):
    """What was written; with ``n_best`` every tensor has an axis more in front, best first.

    Attributes:
        sequences: tokens ``[T, B]`` int64, the end token behind each end, or numbers ``[T, B, K]``.
        lengths: steps of each sequence, the end token included, ``[B]`` int64 on the CPU; 0 where a search for the
            ``n_best`` found fewer.
        log_probabilities: of each sequence, ``[B]`` float64 on the CPU; ``−inf`` where there is none. None for numbers.
        attention: ``[T, B, S]``, 0 behind each end, or None.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> from peephole.spec import EmbeddingSpec, EncoderDecoderSpec, body_spec
        >>> sides = {"encoder": body_spec("lstm", 3), "decoder": body_spec("lstm", 4)}
        >>> tokens = {"target": EmbeddingSpec(num_embeddings=9, embedding_dim=4), "output_size": 9, "start_token": 0}
        >>> model = nn.EncoderDecoder(EncoderDecoderSpec(**sides, **tokens))
        >>> written = model.generate(torch.randn(7, 2, 3), max_steps=5, beam_size=3, n_best=3)
        >>> tuple(written.sequences.shape), tuple(written.log_probabilities.shape)
        ((3, 5, 2), (3, 2))
    """

    sequences: Tensor
    lengths: Tensor
    log_probabilities: Tensor | None
    attention: Tensor | None


@contextmanager
def without_draws(module: torch.nn.Module) -> Generator[None]:
    """As at inference, every part of the module in its own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def write_tokens(
    model: EncoderDecoder,
    encoded: Encoded,
    search: decoding.Search,
    generator: torch.Generator | None,
    *,
    return_attention: bool,
) -> Generated:
    """Greedy search, sampling or beam search."""
    decoded = _search(model, encoded, search, generator)
    sequences = torch.as_tensor(decoded.tokens).to(model.head.weight.device)
    lengths = torch.as_tensor(decoded.lengths)
    sums = torch.as_tensor(decoded.log_probabilities)
    attention = None
    if return_attention:
        each = [_attention(model, encoded, *one) for one in zip(sequences, lengths, strict=True)]
        attention = torch.stack(each)
    if search.n_best is None:
        return Generated(sequences[0], lengths[0], sums[0], None if attention is None else attention[0])
    return Generated(sequences, lengths, sums, attention)


def write_numbers(
    model: EncoderDecoder, encoded: Encoded, search: decoding.Search, start: Tensor | None, *, return_attention: bool
) -> Generated:
    """Free running: every output is the next input."""
    search.check_numbers()
    state, batch = encoded.state, encoded.state[0].shape[1]
    given = check_start(start, batch, model.spec.output_size, like=model.head.weight)
    outputs: list[Tensor] = []
    weights: list[Tensor] = []
    for _ in range(search.max_steps):
        step = model.decode(given.unsqueeze(0), encoded, state)
        given, state = step.outputs[0], step.state
        outputs.append(given)
        if return_attention and step.attention is not None:
            weights.append(step.attention[0])
    lengths = torch.full((batch,), search.max_steps, dtype=torch.int64)
    return Generated(torch.stack(outputs), lengths, None, torch.stack(weights) if weights else None)


def _search(
    model: EncoderDecoder, encoded: Encoded, search: decoding.Search, generator: torch.Generator | None
) -> decoding.Decoded:
    seen, device = encoded.repeated(search.beam_size), model.head.weight.device

    def step(tokens: NDArray[Any], state: _State) -> tuple[NDArray[Any], _State]:
        given = torch.as_tensor(tokens).to(device).unsqueeze(0)
        decoded = model.decode(given, seen, state)
        return decoded.outputs[0].to("cpu", torch.float64).log_softmax(-1).numpy(), decoded.state

    def select(state: _State, rows: NDArray[Any]) -> _State:
        places = torch.as_tensor(rows).to(device)
        return tuple(q.index_select(1, places) for q in state)

    return decoding.search_tokens(
        search,
        step,
        seen.state,
        select,
        batch=encoded.state[0].shape[1],
        start_token=cast(int, model.spec.start_token),
        end_token=model.spec.end_token,
        generator=None if search.temperature is None else _random(generator),
    )


def _random(generator: torch.Generator | None) -> np.random.Generator:
    """NumPy's draws, which the runtime has too, from a seed that torch draws."""
    place = generator.device if generator is not None else "cpu"
    seed = torch.randint(2**62, (), generator=generator, device=place)
    return np.random.default_rng(int(seed))


def _attention(model: EncoderDecoder, encoded: Encoded, tokens: Tensor, lengths: Tensor) -> Tensor:
    """The weights under teacher forcing on what was written: those of the search, in one pass."""
    decoded = model.decode(model.shifted(tokens), encoded, encoded.state, lengths=lengths)
    return cast(Tensor, decoded.attention)
