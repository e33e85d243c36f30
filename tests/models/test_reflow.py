"""Reflow: pairs of a flow that is known, a student of them; from a checkpoint, resumed, and by command."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import diffusions
import numpy
import pytest
import torch
import yaml
from methods import small_networks
from quiet_trainer import quiet_trainer
from torch import Tensor, nn

import lit_gen
import lit_gen.configs
from lit_gen.__main__ import main
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.errors import UserError
from lit_gen.functional.ode_samplers import Euler, Heun
from lit_gen.functional.samplers import Ancestral
from lit_gen.functional.straightness import excess_energy
from lit_gen.functional.time_grid import UniformGrid
from lit_gen.models import Diffusion
from lit_gen.training.noise_pairs import NoisePairs, draw_pairs
from lit_gen.training.reflow import Reflow
from lit_gen.training.seeding import generators

POINT, MEANS, STD = (1, 1, 1), (-1.5, 0.5, 2.0), 0.3
MIDDLE, LENGTHS = (1.0, -2.0), (0.5, 3.0)
FINE = Heun(60, grid=UniformGrid())


class MixtureVelocity(nn.Module):
    """What a perfect network says of a mixture on the line: E[ε − x | x_t] of x_t = (1 − t) x + t ε."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x_t: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        t, means = (c / 1000).view(-1, 1, 1, 1), torch.tensor(MEANS, dtype=torch.float64)
        z, variance = x_t.double(), ((1 - t) * STD) ** 2 + t**2
        shares = (-0.5 * (z - (1 - t) * means) ** 2 / variance).softmax(-1)
        x = (shares * (means + (1 - t) * STD**2 / variance * (z - (1 - t) * means))).sum(-1, keepdim=True)
        return ((z - (1 - t) * x) / t - x).float()


class GaussianVelocity(nn.Module):
    """The same of a Gaussian in the plane, whose coordinates are independent."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x_t: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        t, z = (c / 1000).view(-1, 1, 1, 1), x_t.double()
        mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (MIDDLE, LENGTHS))
        x = mean + (1 - t) * std**2 / (((1 - t) * std) ** 2 + t**2) * (z - (1 - t) * mean)
        return ((z - (1 - t) * x) / t - x).float()


def perfect(network: type[nn.Module], channels: int, steps: Any = FINE) -> Diffusion:
    flow: Any = {**diffusions.FLOW, **diffusions.EXACT, "sampler": steps}
    return Diffusion((channels, 1, 1), network=lambda **_: network(), **flow)


def pairs_of(teacher: Any, num: int, batch_size: int = 5000) -> NoisePairs:
    return draw_pairs(teacher, torch.arange(num), batch_size, 0, None, torch.device("cpu"))


def assert_same(some: NoisePairs, others: NoisePairs) -> None:
    for name in ("noise", "image", "label"):
        found, wanted = getattr(some, name), getattr(others, name)
        assert (found is None) == (wanted is None) and (found is None or torch.equal(found, wanted)), name


def mixture_quantile(epsilon: Tensor) -> Tensor:
    """Maps noise to the point of the mixture that has as much below it, as every flow on a line does; by bisection."""
    share, means = torch.special.ndtr(epsilon.double()), torch.tensor(MEANS, dtype=torch.float64)
    low, high = torch.full_like(share, -9.0), torch.full_like(share, 9.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = torch.special.ndtr((middle[..., None] - means) / STD).mean(-1) < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def test_pairs_of_a_gaussian_are_those_that_its_flow_makes() -> None:
    """x = m + s ε: the marginals are right, and so is what belongs together."""
    pairs = pairs_of(perfect(GaussianVelocity, 2), 4000)
    noise, image = pairs.noise.flatten(1), pairs.image.flatten(1)
    wanted = torch.tensor(MIDDLE) + torch.tensor(LENGTHS) * noise
    torch.testing.assert_close(image, wanted, atol=0.02, rtol=0)
    assert noise.mean(0).abs().max() < 0.06 and (noise.T.cov() - torch.eye(2)).abs().max() < 0.08
    torch.testing.assert_close(image.T.cov(), torch.diag(torch.tensor(LENGTHS)) ** 2, atol=0.3, rtol=0.08)


def test_a_pair_depends_on_its_number_alone() -> None:
    teacher = diffusions.made("points, flow matching", optimal_transport=False)
    many, few = pairs_of(teacher, 7, 3), pairs_of(teacher, 5, 5)
    assert_same(many.rows(slice(5)), few)
    assert torch.equal(many.noise.flatten(1), teacher.latents(7, generators(0, range(7))))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[NoisePairs, Diffusion]:
    """Pairs of the mixture's own flow, and a student of them."""
    pairs = pairs_of(perfect(MixtureVelocity, 1), 6000)
    student = Diffusion(
        POINT,
        network=partial(diffusions.DenseDenoiser, width=64, depth=2),
        reflow=Reflow(),
        optimizer=partial(torch.optim.Adam, lr=3e-3),
        **{**diffusions.FLOW, **diffusions.EXACT, "sampler": Euler(1)},
    )
    assert student.reflow is not None
    student.reflow.prepare = lambda model: None  # type: ignore[method-assign]  # no checkpoint
    student.reflow._pairs = pairs
    torch.manual_seed(0)
    batch = TensorLoader({"image": torch.zeros(100 * 256, *POINT)}, 256)
    quiet_trainer(tmp_path_factory.mktemp("known"), 700).fit(student, batch)
    return pairs, student


