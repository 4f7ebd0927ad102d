"""The registered operator: what torch's compiler and exporter make of a layer computes the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from peephole.errors import ArgumentError
from peephole.nn import LSTM, MLP, RNN, Network, operator
from peephole.nn.cell import CellInputs, CellState, draw_masks
from peephole.nn.stack import cell_names
from peephole.spec import VARIANTS, CellSpec, NetworkSpec, RecurrentSpec
from tests.cells import ALL_CELLS
from tests.nn.cases import close, gradients, layer, noise, set_seed, state_of, tensors, total

Run = Callable[..., Any]

library = cast(Any, torch.library)
of_torch_itself = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> None:
    cast(Any, torch)._dynamo.reset()


def compiled(module: torch.nn.Module) -> Run:
    """Seen through by torch's compiler without a break, its graph run as it is."""
    return cast(Run, cast(Any, torch).compile(module, fullgraph=True, backend="aot_eager"))


def nodes(program: Any) -> list[str]:
    """The operators of an exported program that are ours."""
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    return [target for target in targets if target.startswith("peephole")]


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", ALL_CELLS)
def test_the_operator_is_what_torch_asks_of_one(name: str, lengths: list[int] | None) -> None:
    cell = ALL_CELLS[name]
    made = _made(cell)
    x = noise(4, 3, 2, gradient=True)
    set_seed(5)
    parameters = dict(made.named_parameters())
    valid = None if lengths is None else torch.tensor(lengths)
    state = [None if q is None else q[0] for q in (*tensors(state_of(made, 3)), None, None)][:3]
    work = [
        CellInputs(
            cell, 6, {letter: parameters[key] for letter, key in own}, x, CellState(cast(Tensor, state[0]), *state[1:]),
            valid, at == 1, draw_masks(cell, x, 6), True,
        )
        for at, own in enumerate(cell_names(made.spec))
    ]  # fmt: skip
    variables = [q for one in work for q in list(operator.variables_of(one).values())[1:]]
    constants = [q for one in work for q in operator.constants_of(one).values()]
    text = operator.describe(work, operator.cell_text(cell))
    library.opcheck(
        operator.recurrent_layer,
        (x, variables, constants, text, True, True),
        test_utils=("test_schema", "test_faketensor"),
    )


def _made(cell: CellSpec) -> LSTM | RNN:
    if cell.cell == "rnn":
        return RNN(2, 6, bidirectional=True, variant=cell, dtype=torch.float64)
    return LSTM(2, 6, bidirectional=True, variant=cell, dtype=torch.float64)


@of_torch_itself
def test_the_operator_differentiates_as_torch_asks_with_any_sizes() -> None:
    made = layer("peephole", bidirectional=True)
    parameters = dict(made.named_parameters())
    x = noise(4, 4, 4, gradient=True)  # 16 rows leave no gaps in the tape, which would be compared too
    variables = [parameters[key] for own in cell_names(made.spec) for _, key in own]
    named = ",".join(letter for letter, _ in cell_names(made.spec)[0])
    cell = operator.cell_text(made.spec.cell)
    text = f"{cell}|6|0|{named}|;{cell}|6|1|{named}|"
    library.opcheck(operator.recurrent_layer, (x, variables, [], text, False, True))


@pytest.mark.parametrize("name", VARIANTS)
def test_compiled_equals_eager_forward_and_backward(name: str) -> None:
    made = layer(name, bidirectional=True).eval()
    x, hx = noise(5, 3, 4, gradient=True), state_of(made, 3, gradient=True)
    arguments: dict[str, Any] = {"lengths": torch.tensor([5, 0, 3]), "return_states": True}
    wanted = [x, *tensors(hx), *made.parameters()]
    expected, actual = made(x, hx, **arguments), compiled(made)(x, hx, **arguments)
    close(actual, expected, "nn_same_bits")
    close(gradients(total(actual), wanted), gradients(total(expected), wanted), "nn_order_of_sums")


