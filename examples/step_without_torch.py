"""A saved network is stepped value by value, put aside and taken up again, with NumPy alone.

Run, after look_inside.py: python examples/step_without_torch.py inside/model
"""

# pyright: basic
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from peephole import runtime


def main(arguments: Sequence[str] | None = None) -> None:
    """Step, save the state, go on from it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the network that look_inside.py saved")
    parser.add_argument(
        "--out", type=Path, default=None, help="file for the state; state.npz beside the model if left out"
    )
    told = parser.parse_args(arguments)
    state: Path = told.out or told.model.parent / "state.npz"

    model = runtime.load(told.model)
    if not isinstance(model, runtime.Model) or model.network.input_size != 2:
        parser.error(f"{told.model} must hold the network that look_inside.py saved")

    # the value 0.8 is marked at step 0, -0.5 at step 6; what stands between is noise
    x = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    x[:, 1] = 0.0
    x[0], x[6] = (0.8, 1.0), (-0.5, 1.0)

    stream = model.stream()
    y = [float(stream.step(step)[0]) for step in x[:9]]
    stream.save(state)

    later = model.stream()  # another day, another process
    later.load(state)
    y += [float(later.step(step)[0]) for step in x[9:]]

    for step, (value, marked) in enumerate(x):
        print(f"{step:2}  in {value:5.2f}{' *' if marked else '  '}  remembers {y[step]:5.2f}")
    print("the same as the whole sequence at once:", bool(np.allclose(y, model.predict(x)[:, 0], atol=1e-5)))
    print("torch was imported:", "torch" in sys.modules)


if __name__ == "__main__":
    main()
