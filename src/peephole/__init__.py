"""Peephole: recurrent networks you can see inside.

Nothing is imported here but the version. What needs NumPy alone is in :mod:`peephole.equations`,
:mod:`peephole.kernels` and :mod:`peephole.runtime`, the torch modules in :mod:`peephole.nn`, and what a table is fitted
with in :mod:`peephole.tasks`.
"""

from peephole.version import VERSION

__version__ = VERSION
