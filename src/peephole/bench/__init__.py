"""Measuring speed: our layer beside everyone else, turn by turn, in one process.

``peephole bench`` runs it. What is measured is data (:mod:`peephole.bench.grid`), how is in
:mod:`peephole.bench.timing`. :func:`read` opens the file that the command writes; :func:`markdown` makes
its tables, :func:`grid_picture` and :func:`regime_picture` its pictures.
"""

from peephole.bench.grid import PEERS, REGIMES, Case, Shape, cases
from peephole.bench.picture import grid_picture, regime_picture
from peephole.bench.report import markdown
from peephole.bench.results import GridMean, Results, Row, grid_means, read, write
from peephole.bench.run import Peak, measure
from peephole.bench.timing import Contestant, Ratio, interleaved, paired

__all__ = [
    "PEERS",
    "REGIMES",
    "Case",
    "Contestant",
    "GridMean",
    "Peak",
    "Ratio",
    "Results",
    "Row",
    "Shape",
    "cases",
    "grid_means",
    "grid_picture",
    "interleaved",
    "markdown",
    "measure",
    "paired",
    "read",
    "regime_picture",
    "write",
]
