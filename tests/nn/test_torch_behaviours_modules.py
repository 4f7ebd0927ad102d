"""What PyTorch's own tests check of a module's life: making, moving, copying, saving, and what takes a weight's place.

`docs/torch_behaviours.md` names the test of PyTorch behind each of these.
"""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, parametrizations, parametrize, vector_to_parameters

from peephole import nn
from tests.nn.beside import KINDS, LAYERS, hx_of, input_of, pair, same_pass
from tests.nn.cases import carry_back, close, set_seed, tensors, total


def _weight_norm(made: Any, name: str) -> Any:
    with pytest.warns(FutureWarning, match="deprecated"):
        return cast(Any, torch.nn.utils).weight_norm(made, name)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_device_and_dtype_are_those_asked_for(kind: str, dtype: torch.dtype) -> None:
    for device in ("cpu", "meta"):
        made = getattr(nn, kind)(4, 6, device=device, dtype=dtype)
        assert {(q.device.type, q.dtype) for q in made.parameters()} == {(device, dtype)}
        assert {q.device.type for q in tensors(made(input_of(kind).to(device, dtype)))} == {device}
    with torch.device("meta"):
        assert {q.device.type for q in getattr(nn, kind)(4, 6).parameters()} == {"meta"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_dtype_is_followed(kind: str) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        made = getattr(nn, kind)(4, 6)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {q.dtype for q in made.parameters()} == {torch.float64}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_module(kind: str) -> None:
    made: list[Any] = []
    for library in (torch.nn, nn):
        set_seed(11)
        made.append(getattr(library, kind)(3, 5))
        made[-1].after = torch.rand(())
    theirs, ours = made
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(q, theirs.state_dict()[name]) for name, q in ours.state_dict().items())
    assert torch.equal(ours.after, theirs.after)


