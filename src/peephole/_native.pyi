"""Types of the compiled module; see native/bindings and native/include/peephole.h."""

class Cell:
    def __init__(
        self,
        *,
        rnn: bool,
        input_gate: bool,
        forget_gate: bool,
        output_gate: bool,
        coupled: bool,
        peepholes: bool,
        full_gate_recurrence: bool,
        layer_norm: bool,
        projection: bool,
        truncated: bool,
        cells_per_block: int,
        input_activation: int,
        output_activation: int,
        zoneout_hidden: float,
        zoneout_cell: float,
    ) -> None: ...

class Stepper:
    def __init__(
        self, is_double: bool, layers: list[tuple[object, ...]], x_shape: tuple[int, ...], y_shape: tuple[int, ...], /
    ) -> None: ...
    def status(self) -> int: ...
    def step(self, x: object, y: object, /) -> bool: ...
    def step_at(self, x: int, y: int, /) -> int: ...

def abi_version() -> int: ...
def status_text(status: int, /) -> str: ...
def isa_names() -> list[str]: ...
def isa_runs(name: str, /) -> int: ...
def isa() -> str: ...
def force_isa(name: str, /) -> int: ...
def peak(real_bytes: int, seconds: float, /) -> float: ...
def tile_rate(real_bytes: int, rows: int, vectors: int, seconds: float, /) -> float: ...
def draw_mask(is_double: bool, seed: int, probability: float, value: float, mask: int, count: int, /) -> int: ...
def activate(activation: int, is_double: bool, z: int, y: int, count: int, /) -> int: ...
def worthwhile_threads(cell: Cell, sizes: tuple[int, ...], backward: bool, most: int, /) -> int: ...
def workspace_bytes(cell: Cell, sizes: tuple[int, ...], backward: bool, real_bytes: int, threads: int, /) -> int: ...
def run(
    cell: Cell,
    sizes: tuple[int, ...],
    backward: bool,
    is_double: bool,
    addresses: dict[str, int],
    workspace: int,
    workspace_bytes: int,
    threads: int,
    runner: int,
    /,
) -> int: ...
def run_beside(jobs: list[tuple[object, ...]], runner: int, /) -> list[int]: ...
def dense_workspace_bytes(
    B: int,
    I: int,
    O: int,
    activation: int,
    masked: bool,
    backward: bool,
    real_bytes: int,
    /,
) -> int: ...
def run_dense(
    B: int,
    I: int,
    O: int,
    activation: int,
    masked: bool,
    backward: bool,
    is_double: bool,
    addresses: dict[str, int],
    workspace: int,
    workspace_bytes: int,
    /,
) -> int: ...