@pytest.mark.parametrize("name", [name for name, one in VARIANTS.items() if one.spec.has_masks])
def test_compiled_training_draws_masks(name: str) -> None:
    made = layer(name)
    run = compiled(made)
    x = noise(5, 3, 4)
    first, second = (tensors(run(x))[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_compiled_stacks_take_lengths_of_any_kind_and_new_sizes() -> None:
    made = LSTM(4, 6, 2, bidirectional=True, batch_first=True, dropout=0.3, dtype=torch.float64).eval()
    run = compiled(made)
    for shape, lengths in (((3, 5, 4), None), ((2, 7, 4), [7, 3]), ((2, 7, 4), torch.tensor([1, 7]))):
        x = noise(*shape)
        close(run(x, lengths=lengths), made(x, lengths=lengths), "nn_same_bits")


def test_compiled_lengths_are_checked_when_it_runs() -> None:
    run = compiled(layer("lstm"))
    with pytest.raises(ArgumentError, match="lengths must lie between 0 and the number of time steps, 5"):
        run(noise(5, 2, 4), lengths=torch.tensor([5, 6]))


@pytest.mark.parametrize("strict", [False, True])
def test_exported_programs_have_one_node_a_layer_and_take_any_sizes(strict: bool, tmp_path: Path) -> None:
    made = LSTM(4, 6, 2, bidirectional=True, variant="coupled_peephole", dtype=torch.float64).eval()
    steps, batch = (torch.export.Dim(name, min=2, max=1000) for name in ("steps", "batch"))
    program = torch.export.export(
        made, (noise(5, 3, 4),), dynamic_shapes={"input": {0: steps, 1: batch}}, strict=strict
    )
    assert nodes(program) == ["peephole.recurrent_layer.default"] * 2
    torch.export.save(program, tmp_path / "layer.pt2")
    for loaded in (program, torch.export.load(tmp_path / "layer.pt2")):
        for shape in ((5, 3, 4), (9, 2, 4)):
            x = noise(*shape)
            close(loaded.module()(x), made(x), "nn_same_bits")


def test_exported_networks_equal_the_network() -> None:
    body = RecurrentSpec(input_size=4, hidden_size=6)
    network = Network(NetworkSpec(body=body, output_size=2, readout="every")).eval()
    x = noise(5, 3, 4, dtype=torch.float32)
    program = torch.export.export(network, (x,))
    assert nodes(program) == ["peephole.recurrent_layer.default"]
    close(cast(Run, program.module())(x), network(x), "nn_torch_float32")


def test_compiled_perceptron_equals_eager() -> None:
    made = MLP(3, (4, 2), masks=[torch.eye(4, 3), None], dtype=torch.float64)
    x = noise(5, 3, gradient=True)
    expected, actual = made(x), compiled(made)(x)
    close(actual, expected, "nn_order_of_sums")
    close(gradients(total(actual), [x]), gradients(total(expected), [x]), "nn_order_of_sums")


@pytest.mark.slow
@of_torch_itself
def test_compiled_by_inductor_trains_as_eager_does() -> None:
    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(20, 8)
            self.recurrent = LSTM(8, 6, 2, bidirectional=True, variant="peephole")
            self.head = torch.nn.Linear(12, 5)

        def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
            features = self.recurrent(self.embedding(ids), lengths=lengths)[0]
            return cast(Tensor, self.head(torch.tanh(features)))

    set_seed(0)
    made = Tagger()
    ids, lengths = torch.randint(0, 20, (7, 3)), torch.tensor([7, 2, 5])
    expected, actual = made(ids, lengths), cast(Any, torch).compile(made, fullgraph=True)(ids, lengths)
    close(actual, expected, "nn_torch_float32")
    wanted = list(made.parameters())
    close(gradients(actual.sum(), wanted), gradients(expected.sum(), wanted), "nn_torch_float32")
