"""``MLP``: a multilayer perceptron, fully or partially connected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast, final

import torch
from torch import Tensor
from torch.nn import Parameter, init

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.checks import check_count, check_dtype, check_input_features, check_switch
from peephole.nn.dense import dense
from peephole.nn.mixed import autocast_dtype, like_parameters, without_autocast
from peephole.spec import Activation, MLPSpec
from peephole.weights import mlp_shapes


@final
class MLP(torch.nn.Module):
    """Layer upon layer of ``y = φ((W ⊙ M) x + b)`` (000 eq. 1-14); the last layer is activated like the others.

    Parameters are called ``weight_l0``, ``bias_l0``, ``weight_l1`` …, masks (buffers) ``mask_l0`` …

    Args:
        input_size: features that go in.
        hidden_sizes: units of each layer.
        activation: ``φ``: ``"tanh"``, ``"logistic"``, ``"relu"`` or ``"identity"``.
        bias: whether the layers have bias terms.
        device: where the parameters are made.
        dtype: their dtype.
        masks: for a partially connected network one array per layer, ``[units, features]``, 1 (or True) where there is
            a connection and 0 where there is none; ``None`` in a layer's place connects it fully. A connection
            that is not there has the weight 0, from the start and for good.

    Attributes:
        spec: the sizes, frozen.

    Raises:
        ArgumentError: for a size or mask that breaks its rule.
        ArgumentTypeError: for an argument of the wrong type.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> one_each = torch.eye(3)  # each unit sees one feature alone
        >>> perceptron = nn.MLP(3, (3, 8), masks=[one_each, None])
        >>> tuple(perceptron(torch.randn(5, 3)).shape), int(perceptron.weight_l0.count_nonzero())
        ((5, 8), 3)
    """

    spec: MLPSpec

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        activation: Activation = "tanh",
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        masks: Sequence[Tensor | None] | None = None,
    ) -> None:
        super().__init__()
        check_count("MLP", "input_size", input_size)
        if not isinstance(cast(object, hidden_sizes), Sequence):
            raise ArgumentTypeError(
                f"MLP: hidden_sizes must be a sequence (got {hidden_sizes!r}); pass ({hidden_sizes},)"
            )
        for size in hidden_sizes:
            check_count("MLP", "hidden_sizes", size)
        check_switch("MLP", "bias", bias)
        check_dtype("MLP", dtype)
        self.spec = MLPSpec(input_size=input_size, hidden_sizes=tuple(hidden_sizes), activation=activation, bias=bias)
        for name, shape in mlp_shapes(self.spec).items():
            self.register_parameter(name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        for layer, mask in enumerate(_check_masks(self.spec, masks)):
            like = self.get_parameter(f"weight_l{layer}")
            self.register_buffer(f"mask_l{layer}", None if mask is None else mask.to(like))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw each layer's parameters from ``U(−1/√I, 1/√I)`` of its own input size, as ``torch.nn.Linear``."""
        for layer in range(len(self.spec.hidden_sizes)):
            weight = self.get_parameter(f"weight_l{layer}")
            bound = 1 / math.sqrt(weight.shape[1])
            init.uniform_(weight, -bound, bound)
            if self.spec.bias:
                init.uniform_(self.get_parameter(f"bias_l{layer}"), -bound, bound)
            mask = self.mask(layer)
            if mask is not None:
                with torch.no_grad():
                    weight.mul_(mask)

    def mask(self, layer: int) -> Tensor | None:
        """The mask ``M`` of a layer, ``None`` where it is fully connected."""
        return cast("Tensor | None", getattr(self, f"mask_l{layer}"))

    def forward(self, input: Tensor) -> Tensor:
        """Run the layers.

        Args:
            input: ``[…, I]``, any number of axes before the features.

        Returns:
            ``[…, units of the last layer]``.

        Raises:
            ArgumentError: for a wrong feature size or device.
            ArgumentTypeError: for a wrong type or dtype.
        """
        first = cast(Tensor, self.weight_l0)
        lower = autocast_dtype(first)
        y = input if lower is None else like_parameters(input, first)
        y = without_autocast(self._layers, first)(
            check_input_features("MLP", y, input_size=self.spec.input_size, parameter=first)
        )
        return y if lower is None else y.to(lower)

    def _layers(self, y: Tensor) -> Tensor:
        for layer in range(len(self.spec.hidden_sizes)):
            weight = cast(Tensor, getattr(self, f"weight_l{layer}"))
            bias = cast(Tensor, getattr(self, f"bias_l{layer}")) if self.spec.bias else None
            y = dense(y, weight, bias, mask=self.mask(layer), activation=self.spec.activation)
        return y

    def extra_repr(self) -> str:
        """Sizes and activation, and which layers are partially connected."""
        parts = [f"{self.spec.input_size}, {self.spec.hidden_sizes}, activation={self.spec.activation!r}"]
        if not self.spec.bias:
            parts.append("bias=False")
        masked = [layer for layer in range(len(self.spec.hidden_sizes)) if self.mask(layer) is not None]
        if masked:
            parts.append(f"masked layers={masked}")
        return ", ".join(parts)


def _check_masks(spec: MLPSpec, masks: Sequence[Tensor | None] | None) -> list[Tensor | None]:
    """One mask or ``None`` for each layer, of its weight's shape and of zeros and ones."""
    count = len(spec.hidden_sizes)
    if masks is None:
        return [None] * count
    if len(masks) != count:
        raise ArgumentError(
            f"MLP: masks must name every layer (got {len(masks)} for {count} layers); None connects a layer fully"
        )
    shapes = mlp_shapes(spec)
    checked: list[Tensor | None] = []
    for layer, given in enumerate(masks):
        if given is None:
            checked.append(None)
            continue
        try:
            mask = torch.as_tensor(given).detach().clone(memory_format=torch.contiguous_format)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ArgumentTypeError(f"MLP: masks[{layer}] must be an array of zeros and ones ({error})") from error
        shape = shapes[f"weight_l{layer}"]
        if tuple(mask.shape) != shape:
            raise ArgumentError(f"MLP: masks[{layer}] must have the shape {shape} (got {tuple(mask.shape)})")
        if bool(((mask != 0) & (mask != 1)).any()):
            raise ArgumentError(f"MLP: masks[{layer}] must hold zeros and ones alone; scale the weights instead")
        checked.append(mask)
    return checked
