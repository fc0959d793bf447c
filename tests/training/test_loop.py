import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from synth2obs.core.errors import ConfigError, Interrupted, ModelError, OutputError
from synth2obs.models.checkpoint import load_tensors, save_tensors
from synth2obs.training.loop import run_stages
from synth2obs.training.steps import adam_tensors, load_adam, step_generator
from synth2obs.training.tracking.tracker import NullTracker

SCRIPT = Path(__file__).with_name("toy_stage.py")
SENT = (signal.SIGKILL, signal.SIGINT)


class Recorder(NullTracker):
    """Remembers what was logged and how it ended."""

    def __init__(self):
        self.rows, self.stages, self.status = [], [], None

    def start_stage(self, name):
        self.stages.append(name)

    def log(self, step, metrics):
        self.rows += [(self.stages[-1], step, key) for key in metrics]

    def close(self, status):
        self.status = status


def run(folder, *stages, tracker=None, every=7, **options):
    return run_stages(
        stages, folder, tracker or NullTracker(), checkpoint_every=every, progress=False, **options
    )


def final(folder, name="A"):
    return load_tensors(folder / "checkpoints" / f"{name}.safetensors")


def assert_identical(found, expected):
    assert found.keys() == expected.keys()
    for key in expected:
        assert torch.equal(found[key], expected[key]), key


