"""What can go wrong, as one small family of exceptions, and what is well but slow, as a warning.

Every message names the owner, the parameter, the rule, what came and what to do, for example
``LSTM: hidden_size must be a multiple of cells_per_block (got 10 and 4); choose 8 or 12``.
The command line prints the message alone and exits with code 2.
"""

from __future__ import annotations


class PeepholeError(Exception):
    """Base of every error that Peephole raises on purpose."""


class ArgumentError(PeepholeError, ValueError):
    """An argument breaks its rule: out of range, of the wrong shape, or at odds with another one."""


class ArgumentTypeError(PeepholeError, TypeError):
    """An argument is of the wrong type or dtype."""


class DataError(PeepholeError, ValueError):
    """A table or a series cannot be used as it is: missing column, gap, text among numbers, too short."""


class ArtifactError(PeepholeError):
    """A saved model cannot be read: altered, truncated, of a newer version, or not a model at all."""


class MissingDependencyError(PeepholeError, ImportError):
    """A feature needs an extra that is not installed, for example ``pip install peephole[train]``."""


class BackendError(PeepholeError, RuntimeError):
    """The compiled core is asked for and absent, broken, or refused a call; nothing is swapped for it silently."""


class SlowBackendWarning(UserWarning):
    """Peephole was installed without its compiled core, and what is many times slower computes instead."""
