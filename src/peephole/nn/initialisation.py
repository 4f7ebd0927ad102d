"""Drawing the weights of a layer that is there, anew."""

from __future__ import annotations

from typing import cast

import torch

from peephole.errors import ArgumentTypeError
from peephole.nn.checks import check_generator
from peephole.nn.recurrent import Recurrent
from peephole.nn.schemes import Recipe, check_recipe, fill


def initialise(
    layer: Recurrent,
    scheme: str = "torch",
    *,
    forget_bias: float | None = None,
    chrono: float | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Draw all weights of a layer anew by a named scheme.

    ``layer.reset_parameters()`` does the same with what the layer was made with.

    Args:
        layer: a :class:`~peephole.nn.LSTM` or :class:`~peephole.nn.RNN`; its parameters are written in place.
        scheme: a name out of :data:`~peephole.nn.INITIALISATIONS`.
        forget_bias: bias of the forget gate, the sum of the layer's two terms (1: Gers et al. 2000; Jozefowicz et al.
            2015). Overrides that of the scheme; ``None`` for the scheme's. In a coupled cell, where
            ``f = 1 − i = σ(−z_i)``, the input gate's bias is the same with the other sign.
        chrono: ``T_max``, the longest range in steps that the layer shall see, at least 2: each block draws
            ``b_f ∼ log U(1, T_max − 1)`` and has ``b_i = −b_f`` (Tallec & Ollivier 2018).
        generator: what is drawn from, on the device of the parameters; torch's own if left out.

    Raises:
        ArgumentError: for an unknown scheme, one made for other units, a bias of a gate that the cell has not, or a
            generator of another device.
        ArgumentTypeError: for a layer, bias or generator of the wrong type.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> layer = nn.LSTM(3, 8)
        >>> nn.initialise(layer, "orthogonal", forget_bias=1.0, generator=torch.Generator().manual_seed(0))
        >>> i, f, g, o = layer.bias_ih_l0.detach().chunk(4)
        >>> f.unique().tolist(), g.unique().tolist()
        ([1.0], [0.0])
    """
    if not isinstance(cast(object, layer), Recurrent):
        raise ArgumentTypeError(
            f"initialise: layer must be a peephole.nn.LSTM or RNN (got {type(layer).__module__}."
            f"{type(layer).__qualname__}); for a whole network call it for each of those in network.modules()"
        )
    recipe = Recipe(scheme=scheme, forget_bias=forget_bias, chrono=chrono)
    check_recipe("initialise", layer.spec, recipe)
    parameters = dict(layer.named_parameters())
    check_generator("initialise", generator, next(iter(parameters.values())).device)
    fill(layer.spec, parameters, recipe, generator=generator)
