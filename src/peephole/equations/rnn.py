"""One step of the plain recurrent network and of its backward pass (000 eq. 15-19, 002 eq. 5.1-5.13, 004 eq. 1).

::

    h  = φ(z)               z = W x + R h⁻ + b
    dz = dh ⊙ φ'(z)         dh⁻ = Rᵀ dz; the Elman network drops it (002 §5.3.1)
"""

from peephole.equations.activations import Array
from peephole.equations.lstm import Step, StepErrors
from peephole.equations.part import Norm, Part, part_backward, part_forward
from peephole.spec import CellSpec


def step_forward(spec: CellSpec, z: dict[str, Array], *, norms: dict[str, Norm]) -> Step:
    """``h = φ(z)``."""
    part = part_forward(z["g"], spec.input_activation, norms.get("g"))
    return Step({"g": part}, None, part.y)


def step_backward(
    spec: CellSpec, parts: dict[str, Part], *, dm: Array, dgates: dict[str, Array], norms: dict[str, Norm]
) -> StepErrors:
    """``dz`` from the error on ``h`` and, from outside, on the activation."""
    errors = part_backward(parts["g"], dm + dgates["g"], spec.input_activation, norms.get("g"))
    parameters: dict[tuple[str, str], Array] = {}
    if errors.gain is not None and errors.shift is not None:
        parameters = {("gain", "g"): errors.gain, ("shift", "g"): errors.shift}
    return StepErrors({"g": errors.z}, None, parameters)
