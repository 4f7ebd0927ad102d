"""``AdditiveAttention``: a weighted mean of the encoder's outputs for every step of the decoder."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter, init


@final
class AdditiveAttention(torch.nn.Module):
    """``a_ts = softmax_s(v · tanh(W_q h_t + W_k s_s))`` and ``context_t = Σ_s a_ts s_s``.

    Bahdanau et al. 2015, eq. 5-6; :mod:`peephole.equations.attention` has the mathematics. Torch's operations compute
    it, on every device and in every floating dtype, and differentiate it as often as is wanted.

    Args:
        query_size: ``P``, features of the decoder's output ``h_t``.
        memory_size: ``E``, features of the encoder's outputs ``s_s``.
        size: ``A``, units of the hidden layer.
        device: where the parameters are made.
        dtype: their dtype.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> attention = nn.AdditiveAttention(query_size=8, memory_size=16, size=4)
        >>> context, weights = attention(torch.randn(5, 2, 8), torch.randn(7, 2, 16))
        >>> tuple(context.shape), tuple(weights.shape)
        ((5, 2, 16), (5, 2, 7))
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.weight_query = Parameter(torch.empty((size, query_size), device=device, dtype=dtype))
        self.weight_key = Parameter(torch.empty((size, memory_size), device=device, dtype=dtype))
        self.weight_score = Parameter(torch.empty(size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight from ``U(−1/√n, 1/√n)``, ``n`` being its number of inputs."""
        for weight in (self.weight_query, self.weight_key, self.weight_score):
            bound = 1 / math.sqrt(weight.shape[-1])
            init.uniform_(weight, -bound, bound)

    def keys(self, memory: Tensor) -> Tensor:
        """``W_k s`` of every step of the memory ``[S, B, E]``: ``[S, B, A]``, which need be computed only once."""
        return F.linear(memory, self.weight_key)

    def forward(
        self, query: Tensor, memory: Tensor, *, keys: Tensor | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Contexts and weights of every step of the decoder.

        Args:
            query: outputs of the decoder, ``[T, B, P]``.
            memory: outputs of the encoder, ``[S, B, E]``.
            keys: what :meth:`keys` gave for the memory.
            valid: which steps of the memory count, ``[S, B]`` bool; all where None.

        Returns:
            ``[T, B, E]`` and ``[T, B, S]``. The weights of a query sum to 1; they are 0 where no step counts.
        """
        keys = self.keys(memory) if keys is None else keys
        q = F.linear(query, self.weight_query).unsqueeze(2)
        u = torch.tanh(q + keys.transpose(0, 1))
        e = u @ self.weight_score
        if valid is None:
            a = e.softmax(-1)
        else:  # a row without a valid step is uniform after the softmax, and then nothing
            apart = ~valid.transpose(0, 1)
            a = e.masked_fill(apart, torch.finfo(e.dtype).min).softmax(-1).masked_fill(apart, 0.0)
        context = a.transpose(0, 1) @ memory.transpose(0, 1)
        return context.transpose(0, 1), a

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.weight_query.shape[1]}, {self.weight_key.shape[1]}, {self.weight_query.shape[0]}"
