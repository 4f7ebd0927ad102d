"""The settings of ``make demo``, chosen on the years before its test part and never on it."""

from __future__ import annotations

from dataclasses import dataclass

from peephole.data import SAMPLES, Sample


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration fits and tests.

    Attributes:
        sample: name of the series in :data:`peephole.data.SAMPLES`.
        networks: networks to fit, the first one being that which is saved and streamed.
        lags: past months that a forecast is made of.
        horizon: months to forecast.
        hidden_size: units of each network.
        learning_rate: of the optimiser.
        validation_fraction: share of the months before the test kept for early stopping.
        n_windows: rolling origins of the test.
        step_size: months between them; the test part is the last ``horizon + (n_windows - 1) * step_size`` months.
        seeds: of weights and batches; every network is fitted once with each, and the table shows the means. The
            first one's models and pictures are kept.
    """

    sample: str = "elnino"
    networks: tuple[str, ...] = ("lstm", "rnn", "mlp")
    lags: int = 36
    horizon: int = 12
    hidden_size: int = 32
    learning_rate: float = 1e-2
    validation_fraction: float = 0.2
    n_windows: int = 37
    step_size: int = 3
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def series(self) -> Sample:
        """The series itself: file, columns, season, title and source."""
        return SAMPLES[self.sample]


DEMO = Demo()
"""The settings: the sea surface off Peru, three years of months to the next twelve, tested on 2001 to 2010."""