def test_pairs_of_a_mixture_have_its_quantiles(known: tuple[NoisePairs, Diffusion]) -> None:
    pairs, _ = known
    off = (pairs.image.double() - mixture_quantile(pairs.noise)).abs().flatten()
    assert off.quantile(0.99) < 0.03 and off.mean() < 0.005


def test_a_student_is_straighter_and_needs_but_one_step(known: tuple[NoisePairs, Diffusion]) -> None:
    _, student = known
    teacher, z = perfect(MixtureVelocity, 1), torch.randn(2000, 1, generator=torch.Generator().manual_seed(5))
    wanted = mixture_quantile(z)
    curved, off, ends = [], [], []
    for model in (teacher, student):
        model.sampler = Euler(50)
        times = [level.t for level in model.sampler.levels(model.noise_schedule)]
        curved.append(excess_energy(model.trajectory(z), times).item())
        model.sampler = Euler(1)
        ends.append(model.generate(z).flatten(1).double())
        off.append((ends[-1] - wanted).square().mean().sqrt().item())
    assert curved[0] > 0.1 and curved[1] < 0.1 * curved[0]
    # All that one step of the teacher's can make is the mean; the student's are of all modes.
    assert ends[0].std() < 0.01 and off[0] > numpy.std(MEANS) - 0.1
    nearest = (ends[1] - torch.tensor(MEANS)).abs().min(1)
    assert off[1] < 0.2 * off[0] and (nearest.values < 3 * STD).double().mean() > 0.9
    assert nearest.indices.bincount().min() > 500


