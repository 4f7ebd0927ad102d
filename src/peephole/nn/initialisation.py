"""Drawing the weights of layers that are there, anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.checks import check_generator
from peephole.nn.recurrent import Recurrent
from peephole.nn.recurrent_cell import RecurrentCell
from peephole.nn.schemes import Recipe, check_recipe, fill


def initialise(
    module: torch.nn.Module,
    scheme: str = "torch",
    *,
    forget_bias: float | None = None,
    chrono: float | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Draw all weights of every recurrent layer and cell inside a module anew by a named scheme.

    What else there is in the module (embeddings, linear layers) stays as it is. Either all layers are drawn or, where
    the scheme or a bias does not suit one of them, none. ``layer.reset_parameters()`` does the same with what a layer
    was made with.

    Args:
        module: a layer or cell of :mod:`peephole.nn`, or whatever holds such: a :class:`~peephole.nn.Network`, an
            :class:`~peephole.nn.EncoderDecoder`, a model of your own. The parameters are written in place.
        scheme: a name out of :data:`~peephole.nn.INITIALISATIONS`.
        forget_bias: bias of the forget gate, the sum of the layer's two terms (1: Gers et al. 2000; Jozefowicz et al.
            2015). Overrides that of the scheme; ``None`` for the scheme's. In a coupled cell, where
            ``f = 1 − i = σ(−z_i)``, the input gate's bias is the same with the other sign.
        chrono: ``T_max``, the longest range in steps that a layer shall see, at least 2: each block draws
            ``b_f ∼ log U(1, T_max − 1)`` and has ``b_i = −b_f`` (Tallec & Ollivier 2018).
        generator: what is drawn from, layer after layer, on the device of the parameters; torch's own if left out.

    Raises:
        ArgumentError: for an unknown scheme, one made for other units, a bias of a gate that a cell has not, a
            generator of another device, weights that are computed from others, a module without such layers, or with
            recurrent layers of torch.
        ArgumentTypeError: for a module, bias or generator of the wrong type.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> layer = nn.LSTM(3, 8)
        >>> nn.initialise(layer, "orthogonal", forget_bias=1.0, generator=torch.Generator().manual_seed(0))
        >>> i, f, g, o = layer.bias_ih_l0.detach().chunk(4)
        >>> f.unique().tolist(), g.unique().tolist()
        ([1.0], [0.0])
    """
    recipe = Recipe(scheme=scheme, forget_bias=forget_bias, chrono=chrono)
    layers, parameters = _layers(module), dict[str, Mapping[str, torch.Tensor]]()
    for path, layer in layers.items():
        owner = f"initialise, {path}" if path else "initialise"
        check_recipe(owner, layer.spec, recipe)
        try:
            parameters[path] = layer.weights_to_draw()
        except AttributeError as error:  # as torch tells it of a name that is no parameter
            raise ArgumentError(
                f"{owner}: every weight must be a parameter (got one that is computed from others: {error}); "
                "initialise before parametrizing or pruning"
            ) from error
        check_generator(owner, generator, next(iter(parameters[path].values())).device)
    for path, layer in layers.items():
        fill(layer.spec, parameters[path], recipe, generator=generator)


def _layers(module: torch.nn.Module) -> dict[str, Recurrent | RecurrentCell]:
    """The layers and cells inside a module by their path, each once."""
    if not isinstance(cast(object, module), torch.nn.Module):
        raise ArgumentTypeError(f"initialise: module must be a torch.nn.Module (got {type(module).__name__})")
    named = list(cast("Iterable[tuple[str, torch.nn.Module]]", module.named_modules()))
    theirs = [path or "it" for path, one in named if isinstance(one, (torch.nn.RNNBase, torch.nn.RNNCellBase))]
    if theirs:
        raise ArgumentError(
            f"initialise: module must have recurrent layers of peephole.nn alone (got torch's: {', '.join(theirs)}); "
            "convert it by peephole.nn.convert, or call initialise for each of ours"
        )
    ours = {path: one for path, one in named if isinstance(one, (Recurrent, RecurrentCell))}
    if not ours:
        raise ArgumentError(
            f"initialise: module must be or hold a recurrent layer or cell of peephole.nn (got {type(module).__name__} "
            "without any); other modules have a reset_parameters of their own"
        )
    return ours
