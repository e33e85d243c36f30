"""Normalizing flows: densities that sum to 1, bounds, samples, and training that can be trusted."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import torch
from pytorch_lightning import Callback
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.nn.functional import logsigmoid

from lit_gen.callbacks import DivergenceGuard
from lit_gen.contracts import SupportsEncode, SupportsLatents, SupportsLogProb, SupportsReconstruct, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.base_distributions import StandardLogistic
from lit_gen.functional.mode_coverage import cell_centres
from lit_gen.functional.noise import rand
from lit_gen.functional.preprocessing import Logits
from lit_gen.functional.quantize import to_uint8
from lit_gen.models import NormalizingFlow
from lit_gen.nn.dense_flows import DenseRealNVP
from lit_gen.nn.dequantisation import NoDequantisation, UniformDequantisation
from lit_gen.nn.nice import NICE
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.seeding import generators

SCRIPT = Path(__file__).with_name("flows.py")
_spec = importlib.util.spec_from_file_location("flows", SCRIPT)
flows = importlib.util.module_from_spec(_spec)
sys.modules["flows"] = flows
_spec.loader.exec_module(flows)

every = pytest.mark.parametrize("name", flows.FLOWS)
images_only = pytest.mark.parametrize(
    "name", [name for name, (shape, _) in flows.FLOWS.items() if shape != flows.POINT]
)


def held(model: NormalizingFlow, num: int = 5) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Returns images and labels as a model wants them."""
    batch = next(iter(flows.batches(model.image_shape)))
    return batch["image"][:num], batch["label"][:num] if model.num_classes else None


def stirred(model: NormalizingFlow, by: float = 0.05) -> NormalizingFlow:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return model.eval()


class Gradients(Callback):
    """Looks at gradients before each step."""

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        for name, parameter in pl_module.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@every
def test_training_moves_every_parameter_by_finite_gradients_and_lowers_the_loss(name: str, tmp_path: Path) -> None:
    start = flows.made(name)
    model, _ = flows.fit(name, tmp_path, 6, callbacks=[Gradients()])
    image, label = held(start)
    noise = generators(0, range(5))
    with torch.no_grad():
        before = start.eval().log_prob(image, label, noise).mean()
        after = model.eval().log_prob(image, label, generators(0, range(5))).mean()
    assert after > before
    now = dict(model.named_parameters())
    stuck = [key for key, value in start.named_parameters() if torch.equal(value, now[key])]
    assert not stuck