@pytest.mark.parametrize("kind", KINDS)
def test_moving_there_and_back_keeps_parameters_and_their_identity(kind: str) -> None:
    _, ours = pair(kind, 4, 6)
    before, x = list(ours.parameters()), input_of(kind)
    expected = ours(x)
    assert ours.float().double() is ours
    assert all(one is other for one, other in zip(ours.parameters(), before, strict=True))
    close(ours(x), expected, "nn_torch_float32")
    assert {q.device.type for q in ours.to("meta").parameters()} == {"meta"}
    again = ours.to_empty(device="cpu")
    assert again is ours
    again.reset_parameters()
    assert all(bool(q.isfinite().all()) for q in tensors(again(x)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_representation_names_sizes_and_class(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6, bias=False)
    assert repr(ours) == repr(theirs)
    if kind == "RNNCell":  # torch leaves the quotes out
        assert repr(nn.RNNCell(4, 6, nonlinearity="relu")) == "RNNCell(4, 6, nonlinearity='relu')"


@pytest.mark.parametrize("kind", KINDS)
def test_copies_give_the_same_bits_and_are_their_own(kind: str, tmp_path: Path) -> None:
    _, ours = pair(kind, 4, 6)
    x = input_of(kind)
    expected, file = ours(x), tmp_path / "module.pt"
    torch.save(ours, file)
    for again in (
        copy.deepcopy(ours),
        pickle.loads(pickle.dumps(ours)),
        torch.load(file, weights_only=False),
        torch.load(file, weights_only=False, map_location="cpu"),
    ):
        close(again(x), expected, "nn_same_bits")
        assert type(again) is type(ours)
        with torch.no_grad():
            again.get_parameter("weight_ih_l0" if kind in LAYERS else "weight_ih").zero_()
        close(ours(x), expected, "nn_same_bits")


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_state_loads_with_weights_only_both_ways(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    for source, target in ((theirs, getattr(nn, kind)(4, 6)), (ours, getattr(torch.nn, kind)(4, 6))):
        file = io.BytesIO()
        torch.save(source.state_dict(), file)
        file.seek(0)
        target.double().load_state_dict(torch.load(file, weights_only=True))
        close(target(input_of(kind)), source(input_of(kind)), "nn_torch_float64")


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_is_the_parameters_own_memory(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    state = ours.state_dict()
    assert state._metadata == theirs.state_dict()._metadata
    assert {name: q.data_ptr() for name, q in state.items()} == {
        name: q.data_ptr() for name, q in ours.named_parameters()
    }


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("dropout", [0, 0.1234])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_loaded_layer_draws_dropout_as_the_saved_one(kind: str, dropout: float, train: bool) -> None:
    _, ours = pair(kind, 4, 6, 2, dropout=dropout)
    ours.train(train)
    again = pickle.loads(pickle.dumps(ours))
    again.flatten_parameters()
    assert again.training is train
    x, hx, found = input_of(kind), hx_of(ours), list[Tensor]()
    for made in (ours, ours, again):
        set_seed(len(found) // 2)
        found.append(made(x, hx)[0])
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[1], found[2]) == (dropout == 0 or not train)


@pytest.mark.parametrize("kind", KINDS)
def test_functional_calls_take_other_parameters_and_give_their_gradients(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    x = input_of(kind)
    other = {name: (q.detach() * 2).requires_grad_() for name, q in ours.named_parameters()}
    found: list[list[Tensor]] = []
    for made in (theirs, ours):
        results = tensors(torch.func.functional_call(made, other, (x,)))
        found.append([*results, *torch.autograd.grad(total(results), list(other.values()))])
    close(found[1], found[0], "nn_torch_float64")
    close(ours(x), theirs(x), "nn_torch_float64")


@pytest.mark.parametrize(
    ("kind", "arguments", "name"),
    [("LSTM", {}, "weight_hh_l0"), ("LSTM", {"proj_size": 3}, "weight_hr_l0"), ("RNN", {}, "weight_ih_l1"),
     ("LSTMCell", {}, "weight_hh"), ("RNNCell", {}, "weight_ih")],
)  # fmt: skip
def test_weight_normalisation_changes_no_result_and_comes_off(kind: str, arguments: dict[str, Any], name: str) -> None:
    sizes = (4, 6, 2) if kind in LAYERS else (4, 6)
    theirs, ours = pair(kind, *sizes, **arguments)
    x, expected = input_of(kind), theirs(input_of(kind))
    normed = _weight_norm(ours, name)
    close(normed(x), expected, "nn_torch_float64")
    carry_back(total(normed(x)))
    assert all(q.grad is not None for q in normed.parameters())
    close(cast(Any, torch.nn.utils).remove_weight_norm(normed, name)(x), expected, "nn_torch_float64")
    parametrized = parametrizations.weight_norm(ours, name)
    close(parametrized(x), expected, "nn_torch_float64")
    carry_back(total(parametrized(x)))
    assert all(q.grad is not None for q in parametrized.parameters())
    parametrize.remove_parametrizations(parametrized, name)
    close(ours(x), expected, "nn_torch_float64")


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_of_which_a_weight_is_taken_off_moves_and_takes_it_back(kind: str) -> None:
    for made in pair(kind, 4, 6, 2):
        x = input_of(kind)
        expected, weight = made(x), made.weight_hh_l0
        del made.weight_hh_l0
        assert not hasattr(made, "weight_hh_l0")
        made.float().double()
        made.weight_hh_l0 = weight
        close(made(x), expected, "nn_torch_float32")


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_whose_memory_was_exchanged_are_used(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    for made in (theirs, ours):
        values = made.weight_hh_l0.detach().clone() * 2
        with torch.no_grad():
            made.weight_hh_l0.set_(values)
        made.values = values
    same_pass(theirs, ours, input_of(kind, gradient=True), hx_of(ours, gradient=True))
    ours.values.fill_(4)
    assert torch.equal(ours.weight_hh_l0, ours.values)


@pytest.mark.parametrize("kind", [*LAYERS, "projected"])
def test_tied_weights_are_trained_as_one(kind: str) -> None:
    more = {"proj_size": 3} if kind == "projected" else {}
    both = pair("LSTM" if kind == "projected" else kind, 4, 6, batch_first=True, bidirectional=True, **more)
    for made in both:
        made.bias_ih_l0_reverse = made.bias_ih_l0
    theirs, ours = both
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))
    same_pass(theirs, ours, input_of("LSTM", gradient=True), None)
    for made in both:
        optimiser = torch.optim.SGD(made.parameters(), lr=0.1)
        carry_back(total(made(input_of("LSTM"))))
        cast(Any, optimiser).step()
        assert made.bias_ih_l0_reverse is made.bias_ih_l0
    close(ours(input_of("LSTM")), theirs(input_of("LSTM")), "nn_torch_float64")


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_clipped_and_parameters_flattened_as_in_any_module(kind: str) -> None:
    norms: list[Tensor] = []
    theirs, ours = pair(kind, 4, 6)
    for made in (theirs, ours):
        carry_back(total(made(input_of(kind))))
        norms.append(clip_grad_norm_(made.parameters(), 0.1))
    close(norms[1], norms[0], "nn_torch_float64")
    close([q.grad for q in ours.parameters()], [q.grad for q in theirs.parameters()], "nn_torch_float64")
    vector_to_parameters(parameters_to_vector(theirs.parameters()) * 2, ours.parameters())
    vector_to_parameters(parameters_to_vector(theirs.parameters()) * 2, theirs.parameters())
    close(ours(input_of(kind)), theirs(input_of(kind)), "nn_torch_float64")
    ours.zero_grad()
    assert all(q.grad is None for q in ours.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_shared_memory_and_frozen_weights_change_no_result(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    assert ours.share_memory() is ours
    assert all(q.is_shared() for q in ours.parameters())
    close(ours(input_of(kind)), theirs(input_of(kind)), "nn_torch_float64")
    assert not any(q.requires_grad for q in tensors(ours.requires_grad_(False)(input_of(kind))))


def _recorded(made: Any) -> list[Any]:
    """The list that a module's hooks write into what they were called with."""
    calls: list[Any] = []

    def before(_: Any, given: Any) -> None:
        calls.append(len(given))

    def after(_: Any, given: Any, result: Any) -> None:
        calls.append([q.shape for q in tensors((*given, *tensors(result)))])

    def back(_: Any, into: Any, out: Any) -> None:
        calls.append((len(into), len(out)))

    made.register_forward_pre_hook(before)
    made.register_forward_hook(after)
    made.register_full_backward_hook(back)
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_are_called_with_what_torchs_are_called_with(kind: str) -> None:
    seen: list[list[Any]] = []
    for made in pair(kind, 4, 6):
        calls = _recorded(made)
        carry_back(total(made(input_of(kind, gradient=True))))
        seen.append(calls)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("kind", KINDS)
def test_torchscript_takes_torchs_modules_alone(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    script = cast(Any, torch.jit).script
    with pytest.warns(DeprecationWarning, match="jit"):
        script(theirs)
    with pytest.warns(DeprecationWarning, match="jit"), pytest.raises(ValueError, match="Unknown type annotation"):
        script(ours)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_attributes_are_those_of_torch(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6, 2, bias=False, batch_first=True, bidirectional=True, dropout=0.5)
    names = [
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
        "mode",
        "_all_weights",
        "training",
    ]
    assert [getattr(ours, name) for name in names] == [getattr(theirs, name) for name in names]
    assert [[q.shape for q in cell] for cell in ours.all_weights] == [
        [q.shape for q in cell] for cell in theirs.all_weights
    ]
    normed = _weight_norm(ours, "weight_hh_l0")
    assert [q.shape for q in normed.all_weights[0]] == [q.shape for q in theirs.all_weights[0]]
