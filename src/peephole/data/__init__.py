"""Tables in, checked series out: reading, time stamps, gaps, windows, splits and scaling. Nothing here needs torch."""

from peephole.data.characters import CharacterDictionary
from peephole.data.fill import FILLS, fill_gaps
from peephole.data.frames import Panel, Series, Style, read_panel, to_frame
from peephole.data.frequency import Frequency
from peephole.data.samples import SAMPLES, Sample, sample_path
from peephole.data.scaling import SCALINGS, Scaler, fit_scaler
from peephole.data.tables import Table, open_table
from peephole.data.windows import Windows, cut_windows, join_windows, training_cut

__all__ = [
    "FILLS",
    "SAMPLES",
    "SCALINGS",
    "CharacterDictionary",
    "Frequency",
    "Panel",
    "Sample",
    "Scaler",
    "Series",
    "Style",
    "Table",
    "Windows",
    "cut_windows",
    "fill_gaps",
    "fit_scaler",
    "join_windows",
    "open_table",
    "read_panel",
    "sample_path",
    "to_frame",
    "training_cut",
]