def spawn(folder):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_for_step(process, folder, step):
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints" / "A.safetensors").exists() or final(folder)[1]["step"] < step:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.005)


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    """Trainings in processes of their own, all begun at once, each with its folder."""
    folders = [tmp_path_factory.mktemp("training") for _ in SENT]
    begun = {number: (spawn(folder), folder) for number, folder in zip(SENT, folders, strict=True)}
    yield begun
    for process, _ in begun.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """The 1000 steps of the script, without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, toy.ToyStage(steps=1000), every=1000)
    return final(folder)[0]


@pytest.mark.parametrize("number", SENT)
def test_a_process_that_dies_goes_on_bit_identically(number, trainings, toy, whole):
    process, folder = trainings[number]
    wait_for_step(process, folder, 10)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    meta = final(folder)[1]
    assert 10 <= meta["step"] < 1000 and not meta["done"]
    if number != signal.SIGKILL:
        assert f"stopped in A after step {meta['step']} of 1000" in errors
    run(folder, toy.ToyStage(steps=1000))
    assert_identical(final(folder)[0], whole)


def test_stages_run_in_order_and_are_skipped_when_done(toy, tmp_path):
    first = Recorder()
    run(tmp_path, toy.ToyStage("A", 5), lambda: toy.ToyStage("B", 4), tracker=first)
    assert first.stages == ["A", "B"] and first.status is None
    assert first.rows[:6] == [("A", step, "loss") for step in range(5)] + [("A", 5, "mean")]
    again, stage = Recorder(), toy.ToyStage("A", 5)
    run(tmp_path, stage, toy.ToyStage("B", 4), tracker=again)
    assert again.rows == []
    assert_identical(dict(stage.tensors()), final(tmp_path)[0])


def test_stages_say_where_they_are_and_what_was_done_before(toy, tmp_path, caplog):
    caplog.set_level("INFO", "synth2obs")
    run(tmp_path, toy.ToyStage("A", 5))
    run(tmp_path, toy.ToyStage("A", 5), toy.ToyStage("B", 4))
    assert [message.split(" in 0")[0] for message in caplog.messages] == [
        "A: 5 steps",
        "A: done",
        "A: done before, loaded from its checkpoint",
        "B: 4 steps",
        "B: done",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_step_and_closes_the_tracker(number, toy, tmp_path):
    class Stopped(toy.ToyStage):
        def step(self, index):
            if index == 3:
                os.kill(os.getpid(), number)
            return super().step(index)

    before, recorder = signal.getsignal(number), Recorder()
    with pytest.raises(Interrupted, match="after step 4 of 30"):
        run(tmp_path, Stopped(), tracker=recorder)
    assert recorder.status == "KILLED" and final(tmp_path)[1]["step"] == 4
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait_and_harms_no_checkpoint(toy, tmp_path):
    class Stopped(toy.ToyStage):
        def step(self, index):
            if index == 9:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(index)

    recorder = Recorder()
    with pytest.raises(Interrupted, match="at once"):
        run(tmp_path, Stopped(), tracker=recorder)
    assert recorder.status == "KILLED" and final(tmp_path)[1]["step"] == 7


def test_an_interruption_between_last_step_and_end_repeats_the_end_only(toy, tmp_path):
    class Stopped(toy.ToyStage):
        def finish(self):
            raise RuntimeError("no power")

    recorder = Recorder()
    with pytest.raises(RuntimeError):
        run(tmp_path / "a", Stopped(), tracker=recorder)
    assert recorder.status == "FAILED" and final(tmp_path / "a")[1]["step"] == 30
    resumed = Recorder()
    run(tmp_path / "a", toy.ToyStage(), tracker=resumed)
    assert resumed.rows == [("A", 30, "mean")]
    run(tmp_path / "b", toy.ToyStage())
    assert_identical(final(tmp_path / "a")[0], final(tmp_path / "b")[0])


def test_runs_in_a_thread_without_signal_handlers(toy, tmp_path):
    thread = threading.Thread(target=run, args=(tmp_path, toy.ToyStage(steps=3)))
    thread.start()
    thread.join()
    assert final(tmp_path)[1]["done"]


def test_another_configuration_is_refused_and_named(toy, tmp_path):
    run(tmp_path, toy.ToyStage(steps=3), settings={"lr": 0.01, "seed": 1, "threads.io": 2})
    opened = []
    with pytest.raises(ConfigError, match=r"lr: 0\.01 → 0\.02"):
        run(
            tmp_path,
            toy.ToyStage(steps=3),
            tracker=lambda: opened.append(1),
            settings={"lr": 0.02, "seed": 1, "threads.io": 2},
            may_change=["threads"],
        )
    assert not opened
    with pytest.raises(ConfigError, match=r"threads\.io"):
        run(tmp_path, toy.ToyStage(steps=3), settings={"lr": 0.01, "seed": 1, "threads.io": 4})


def test_named_settings_may_change(toy, tmp_path):
    run(tmp_path, toy.ToyStage(steps=3), settings={"lr": 1, "threads.io": 2}, may_change=["threads"])
    run(tmp_path, toy.ToyStage(steps=3), settings={"lr": 1, "threads.io": 4}, may_change=["threads"])


def test_a_checkpoint_of_other_settings_is_refused(toy, tmp_path):
    run(tmp_path, toy.ToyStage(steps=3), settings={"lr": 1})
    (tmp_path / "settings.json").write_text(json.dumps({"lr": 2}))
    with pytest.raises(ConfigError, match="another configuration"):
        run(tmp_path, toy.ToyStage(steps=3), settings={"lr": 2})


def test_a_shorter_stage_is_refused(toy, tmp_path):
    run(tmp_path, toy.ToyStage(steps=4))
    with pytest.raises(ConfigError, match="is at step 4, but A has 3"):
        run(tmp_path, toy.ToyStage(steps=3))


def test_two_stages_of_one_name_are_refused(toy, tmp_path):
    with pytest.raises(ConfigError, match="two stages are called 'A'"):
        run(tmp_path, toy.ToyStage(steps=1), toy.ToyStage(steps=1))


def test_no_steps_between_checkpoints_is_refused(toy, tmp_path):
    with pytest.raises(ConfigError, match="at least 1 step, got 0"):
        run(tmp_path, toy.ToyStage(), every=0)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(loss, toy, tmp_path):
    class Diverging(toy.ToyStage):
        def step(self, index):
            return super().step(index) if index < 8 else {"loss": loss}

    recorder = Recorder()
    with pytest.raises(ModelError, match="A: the loss at step 8 is"):
        run(tmp_path, Diverging(), tracker=recorder)
    assert recorder.status == "FAILED" and final(tmp_path)[1]["step"] == 7


def test_two_processes_cannot_train_in_one_folder(toy, tmp_path):
    class Nested(toy.ToyStage):
        def step(self, index):
            with pytest.raises(OutputError, match="another process"):
                run(tmp_path, toy.ToyStage())
            return super().step(index)

    run(tmp_path, Nested(steps=1))


def test_leftovers_of_a_killed_process_are_removed(toy, tmp_path):
    leftover = tmp_path / "checkpoints" / ".A.0123abcd.partial.safetensors"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    run(tmp_path, toy.ToyStage(steps=1))
    assert [path.name for path in leftover.parent.iterdir()] == ["A.safetensors"]


def test_a_tracker_that_cannot_be_closed_does_not_hide_the_reason(toy, tmp_path):
    class Broken(NullTracker):
        def close(self, status):
            raise OutputError("disk full")

    class Failing(toy.ToyStage):
        def step(self, index):
            raise ModelError("the reason")

    with pytest.raises(ModelError, match="the reason") as caught:
        run(tmp_path, Failing(), tracker=Broken())
    assert "disk full" in caught.value.__notes__[0]


def test_random_numbers_depend_on_seed_stage_and_step():
    def draw(*key):
        return torch.randn(4, generator=step_generator(*key))

    torch.testing.assert_close(draw(1, "A", 2), draw(1, "A", 2), rtol=0, atol=0)
    for other in [(2, "A", 2), (1, "B", 2), (1, "A", 3)]:
        assert not torch.equal(draw(1, "A", 2), draw(*other))


@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"weight_decay": 0.1}])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_optimiser_state_survives_the_disk(kind, options, tmp_path):
    def make():
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        groups = [{"params": [net.weight], "lr": 0.1}, {"params": [net.bias], "lr": 0.01}]
        return net, kind(groups, **options)

    def advance(net, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            net(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()

    net, optimizer = make()
    advance(net, optimizer, 3)
    optimizer.param_groups[0]["lr"] = 0.05
    save_tensors(tmp_path / "s.safetensors", {**net.state_dict(), **adam_tensors(optimizer)}, {})
    other, fresh = make()
    tensors, _ = load_tensors(tmp_path / "s.safetensors")
    other.load_state_dict({key: tensors[key] for key in ("weight", "bias")})
    load_adam(fresh, tensors)
    assert [group["lr"] for group in fresh.param_groups] == [0.05, 0.01]
    advance(net, optimizer, 2)
    advance(other, fresh, 2)
    assert_identical(other.state_dict(), net.state_dict())


def test_state_of_another_optimiser_is_refused():
    small, large = torch.nn.Linear(2, 2), torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(small.parameters())
    small(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    with pytest.raises(ModelError, match=r"state/0: expected shape \(3, 2\), found \(2, 2\)"):
        load_adam(torch.optim.Adam(large.parameters()), adam_tensors(optimizer))
    with pytest.raises(ModelError, match="expected 1 learning rates, found none"):
        load_adam(optimizer, {})


def test_a_resume_with_other_threads_is_told(toy, tmp_path, caplog):
    class Stopped(toy.ToyStage):
        def step(self, index):
            if index == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(index)

    before = torch.get_num_threads()
    with pytest.raises(Interrupted):
        run(tmp_path, Stopped())
    torch.set_num_threads(before + 1)
    try:
        run(tmp_path, toy.ToyStage())
    finally:
        torch.set_num_threads(before)
    (warned,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"threads {before} → {before + 1}" in warned and "not bit for bit" in warned
