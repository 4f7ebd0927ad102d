"""What the cells have in common: parameters, argument checks, masks, and one step through the layers' engines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor
from torch.nn import Parameter, init

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import autograd, reference
from peephole.nn.cell import CellInputs, CellMasks, CellState, draw_masks
from peephole.nn.checks import check_count, check_state, check_step, check_switch
from peephole.nn.engine import kernels_serve
from peephole.nn.loading import Loadable
from peephole.nn.mixed import autocast_dtype, like_parameters, without_autocast
from peephole.nn.variants import describe
from peephole.spec import CellSpec, RecurrentSpec, check_hidden_size
from peephole.weights import MODULE_NAMES, cell_shapes

_STATE_NAMES = ("h_0", "c_0", "r_0")


class RecurrentCell(Loadable):
    """One step of a recurrent network with torch's parameter names; abstract.

    Attributes:
        spec: sizes and cell, frozen; one layer, one direction.
    """

    spec: RecurrentSpec

    def __init__(
        self,
        cell: CellSpec,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
            check_count(owner, name, value)
        check_switch(owner, "bias", bias)
        check_hidden_size(owner, cell, hidden_size)
        if dtype is not None and not dtype.is_floating_point:
            raise ArgumentTypeError(f"{owner}: dtype must be a floating dtype (got {dtype})")
        self.spec = RecurrentSpec(cell=cell, input_size=input_size, hidden_size=hidden_size, bias=bias)
        for name, shape in _shapes(self.spec).items():
            self.register_parameter(name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        if not bias:  # there and None, as in torch
            for name in MODULE_NAMES["b"]:
                self.register_parameter(name, None)
        self.reset_parameters()

    @property
    def input_size(self) -> int:
        """``I``, features of one step."""
        return self.spec.input_size

    @property
    def hidden_size(self) -> int:
        """``H``, units."""
        return self.spec.hidden_size

    @property
    def bias(self) -> bool:
        """Whether the cell has bias terms."""
        return self.spec.bias

    def reset_parameters(self) -> None:
        """Draw every weight from ``U(−1/√H, 1/√H)`` in torch's order; layer norm starts as the identity."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name in _shapes(self.spec):
            parameter = self.get_parameter(name)
            if name.startswith("norm_"):
                init.constant_(parameter, float(name == "norm_gain"))
            else:
                init.uniform_(parameter, -bound, bound)

    def draw_mask(self, batch_size: int | None = None) -> Tensor | None:
        """Draw the mask of recurrent dropout for one sequence; every step of it takes the same.

        Args:
            batch_size: ``B``; ``None`` for a single row.

        Returns:
            ``[B, P]`` for dropout on ``"hidden"``, ``[B, H]`` on the ``"candidate"`` (without ``B`` for a single
            row), 0 with the probability ``recurrent_dropout``, else ``1/(1 − recurrent_dropout)``; ``None`` in eval
            mode and where the cell has no recurrent dropout. Drawn from torch's generator.

        Raises:
            ArgumentError: for a batch size below 1.
            ArgumentTypeError: for one that is no whole number.
        """
        if batch_size is not None:
            check_count(type(self).__name__, "batch_size", batch_size)
        if not self.training:
            return None
        like = cast(Tensor, self.weight_ih).new_empty((1, batch_size or 1, 0))
        drawn = draw_masks(_once_a_sequence(self.spec.cell), like, self.hidden_size)
        mask = drawn.drop_g if drawn.drop_h is None else drawn.drop_h
        return mask if mask is None or batch_size is not None else mask.squeeze(0)

    def extra_repr(self) -> str:
        """The arguments that are not the default."""
        return describe(self.spec, batch_first=False, dropout=0.0)

    def _own_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return _shapes(self.spec)

    def _step(self, input: Tensor, states: tuple[Tensor, ...] | None, mask: Tensor | None) -> tuple[Tensor, ...]:
        """Check the arguments, run one step, and bring the state into the user's layout."""
        own = cast("dict[str, Tensor]", self._parameters)
        weights = {
            letter: own[name] if name in own else getattr(self, name) for letter, name in _letters(self.spec).items()
        }
        first = weights["W"]
        lower = autocast_dtype(first)
        if lower is not None:
            input, states, mask = like_parameters((input, states, mask), first)
        x = check_step(type(self).__name__, input, input_size=self.input_size, parameter=first)
        single = x.dim() == 1
        x = x.unsqueeze(0).unsqueeze(0) if single else x.unsqueeze(0)
        state = self._initial(states, x, single=single)
        masks = self._masks(x, mask, single=single)
        run = without_autocast(autograd.run_layer if kernels_serve(x) else reference.run_layer, x)
        inputs = CellInputs(self.spec.cell, self.hidden_size, weights, x, state, None, False, masks, False)
        final = [q for q in run([inputs])[0].final if q is not None]
        return tuple(q.squeeze(0) for q in final) if single else tuple(final)

    def _state_sizes(self) -> list[int]:
        """The sizes of ``h``, ``c``, ``r`` as far as the cell has them."""
        cell, hidden_size = self.spec.cell, self.hidden_size
        sizes = [cell.proj_size or hidden_size]
        if cell.cell == "lstm":
            sizes.append(hidden_size)
        if cell.full_gate_recurrence:
            sizes.append(len(cell.gates) * hidden_size // cell.cells_per_block)
        return sizes

    def _initial(self, states: tuple[Tensor, ...] | None, x: Tensor, *, single: bool) -> CellState | None:
        """The state before the step, ``[B, size]`` each, checked; ``None`` for zeros."""
        if states is None:
            return None
        owner, sizes = type(self).__name__, self._state_sizes()
        if len(states) != len(sizes):
            names = ", ".join(_STATE_NAMES[: len(sizes)])
            raise ArgumentError(f"{owner}: hx must be the tuple ({names}) (got {len(states)} tensors)")
        checked: list[Tensor] = []
        for name, state, size in zip(_STATE_NAMES, states, sizes, strict=False):
            shape = (size,) if single else (x.shape[1], size)
            good = check_state(owner, name, state, shape=shape, steps=1, parameter=x)
            checked.append(good.unsqueeze(0) if single else good)
        return CellState(*checked)

    def _masks(self, x: Tensor, mask: Tensor | None, *, single: bool) -> CellMasks:
        """Zoneout's masks of this step, and the mask of the sequence that the caller keeps."""
        owner, cell = type(self).__name__, self.spec.cell
        if mask is not None and not (self.training and cell.recurrent_dropout):
            raise ArgumentError(
                f"{owner}: mask belongs to recurrent dropout in training (got one with "
                f"recurrent_dropout={cell.recurrent_dropout} and training={self.training}); pass what draw_mask gives"
            )
        if not self.training or not cell.has_masks:
            return CellMasks()
        masks = draw_masks(_every_step(cell), x, self.hidden_size)
        if not cell.recurrent_dropout:
            return masks
        if mask is None:
            raise ArgumentError(
                f"{owner}: recurrent_dropout={cell.recurrent_dropout} needs a mask in training, the same at every step "
                "of a sequence, whose beginning a cell cannot see (got none); "
                "where a sequence begins, mask = cell.draw_mask(batch_size), then cell(input, hx, mask=mask)"
            )
        on_hidden = cell.recurrent_dropout_on == "hidden"
        size = self._state_sizes()[0] if on_hidden else self.hidden_size
        shape = (size,) if single else (x.shape[1], size)
        good = check_state(owner, "mask", mask, shape=shape, steps=1, parameter=x)
        good = good.unsqueeze(0) if single else good
        return masks._replace(drop_h=good) if on_hidden else masks._replace(drop_g=good)


def _shapes(spec: RecurrentSpec) -> dict[str, tuple[int, ...]]:
    """Every parameter of a cell by its module name, in torch's order."""
    shapes = cell_shapes(spec.cell, spec.input_size, spec.hidden_size, bias=spec.bias)
    return {name: shape for letter, shape in shapes.items() for name in MODULE_NAMES[letter]}


@lru_cache(maxsize=256)
def _letters(spec: RecurrentSpec) -> dict[str, str]:
    """Letter and module name of each parameter; torch's second bias term is ``b_h``."""
    shapes = cell_shapes(spec.cell, spec.input_size, spec.hidden_size, bias=spec.bias)
    return {
        own: name for letter in shapes for own, name in zip((letter, f"{letter}_h"), MODULE_NAMES[letter], strict=False)
    }


@lru_cache(maxsize=256)
def _every_step(cell: CellSpec) -> CellSpec:
    """The cell with the randomness alone that every step draws."""
    return cell.replace(recurrent_dropout=0.0)


@lru_cache(maxsize=256)
def _once_a_sequence(cell: CellSpec) -> CellSpec:
    """The cell with the randomness alone that is drawn once a sequence."""
    return cell.replace(zoneout_hidden=0.0, zoneout_cell=0.0)
