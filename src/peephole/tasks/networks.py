"""Networks of a forecaster by name."""

from __future__ import annotations

import difflib

from peephole.errors import ArgumentError
from peephole.spec import KINDS, NetworkSpec, body_spec

NETWORKS: tuple[str, ...] = KINDS
"""``"mlp"`` and every name in :data:`peephole.spec.VARIANTS`."""


def check_network(name: object) -> None:
    """Check the name of a network.

    Raises:
        ArgumentError: for a name that is not in :data:`NETWORKS`.
    """
    if name not in NETWORKS:
        close = difflib.get_close_matches(str(name).lower(), NETWORKS, n=1)
        hint = f"did you mean {close[0]!r}? There are" if close else "choose one of"
        raise ArgumentError(f"Forecaster: unknown network {name!r}; {hint} {', '.join(NETWORKS)}")


def network_spec(
    name: str, *, lags: int, horizon: int, hidden_size: int, num_layers: int, lags_as_steps: bool
) -> NetworkSpec:
    """The network that maps ``lags`` values to the ``horizon`` that follow.

    Args:
        name: one of :data:`NETWORKS`.
        lags: past values it is given.
        horizon: future values it gives, all at once.
        hidden_size: units of each hidden layer.
        num_layers: hidden layers.
        lags_as_steps: the lags are the time steps of a sequence, or else the features of a single step (003).
    """
    check_network(name)
    input_size = 1 if lags_as_steps and name != "mlp" else lags
    body = body_spec(name, input_size, hidden_size=hidden_size, num_layers=num_layers)
    return NetworkSpec(body=body, output_size=horizon)