@every
def test_a_resumed_run_is_the_run_that_never_stopped(name: str, tmp_path: Path) -> None:
    whole, _ = flows.fit(name, tmp_path, 4)
    _, trainer = flows.fit(name, tmp_path, 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = flows.fit(name, tmp_path, 4, ckpt_path=tmp_path / "half.ckpt")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@every
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision(name: str, precision: str, tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    how = (
        {"precision": precision} if precision == "bf16-mixed" else {"plugins": MixedPrecision(precision, "cpu", scaler)}
    )
    model, _ = flows.fit(name, tmp_path, 2, **how)
    assert precision == "bf16-mixed" or scaler.get_scale() == 2.0**4
    for key, value in model.state_dict().items():
        assert value.dtype not in (torch.bfloat16, torch.float16) and torch.isfinite(value).all(), key
    image, label = held(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model.eval().log_prob(image, label).dtype == torch.float32


@every
def test_it_keeps_its_contracts(name: str) -> None:
    model = stirred(flows.made(name))
    image, label = held(model)
    for contract in (SupportsSample, SupportsLatents, SupportsEncode, SupportsReconstruct, SupportsLogProb):
        assert isinstance(model, contract)
    assert isinstance(model, ObjectiveModule)
    with torch.no_grad():
        z = model.encode(image, label)
        assert z.shape == model.latents(5).shape == (5, math.prod(model.image_shape))
        back = model.reconstruct(image, label)
        if model.quantised:
            assert torch.equal(to_uint8(back), to_uint8(image))
            assert (back - image).abs().max() < 1e-6
        else:
            torch.testing.assert_close(back, image, rtol=1e-4, atol=1e-4)
        path = model.trajectory(z, label)
        assert torch.equal(path[0], z)
        torch.testing.assert_close(path[-1], model.generate(z, label).flatten(1))


@every
def test_images_depend_on_their_own_noise_alone(name: str) -> None:
    model = stirred(flows.made(name))
    image, label = held(model)
    whole = model.sample(5, label, generators(0, range(5)))
    one = model.sample(1, None if label is None else label[3:4], generators(0, [3]))
    torch.testing.assert_close(one[0], whole[3], atol=1e-2, rtol=1e-4)  # a rounding of 8 bits may differ
    assert whole.shape == (5, *model.image_shape) and not torch.allclose(whole[0], whole[3], atol=1e-2)
    with torch.no_grad():
        log_prob = model.log_prob(image, label, generators(0, range(5)))
        one_log_prob = model.log_prob(image[3:4], None if label is None else label[3:4], generators(0, [3]))
    torch.testing.assert_close(one_log_prob[0], log_prob[3], rtol=1e-5, atol=1e-3)


@every
@pytest.mark.parametrize("training", [False, True])
def test_a_loss_does_not_change_with_the_size_of_the_batch(name: str, training: bool) -> None:
    """Nor with its other images, in training too, once ActNorm has its start."""
    model = flows.made(name)
    image, label = held(model, 8)
    model.train()
    model.log_prob(image, label)
    model.train(training)
    whole = model.log_prob(image, label, generators(0, range(8)))
    parts = [
        model.log_prob(image[i : i + 2], None if label is None else label[i : i + 2], generators(0, range(i, i + 2)))
        for i in range(0, 8, 2)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-3)
    torch.manual_seed(3)
    loss = model.objective({"image": image, "label": torch.arange(8) % 3 if label is None else label})
    torch.manual_seed(3)
    torch.testing.assert_close(loss, -model.log_prob(image, label).mean())


@pytest.mark.parametrize("name", ["dense realnvp", "spline"])
def test_a_density_of_the_plane_sums_to_one(name: str, tmp_path: Path) -> None:
    """Trained on a Gaussian at 3 of width 2, then over a fine grid around it."""
    model, _ = flows.fit(name, tmp_path, 40, max_epochs=-1)
    model = model.double().eval()
    bounds, cells = ((-17.0, 23.0),) * 2, 400
    with torch.no_grad():
        points = cell_centres(bounds, cells)[:, :, None, None]
        log_prob = torch.cat([model.log_prob(part) for part in points.split(40_000)])
    total = log_prob.exp().sum().item() * (40 / cells) ** 2
    assert total == pytest.approx(1.0, abs=1e-3)
    # What it draws is what it weighs: the sample's mean is the density's.
    mean = (points.flatten(1) * log_prob.exp()[:, None]).sum(0) * (40 / cells) ** 2
    drawn = model.float().sample(20_000, generator=torch.Generator().manual_seed(0)).flatten(1)
    assert (drawn.mean(0) - mean).abs().max() < 0.08


@pytest.mark.parametrize("preprocessing", [None, Logits()], ids=["centring", "logits"])
def test_probabilities_of_all_images_sum_to_what_the_density_has_inside(preprocessing: Any) -> None:
    """Images of two pixels: all 65,536 of them, against the share of the model's points that lie among them."""
    arguments = {} if preprocessing is None else {"preprocessing": preprocessing}
    torch.manual_seed(0)
    model = NormalizingFlow(
        (1, 1, 2), flow=lambda image_shape, num_classes: DenseRealNVP(image_shape, width=8), **arguments
    )
    model = stirred(model, 0.1)
    with torch.no_grad():
        model.flow.layers.layers[1].log_gain.fill_(-0.7)  # so that some of the mass lies outside
    values = torch.cartesian_prod(torch.arange(256), torch.arange(256)) / 127.5 - 1
    with torch.no_grad():
        total = model.log_prob(values[:, None, None, :], None, torch.Generator().manual_seed(0)).exp().sum().item()
        z = model.latents(200_000, torch.Generator().manual_seed(1))
        y = model.preprocessing.inverse(model.flow.inverse(z))
    inside = ((y >= 0) & (y <= 1)).flatten(1).all(dim=1).float().mean().item()
    assert 0.1 < inside < 0.99
    assert total == pytest.approx(inside, abs=0.005)


def test_the_probability_of_a_known_density() -> None:
    """NICE starts as the identity: pixels are logistic, and the rest is the Jacobian of the scaling, D log 128."""
    model = NormalizingFlow(
        (1, 3, 3), flow=lambda image_shape, num_classes: NICE(image_shape, width=4), base=StandardLogistic()
    )
    image = torch.randint(0, 256, (4, 1, 3, 3)) / 127.5 - 1
    with torch.no_grad():
        log_prob = model.log_prob(image, None, torch.Generator().manual_seed(5))
    u = rand(image.shape, torch.Generator().manual_seed(5), image.device)
    x = (((image + 1) * 127.5).round() + u) / 128 - 1
    wanted = scipy.stats.logistic.logpdf(x.double().numpy()).sum(axis=(1, 2, 3)) - 9 * math.log(128)
    torch.testing.assert_close(log_prob, torch.from_numpy(wanted).float(), rtol=1e-5, atol=1e-4)
    assert model.log_prob_of == "8-bit images"


@images_only
def test_more_draws_make_a_tighter_bound(name: str) -> None:
    model = stirred(flows.made(name), 0.1).double()
    image, label = held(model)
    image = image.double()
    with torch.no_grad():
        torch.manual_seed(0)
        singles = torch.stack([model.log_prob(image, label) for _ in range(16)])
        model.draws = 16
        torch.manual_seed(0)
        bound = model.log_prob(image, label)
    torch.testing.assert_close(bound, singles.logsumexp(0) - math.log(16))
    assert (bound > singles.mean(0)).all()
    assert "16 draws" in model.log_prob_of


def test_the_log_probability_of_points_is_the_densitys() -> None:
    model = flows.made("spline").eval()  # untrained, the identity
    points = torch.randn(6, 2, 1, 1)
    wanted = scipy.stats.norm.logpdf(points.numpy()).sum(axis=(1, 2, 3))
    with torch.no_grad():
        torch.testing.assert_close(model.log_prob(points), torch.from_numpy(wanted).float(), rtol=1e-4, atol=1e-4)
    assert model.log_prob_of == "points (a density)"


def test_temperature_shrinks_latents() -> None:
    model = stirred(flows.made("dense realnvp"))
    seed = lambda: torch.Generator().manual_seed(0)  # noqa: E731
    plain, cold = model.latents(9, seed()), model.latents(9, seed(), temperature=0.5)
    torch.testing.assert_close(cold, 0.5 * plain)
    torch.testing.assert_close(model.sample(9, None, seed(), temperature=0.5), model.generate(cold))
    with pytest.raises(UserError, match="above 0"):
        model.sample(3, temperature=0.0)


def test_labels_decide_images_where_the_model_knows_them() -> None:
    model = stirred(flows.made("glow, variational, classes"), 0.2)
    image, label = held(model)
    z = model.latents(5)
    with torch.no_grad():
        assert not torch.allclose(model.encode(image, label), model.encode(image, (label + 1) % 3))
        assert model.generate(z, label).ne(model.generate(z, (label + 1) % 3)).any()
    with pytest.raises(UserError, match="needs labels"):
        model.generate(z)
    with pytest.raises(UserError, match="run from 0 to 2"):
        model.sample(1, torch.tensor([3]))
    with pytest.raises(UserError, match="unconditional"):
        flows.made("glow").sample(1, torch.tensor([0]))


def test_what_cannot_be_is_refused() -> None:
    for name, arguments, message in (
        ("glow", {"draws": 0}, "draws is 0"),
        ("spline", {"preprocessing": Logits()}, "Centring"),
        ("glow", {"dequantisation": NoDequantisation}, "for points"),
        ("spline", {"dequantisation": UniformDequantisation}, "for points"),
    ):
        with pytest.raises(UserError, match=message):
            flows.made(name, **arguments)
    with pytest.raises(UserError, match="no labels"):
        NormalizingFlow((1, 8, 8), None, conditional=True)


@pytest.mark.parametrize("name", ["glow", "spline"])
def test_nan_ends_the_run_loudly(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Poison(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if trainer.global_step == 2:
                batch["image"][0] = math.nan

    with pytest.raises(UserError, match="diverged: at step 3"):
        flows.fit(name, tmp_path, 6, callbacks=[Poison(), DivergenceGuard()], log_every_n_steps=1)


def test_logits_never_leave_the_pixels_range() -> None:
    x = torch.tensor([-200.0, 0.0, 200.0])
    y = Logits().inverse(x)
    assert y[0] == pytest.approx(-0.05 / 0.9) and y[2] == pytest.approx(0.95 / 0.9)
    assert torch.isfinite(logsigmoid(x)).all()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("flows")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run([*torchrun, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_train_as_one(two_ranks: list[dict[str, torch.Tensor]], tmp_path: Path) -> None:
    """Halves of the same batches, without noise: ActNorm's start and all that follows is what one process has."""
    alone, _ = flows.fit("dense realnvp", tmp_path, 3, flows.EXACT)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(two_ranks[0][key], two_ranks[1][key], rtol=0, atol=1e-7, msg=key)
        torch.testing.assert_close(two_ranks[0][key], value, rtol=1e-4, atol=1e-5, msg=key)
