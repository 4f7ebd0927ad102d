"""What the cells have in common: parameters, argument checks, masks, and one step through the layers' engines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from peephole.errors import ArgumentError
from peephole.nn import builtin
from peephole.nn.cell import CellInputs, CellMasks, CellState, draw_masks
from peephole.nn.checks import check_count, check_dtype, check_generator, check_state, check_step
from peephole.nn.engine import choose_engine, is_transformed
from peephole.nn.loading import Loadable
from peephole.nn.mixed import autocast_dtype, like_parameters, without_autocast
from peephole.nn.operator import cell_text
from peephole.nn.schemes import Recipe, check_recipe, fill
from peephole.nn.stack import cell_names
from peephole.nn.variants import describe
from peephole.spec import CellSpec, RecurrentSpec
from peephole.weights import MODULE_NAMES, STATE_NAMES, module_shapes, suffix

_BEHIND = suffix(0, 0)  # of a layer's parameters; a cell's have nothing there


class RecurrentCell(Loadable):
    """One step of a recurrent network with torch's parameter names; abstract.

    Attributes:
        spec: sizes and cell, frozen; one layer, one direction.
    """

    spec: RecurrentSpec

    def __init__(
        self,
        spec: RecurrentSpec,
        *,
        recipe: Recipe,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        check_recipe(owner, spec, recipe)
        check_dtype(owner, dtype)
        self.spec = spec
        self._recipe = recipe
        self._name_parts()
        for name, shape in self._own_shapes().items():
            self.register_parameter(name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        if not spec.bias:  # there and None, as in torch
            for name in MODULE_NAMES["b"]:
                self.register_parameter(name, None)
        self.reset_parameters()

    def _name_parts(self) -> None:
        """Keep what follows from the spec and every step asks for."""
        (letters,) = cell_names(self.spec)
        self._letters = tuple((letter, name.removesuffix(_BEHIND)) for letter, name in letters)
        sizes = self.spec.cell.state_sizes(self.hidden_size)
        self._state_sizes = {STATE_NAMES[part]: size for part, size in sizes.items()}
        self._builtin_step = builtin.step_operator(self.spec.cell)
        self._cell_text = cell_text(self.spec.cell)  # what a compiler may read, and not work out

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._name_parts()

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
        """Draw every weight anew as the cell was told to begin.

        The default is torch's: all from ``U(−1/√H, 1/√H)``, in torch's order.
        """
        fill(self.spec, self.weights_to_draw(), self._recipe)

    def weights_to_draw(self) -> dict[str, Parameter]:
        """Every parameter under the name that :func:`peephole.weights.module_shapes` gives it.

        Raises:
            AttributeError: for one that is computed from others.
        """
        return {name + _BEHIND: self.get_parameter(name) for name in self._own_shapes()}

    def draw_mask(self, batch_size: int | None = None, *, generator: torch.Generator | None = None) -> Tensor | None:
        """Draw the mask of recurrent dropout for one sequence; every step of it takes the same.

        Args:
            batch_size: ``B``; ``None`` for a single row.
            generator: what is drawn from, on the device of the parameters; torch's own if left out.

        Returns:
            ``[B, P]`` for dropout on ``"hidden"``, ``[B, H]`` on the ``"candidate"`` (without ``B`` for a single
            row), 0 with the probability ``recurrent_dropout``, else ``1/(1 − recurrent_dropout)``; ``None`` in eval
            mode and where the cell has no recurrent dropout.

        Raises:
            ArgumentError: for a batch size below 1, or a generator of another device.
            ArgumentTypeError: for a batch size that is no whole number, or what is no generator.
        """
        owner, weight = type(self).__name__, cast(Tensor, self.weight_ih)
        if batch_size is not None:
            check_count(owner, "batch_size", batch_size)
        check_generator(owner, generator, weight.device)
        if not self.training:
            return None
        like = weight.new_empty((1, batch_size or 1, 0))
        drawn = draw_masks(_once_a_sequence(self.spec.cell), like, self.hidden_size, generator=generator)
        mask = drawn.drop_g if drawn.drop_h is None else drawn.drop_h
        return mask if mask is None or batch_size is not None else mask.squeeze(0)

    def extra_repr(self) -> str:
        """The arguments that are not the default."""
        return describe(self.spec, batch_first=False, batch_first_states=False, dropout=0.0, recipe=self._recipe)

    def _own_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name.removesuffix(_BEHIND): shape for name, shape in module_shapes(self.spec).items()}

    def _step(
        self,
        input: Tensor,
        states: tuple[Tensor, ...] | None,
        mask: Tensor | None,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, ...]:
        """Check the arguments, run one step, and bring the state into the user's layout."""
        own = cast("dict[str, Tensor]", self._parameters)
        weights = {letter: own[name] if name in own else getattr(self, name) for letter, name in self._letters}
        first = weights["W"]
        check_generator(type(self).__name__, generator, first.device)
        lower = autocast_dtype(first)
        if lower is not None:
            input, states, mask = like_parameters((input, states, mask), first)
        x = check_step(type(self).__name__, input, input_size=self.input_size, parameter=first)
        single = x.dim() == 1
        x = x.unsqueeze(0) if single else x
        state = self._initial(states, x, single=single)
        masks = self._masks(x, mask, generator, single=single)
        if self._builtin_step is not None and not is_transformed():  # torch.vmap has no rule for torch's lstm_cell
            after = without_autocast(builtin.step, x)(self._builtin_step, weights, x, state)
        else:
            x = x.unsqueeze(0)
            work = CellInputs(self.spec.cell, self.hidden_size, weights, x, state, None, False, masks, False)
            after = without_autocast(choose_engine(x, self._cell_text), x)([work])[0].final
        final = [q for q in after if q is not None]
        return tuple(q.squeeze(0) for q in final) if single else tuple(final)

    def _initial(self, states: tuple[Tensor, ...] | None, x: Tensor, *, single: bool) -> CellState | None:
        """The state before the step, ``[B, size]`` each, checked; ``None`` for zeros."""
        if states is None:
            return None
        owner, sizes = type(self).__name__, self._state_sizes
        if len(states) != len(sizes):
            raise ArgumentError(f"{owner}: hx must be the tuple ({', '.join(sizes)}) (got {len(states)} tensors)")
        checked: list[Tensor] = []
        for (name, size), state in zip(sizes.items(), states, strict=True):
            shape = (size,) if single else (x.shape[0], size)
            good = check_state(owner, name, state, shape=shape, steps=1, parameter=x)
            checked.append(good.unsqueeze(0) if single else good)
        return CellState(*checked)

    def _masks(self, x: Tensor, mask: Tensor | None, generator: torch.Generator | None, *, single: bool) -> CellMasks:
        """Zoneout's masks of this step, and the mask of the sequence that the caller keeps."""
        owner, cell = type(self).__name__, self.spec.cell
        if mask is not None and not (self.training and cell.recurrent_dropout):
            raise ArgumentError(
                f"{owner}: mask belongs to recurrent dropout in training (got one with "
                f"recurrent_dropout={cell.recurrent_dropout} and training={self.training}); pass what draw_mask gives"
            )
        if not self.training or not cell.has_masks:
            return CellMasks()
        masks = draw_masks(_every_step(cell), x.unsqueeze(0), self.hidden_size, generator=generator)
        if not cell.recurrent_dropout:
            return masks
        if mask is None:
            raise ArgumentError(
                f"{owner}: recurrent_dropout={cell.recurrent_dropout} needs a mask in training, the same at every step "
                "of a sequence, whose beginning a cell cannot see (got none); "
                "where a sequence begins, mask = cell.draw_mask(batch_size), then cell(input, hx, mask=mask)"
            )
        on_hidden = cell.recurrent_dropout_on == "hidden"
        size = cell.proj_size or self.hidden_size if on_hidden else self.hidden_size
        shape = (size,) if single else (x.shape[0], size)
        good = check_state(owner, "mask", mask, shape=shape, steps=1, parameter=x)
        good = good.unsqueeze(0) if single else good
        return masks._replace(drop_h=good) if on_hidden else masks._replace(drop_g=good)


@lru_cache(maxsize=256)
def _every_step(cell: CellSpec) -> CellSpec:
    """The cell with the randomness alone that every step draws."""
    return cell.replace(recurrent_dropout=0.0)


@lru_cache(maxsize=256)
def _once_a_sequence(cell: CellSpec) -> CellSpec:
    """The cell with the randomness alone that is drawn once a sequence."""
    return cell.replace(zoneout_hidden=0.0, zoneout_cell=0.0)