def _fit(folder: Path, steps: int, ckpt_path: Path | None = None, **arguments: Any) -> tuple[Diffusion, Any]:
    folder.mkdir(exist_ok=True)
    model, trainer = diffusions.made("points, flow matching", **arguments), quiet_trainer(folder, steps)
    trainer.fit(model, diffusions.batches(diffusions.POINT), ckpt_path=ckpt_path, weights_only=True)
    return model, trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a flow of points."""
    folder = tmp_path_factory.mktemp("teacher")
    _, trainer = _fit(folder, 4)
    trainer.save_checkpoint(folder / "teacher.ckpt")
    return folder / "teacher.ckpt"


def _given(trained: Path, **arguments: Any) -> dict[str, Any]:
    return {"optimal_transport": False, "reflow": Reflow(str(trained), **({"num_pairs": 40} | arguments))}


def test_a_student_starts_as_its_teacher_and_is_usable_without_it(trained: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.ckpt"
    shutil.copy(trained, given)
    teacher = lit_gen.load(given)
    start, _ = _fit(tmp_path / "start", 0, **_given(given))
    for name, value in teacher.state_dict().items():
        assert torch.equal(start.state_dict()[name], value), name
    model, trainer = _fit(tmp_path / "student", 3, **_given(given))
    trainer.save_checkpoint(tmp_path / "student.ckpt")
    drawn, again = (NoisePairs.read(tmp_path / folder / "pairs.npz") for folder in ("start", "student"))
    assert_same(drawn, again)
    torch.testing.assert_close(drawn.image.flatten(1), teacher.trajectory(drawn.noise.flatten(1))[-1])
    given.unlink()
    found = lit_gen.load(tmp_path / "student.ckpt", network=diffusions.DENSE)
    torch.testing.assert_close(
        found.sample(3, None, generators(0, range(3))), model.eval().sample(3, None, generators(0, range(3)))
    )
    assert not torch.equal(found.network.last.weight, teacher.network.last.weight)
    assert found.held_out(next(iter(diffusions.batches(diffusions.POINT)))) == {}


def test_training_and_held_out_pairs_do_not_mix(trained: Path, tmp_path: Path) -> None:
    model, _ = _fit(tmp_path, 1, **_given(trained))
    reflow, pairs = model.reflow, NoisePairs.read(tmp_path / "pairs.npz")
    assert reflow is not None
    seen, kept = (reflow.ends(400, held_out) for held_out in (False, True))
    assert {*seen[1][:, 0].flatten().tolist()} == {*pairs.noise[:36, 0].flatten().tolist()}
    assert {*kept[1][:, 0].flatten().tolist()} == {*pairs.noise[36:, 0].flatten().tolist()}
    image, noise, _ = kept
    rows = (pairs.noise == noise[7]).flatten(1).all(1).nonzero()
    assert torch.equal(pairs.image[rows[0, 0]], image[7])
    assert "loss/held_out" in model.held_out(next(iter(diffusions.batches(diffusions.POINT))))


@pytest.mark.parametrize("kept", [True, False], ids=["pairs kept", "pairs lost"])
def test_a_resumed_run_is_the_run_that_never_stopped(trained: Path, tmp_path: Path, kept: bool) -> None:
    whole, _ = _fit(tmp_path / "whole", 4, **_given(trained))
    _, trainer = _fit(tmp_path / "half", 2, **_given(trained))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    if kept:  # the teacher may be gone
        given = _given(tmp_path / "gone.ckpt")
    else:
        (tmp_path / "half" / "pairs.npz").unlink()
        given = _given(trained, batch_size=7)
    resumed, _ = _fit(tmp_path / "half", 4, tmp_path / "half.ckpt", **given)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_labels_of_a_guided_teacher_come_along(tmp_path: Path) -> None:
    own: Any = {**diffusions.FLOW, "sampler": Euler(2), "conditional": True}
    teacher = diffusions.made("v, guided", **own)
    pairs = draw_pairs(teacher, torch.arange(6), 4, 0, 3, torch.device("cpu"))
    assert pairs.label is not None and {*pairs.label.tolist()} <= {0, 1, 2}
    torch.testing.assert_close(pairs.image, teacher.generate(pairs.noise.flatten(1), pairs.label))
    pairs.write(tmp_path / "pairs.npz")
    assert_same(NoisePairs.read(tmp_path / "pairs.npz"), pairs)
    ends = []
    for student in ({}, {"reflow": Reflow(str(tmp_path / "last.ckpt"), num_pairs=20), "guidance": 1.0}):
        model, trainer = diffusions.made("v, guided", **own, **student), quiet_trainer(tmp_path, 2)
        trainer.fit(model, diffusions.batches(diffusions.IMAGE))
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        ends.append(model.eval().sample(3, torch.arange(3), generators(0, range(3))))
    assert NoisePairs.read(tmp_path / "pairs.npz").label is not None
    assert ends[1].isfinite().all() and not torch.equal(*ends)


def test_what_does_not_fit_is_one_line(trained: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ({"reflow": Reflow()}, "teacher is missing"),
        (_given(tmp_path / "none.ckpt"), "no checkpoint"),
        ({**_given(trained), "optimal_transport": True}, "not for model.reflow"),
        ({**_given(trained), "network": partial(diffusions.DENSE, depth=3)}, "another network"),
        (
            {**_given(trained), "noise_schedule": diffusions.CosineSchedule()},
            "RectifiedFlowSchedule, and the model Cos",
        ),
    ):
        with pytest.raises(UserError, match=message):
            _fit(tmp_path, 1, **({"optimal_transport": False} | arguments))
    with pytest.raises(UserError, match="reflow needs VelocityPrediction"):
        diffusions.made("points, ddim", reflow=Reflow())
    with pytest.raises(UserError, match="noise on its way"):
        Reflow(sampler=Ancestral(3))
    with pytest.raises(UserError, match="num_pairs"):
        Reflow(num_pairs=1)
    (tmp_path / "pairs.npz").write_text("no pairs")
    with pytest.raises(UserError, match="delete it"):
        NoisePairs.read(tmp_path / "pairs.npz")


def test_from_points_to_one_step_by_two_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = (
        *("--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"),
        *("--points.num_points", "50", "--points.num_drawn", "20", "--data.num_train", "64", "--data.num_val", "16"),
        *("--data.batch_size", "16", "--trainer.accelerator", "cpu"),
    )
    for name, teacher in (("flow_matching_ring", None), ("reflow_ring", "runs/flow_matching_ring/version_0")):
        path = Path(lit_gen.configs.__file__).parent / "diffusion" / f"{name}.yaml"
        model = yaml.safe_load(path.read_text("utf-8"))["model"]
        loose = {"class_path": "ProbabilityFlow", "init_args": {"trace": "exact", "rtol": 0.5, "atol": 0.5}}
        init = {**model["init_args"], **small_networks(model), "likelihood": loose}
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"model": {**model, "init_args": init}}))
        last = [] if teacher is None else ["--model.reflow.teacher", f"{teacher}/checkpoints/last.ckpt"]
        last += [] if teacher is None else ["--model.reflow.num_pairs", "30"]
        assert main(["fit", "--config", f"diffusion/{name}", "--config", f"{name}.yaml", *short, *last]) == 0
    run = Path("runs/reflow_ring/version_0")
    assert len(NoisePairs.read(run / "pairs.npz").noise) == 30
    shutil.rmtree("runs/flow_matching_ring")
    student = lit_gen.load(run / "checkpoints" / "last.ckpt")
    assert isinstance(student.sampler, Euler) and student.sampler.steps == 1
    assert student.sample(3).isfinite().all()
    again = [*short, "--trainer.max_steps", "4", "--ckpt_path", "last"]
    assert main(["fit", "--config", "diffusion/reflow_ring", "--config", "reflow_ring.yaml", *again]) == 0
    assert lit_gen.load(run / "checkpoints" / "last.ckpt").sample(2).isfinite().all()
    without = ["fit", "--config", "diffusion/reflow_ring", "--config", "reflow_ring.yaml", *short]
    assert main(without) == 2
