"""A run that was cut off and resumed ends with the bits of a run that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peephole.errors import ArgumentError, ArtifactError
from peephole.training import Interrupted, Progress, TrainingSettings, train, write_checkpoint
from tests.training.runs import BATCHES, EPOCHS, STEPS, network, run, same_bits, samples


@given(cut=st.integers(0, STEPS - 1), validated=st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ctrl_c_at_any_batch_changes_no_bit(cut: int, validated: bool, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.unlink(missing_ok=True)
    whole, broken = network(), network()
    expected = run(whole, validated=validated)

    def interrupt(step: int) -> None:
        if step == cut:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as raised:
        run(broken, validated=validated, before_step=interrupt, checkpoint=file)
    assert raised.value.checkpoint == file
    assert raised.value.epoch == (cut + 1) // BATCHES
    again = network()
    result = run(again, validated=validated, checkpoint=file, resume=True)
    assert same_bits(whole, again)
    assert result == expected


def test_keyboard_interrupt_in_the_callback_is_an_interruption(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    whole, broken = network(), network()
    run(whole)
    with pytest.raises(Interrupted, match="after 2 whole epochs; resume from"):
        run(broken, progress=stop, checkpoint=tmp_path / "c.pt")
    run(broken, checkpoint=tmp_path / "c.pt", resume=True)
    assert same_bits(whole, broken)


def test_interrupted_without_a_checkpoint_says_that_nothing_was_saved() -> None:
    with pytest.raises(Interrupted, match="nothing was saved"):
        run(network(), before_step=lambda step: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_interrupts_at_once(tmp_path: Path) -> None:
    def twice(step: int) -> None:
        if step == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    whole, broken = network(), network()
    run(whole)
    with pytest.raises(Interrupted):
        run(broken, before_step=twice, checkpoint=tmp_path / "c.pt")
    run(broken, checkpoint=tmp_path / "c.pt", resume=True)
    assert same_bits(whole, broken)


_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from tests.training.runs import network, run
run(network(), before_step=lambda step: print(step, flush=True), checkpoint=sys.argv[2], resume=sys.argv[3] == "1")
"""


def test_sigkill_at_any_batch_changes_no_bit(tmp_path: Path) -> None:
    root, file = str(Path(__file__).parents[2]), tmp_path / "checkpoint.pt"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole, again = network(), network()
        expected = run(whole)
        for resume, updates in (("0", BATCHES + 2), ("1", 3)):  # killed inside an epoch, resumed, killed again
            command = [sys.executable, "-c", _CHILD, root, str(file), resume]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy()) as child:
                assert child.stdout is not None
                for line in child.stdout:
                    if int(line) == updates:
                        child.send_signal(signal.SIGKILL)
                        break
            assert child.returncode == -signal.SIGKILL
        result = run(again, checkpoint=file, resume=True)
    finally:
        torch.set_num_threads(threads)
    assert same_bits(whole, again)
    assert result == expected


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    module, again = network(), network()
    expected = run(module, checkpoint=tmp_path / "c.pt")
    assert run(again, checkpoint=tmp_path / "c.pt", resume=True) == expected
    assert same_bits(module, again)


def test_a_run_can_be_lengthened(tmp_path: Path) -> None:
    whole, grown = network(), network()
    longer = TrainingSettings(max_epochs=EPOCHS + 2, seed=3)
    run(whole, settings=longer)
    run(grown, checkpoint=tmp_path / "c.pt")
    run(grown, checkpoint=tmp_path / "c.pt", resume=True, settings=longer)
    assert same_bits(whole, grown)


def test_a_checkpoint_is_never_overwritten_by_a_new_run(tmp_path: Path) -> None:
    run(network(), checkpoint=tmp_path / "c.pt")
    before = (tmp_path / "c.pt").read_bytes()
    with pytest.raises(ArgumentError, match="does not exist"):
        run(network(), checkpoint=tmp_path / "c.pt")
    assert (tmp_path / "c.pt").read_bytes() == before


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    run(network(), checkpoint=tmp_path / "c.pt", identity="these data")
    with pytest.raises(ArgumentError, match="other data or another network"):
        run(network(), checkpoint=tmp_path / "c.pt", resume=True, identity="those data")
    other = TrainingSettings(max_epochs=EPOCHS, seed=4)
    with pytest.raises(ArgumentError, match=r"seed must be what it was .*got 4, then 3"):
        run(network(), checkpoint=tmp_path / "c.pt", resume=True, settings=other)
    with pytest.raises(ArgumentError, match="resume needs a checkpoint"):
        run(network(), resume=True)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "other", "newer"])
def test_a_damaged_checkpoint_is_named(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "c.pt"
    run(network(), checkpoint=file)
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "other":
        torch.save({"weights": torch.zeros(2)}, file)
    elif damage == "newer":
        write_checkpoint(file, {"format_version": 99})
    else:
        file.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "text": b"hello"}[damage])
    with pytest.raises(ArtifactError, match=r"c\.pt"):
        run(network(), checkpoint=file, resume=True)


def test_a_failed_write_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.pt"
    write_checkpoint(file, {"step": 1})
    before = file.read_bytes()

    def full(_content: Any, path: Path) -> None:
        path.write_bytes(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ArtifactError, match=r"No space left .* unharmed"):
        write_checkpoint(file, {"step": 2})
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_checkpoint_executes_nothing(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"format": "peephole-checkpoint", "attack": Attack()}, tmp_path / "c.pt")
    with pytest.raises(ArtifactError):
        train(network(), samples(1), checkpoint=tmp_path / "c.pt", resume=True)
    assert not (tmp_path / "attacked").exists()
