"""Autoregressive models: exact probabilities, both ways of sampling, completion, and what must hold of all models."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import autoregressives
import pytest
import torch
from pytorch_lightning import Callback

from lit_gen.contracts import SupportsLogProb, SupportsRows, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.bits_per_dim import bits_per_dim
from lit_gen.functional.categorical_pixels import CategoricalPixels
from lit_gen.functional.logistic_mixture import LogisticMixturePixels
from lit_gen.models import Autoregressive
from lit_gen.nn.drawing import pixel_log_prob
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.nn.image_transformer import ImageTransformer
from lit_gen.nn.multi_scale_network import MultiScaleNetwork
from lit_gen.nn.pixel_rnn import PixelRNN
from lit_gen.nn.pixelcnn import PixelCNN
from lit_gen.nn.pixelcnnpp import PixelCNNPP
from lit_gen.nn.row_lstm import RowLSTM
from lit_gen.training.seeding import generators

every = pytest.mark.parametrize("name", autoregressives.MODELS)
_GATED = partial(GatedPixelCNN, features=12, blocks=2)
_SCALES = partial(MultiScaleNetwork, small=_GATED, large=_GATED, features=12)


def _label(model: Autoregressive, num: int) -> torch.Tensor | None:
    return None if model.num_classes is None else torch.arange(num) % model.num_classes


def _first(model: Autoregressive, num: int) -> torch.Tensor:
    """Returns which pixels are the first so many to be drawn, bool [H, W]."""
    mask = torch.zeros(model.image_shape[1:], dtype=torch.bool)
    for row, column in model.pixel_order[:num]:
        mask[row, column] = True
    return mask


class Gradients(Callback):
    """Checks that every trained parameter has a finite gradient before each optimizer step."""

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        for name, parameter in pl_module.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@every
def test_training_moves_every_parameter_and_raises_the_likelihood(name: str, tmp_path: Path) -> None:
    start, _ = autoregressives.fit(name, tmp_path, 1)  # normalised weights get their start from the first batch
    model, _ = autoregressives.fit(name, tmp_path, 6, callbacks=[Gradients()])
    batch = next(iter(autoregressives.batches(model.image_shape)))
    label = None if model.num_classes is None else batch["label"]
    before, after = (m.eval().log_prob(batch["image"], label, generators(0, range(8))).mean() for m in (start, model))
    assert after > before
    now = dict(model.named_parameters())
    assert not [key for key, value in start.named_parameters() if torch.equal(value, now[key])]


@every
def test_a_resumed_run_is_the_run_that_never_stopped(name: str, tmp_path: Path) -> None:
    whole, _ = autoregressives.fit(name, tmp_path, 4)
    _, trainer = autoregressives.fit(name, tmp_path, 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = autoregressives.fit(name, tmp_path, 4, ckpt_path=tmp_path / "half.ckpt")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@every
def test_bfloat16(name: str, tmp_path: Path) -> None:
    model, _ = autoregressives.fit(name, tmp_path, 2, precision="bf16-mixed")
    for key, value in model.state_dict().items():
        assert not value.is_floating_point() or (value.dtype == torch.float32 and torch.isfinite(value).all()), key
    image = next(iter(autoregressives.batches(model.image_shape)))["image"][:3]
    with torch.autocast("cpu", torch.bfloat16):
        assert model.eval().log_prob(image, _label(model, 3)).dtype == torch.float32


@every
def test_a_checkpoint_gives_the_same_model(name: str, tmp_path: Path) -> None:
    model, trainer = autoregressives.fit(name, tmp_path, 1)
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    found = Autoregressive.load_from_checkpoint(tmp_path / "it.ckpt", weights_only=True)
    label = _label(model, 2)
    first, second = (m.sample(2, label, generators(0, range(2))) for m in (model, found))
    assert torch.equal(first, second) and found.log_prob_of == model.log_prob_of


@every
def test_both_ways_of_sampling_give_the_same_images(name: str) -> None:
    model = autoregressives.made(name)
    label = _label(model, 4)
    for _ in range(2):  # in float32, then in float64
        fast, slow = (model.sample(4, label, generators(0, range(4)), cached=cached) for cached in (True, False))
        assert fast.shape == (4, *model.image_shape) and fast.abs().max() <= 1
        torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)
        model = model.double()
    assert not torch.equal(fast[0], fast[1])


@every
def test_images_depend_on_their_own_generator_alone(name: str) -> None:
    model = autoregressives.made(name)
    assert all(isinstance(model, contract) for contract in (SupportsSample, SupportsLogProb, SupportsRows))
    label = _label(model, 5)
    whole = model.sample(5, label, generators(0, range(5)))
    one = model.sample(1, None if label is None else label[3:4], generators(0, [3]))
    torch.testing.assert_close(one[0], whole[3], atol=1e-5, rtol=0)
    again = model.sample(5, label, torch.Generator().manual_seed(0))
    assert torch.equal(again, model.sample(5, label, torch.Generator().manual_seed(0)))


@every
def test_a_row_of_pixels_appears_after_the_other(name: str) -> None:
    model = autoregressives.made(name)
    label, (_, height, width) = _label(model, 2), model.image_shape
    rows = [x.clone() for x in model.sample_rows(2, label, generators(0, range(2)))]
    assert len(rows) == height and torch.equal(rows[-1], model.sample(2, label, generators(0, range(2))))
    for i, x in enumerate(rows):
        drawn = _first(model, (i + 1) * width)
        assert torch.equal(x[:, :, drawn], rows[-1][:, :, drawn]) and x[:, :, ~drawn].eq(-1).all()


@every
def test_what_is_known_stays_and_what_is_hidden_is_drawn(name: str) -> None:
    model = autoregressives.made(name)
    _, height, width = model.image_shape
    label = _label(model, 3)
    image = model.sample(3, label, generators(5, range(3)))
    first = _first(model, 2 * width)
    half = model.complete(image, first, label, generators(0, range(3)))
    assert torch.equal(half[:, :, first], image[:, :, first]) and not torch.equal(half, image)
    hidden = image.clone()
    hidden[:, :, ~first] = 1.0
    torch.testing.assert_close(model.complete(hidden, first, label, generators(0, range(3))), half, atol=1e-5, rtol=0)
    if "scales" in name:
        with pytest.raises(UserError, match="does not draw 2 rows"):
            model.complete(image, 2, label)
    else:
        assert torch.equal(model.complete(image, 2, label, generators(0, range(3))), half)
    assert torch.equal(model.complete(image, height, label), image)
    known = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)) < 0.5
    found = model.complete(image, known, label, generators(0, range(3)))
    where = known[:, None].expand_as(image)
    assert torch.equal(found[where], image[where]) and not torch.equal(found[~where], image[~where])
    with pytest.raises(UserError, match="rows"):
        model.complete(image, height + 1, label)
    with pytest.raises(UserError, match="mask"):
        model.complete(image, known[:2, :1], label)


@every
def test_low_temperature_gives_the_most_probable_values(name: str) -> None:
    model = autoregressives.made(name)
    label = _label(model, 1)
    cold = [model.sample(1, label, generators(seed, [0]), temperature=1e-4) for seed in range(2)]
    torch.testing.assert_close(cold[0], cold[1], atol=1 / 127, rtol=0)
    if not isinstance(
        model.pixels, LogisticMixturePixels
    ):  # of logistics it is the mean, and their ends may well be more probable
        warm = model.sample(8, None if label is None else label.repeat(8), generators(0, range(8)))
        x = torch.cat([cold[0], warm])
        with torch.no_grad():
            likely = pixel_log_prob(model.network, model.pixels, x, None if label is None else label.repeat(9))
        first, *others = likely.sum((1, 2)).tolist()
        assert first > max(others)
    with pytest.raises(UserError, match="temperature"):
        model.sample(1, label, temperature=0.0)


@pytest.mark.parametrize(
    "factory",
    [
        partial(PixelCNN, features=12, blocks=2),
        _GATED,
        partial(PixelRNN, features=12, blocks=2),
        partial(PixelRNN, layer=RowLSTM, features=12, blocks=2),
        partial(ImageTransformer, features=12, heads=2, blocks=2),
        _SCALES,
    ],
    ids=["pixelcnn", "gated", "diagonal bilstm", "row lstm", "transformer", "two scales"],
)
@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 4), ((3, 1, 2), 2), ((2, 2, 1), 4)])
def test_probabilities_of_all_images_add_up_to_one(factory: Any, shape: tuple[int, int, int], levels: int) -> None:
    torch.manual_seed(0)
    model = Autoregressive(shape, network=factory, pixels=CategoricalPixels(levels)).double()
    numbers = shape[0] * shape[1] * shape[2]
    every_image = torch.cartesian_prod(*[torch.arange(levels)] * numbers).view(-1, *shape)
    p = model.log_prob(model.pixels.values(every_image, torch.float64)).exp()
    assert len(p) == levels**numbers and abs(float(p.sum()) - 1) < 1e-12
    assert p.max() > 1.05 * p.min(), "all images are alike to the model"


def test_probabilities_of_all_binary_images_add_up_to_one_for_pixelcnnpp() -> None:
    torch.manual_seed(0)
    model = Autoregressive((1, 3, 3), network=partial(PixelCNNPP, features=4, blocks=1)).double().eval()
    x = (2 * torch.cartesian_prod(*[torch.arange(2)] * 9) - 1).view(-1, 1, 3, 3).double()
    assert abs(float(model.log_prob(x).exp().sum()) - 1) < 1e-12


def test_probabilities_of_all_binary_images_add_up_to_one_at_three_scales() -> None:
    torch.manual_seed(0)
    network = partial(MultiScaleNetwork, small=_SCALES, large=_GATED)
    model = Autoregressive((1, 3, 5), network=network).double().eval()
    x = (2 * torch.cartesian_prod(*[torch.arange(2)] * 15) - 1).view(-1, 1, 3, 5).double()
    p = torch.cat([model.log_prob(part).exp() for part in x.split(2**12)])
    assert abs(float(p.sum()) - 1) < 1e-12 and p.max() > 1.05 * p.min()


@pytest.mark.parametrize("network", [_GATED, _SCALES], ids=["gated", "two scales"])
@pytest.mark.parametrize("known", [0, 1, 2])
def test_samples_are_as_frequent_as_their_probability(network: Any, known: int) -> None:
    """Those of all images, and those of images whose first pixels are known."""
    torch.manual_seed(0)
    model = Autoregressive((1, 2, 2), network=network).eval()
    for parameter in model.parameters():
        parameter.data *= 2
    num, mask, given = 20000, _first(model, known), torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    generator = torch.Generator().manual_seed(0)
    if known:
        drawn = model.complete(given.expand(num, 1, 2, 2), mask, generator=generator)
    else:
        drawn = model.sample(num, generator=generator)
    count = ((drawn.flatten(1) > 0).long() * torch.tensor([8, 4, 2, 1])).sum(dim=1).bincount(minlength=16)
    every_image = (2 * torch.cartesian_prod(*[torch.arange(2)] * 4) - 1).view(-1, 1, 2, 2).float()
    possible = (every_image[:, 0] == given)[:, mask].all(dim=1)
    p = model.log_prob(every_image).exp() * possible
    p = p / p.sum()
    assert count[~possible].sum() == 0 and possible.sum() == 2 ** (4 - known)
    chi_squared = ((count - num * p).square() / (num * p))[possible].sum()
    assert (
        chi_squared < {15: 37.7, 7: 24.3, 3: 16.3}[int(possible.sum()) - 1]
    )  # by degrees of freedom: one in a thousand


def test_losses_are_nats_per_image() -> None:
    model = autoregressives.made("gated").eval()
    batch = next(iter(autoregressives.batches(model.image_shape)))
    found = model.held_out(batch)
    log_prob = model.log_prob(batch["image"], batch["label"])
    torch.testing.assert_close(found["nll/held_out"], -log_prob.mean())
    torch.testing.assert_close(found["bpd/held_out"], bits_per_dim(log_prob, model.image_shape).mean())
    assert model.log_prob_of == "images binarised at one half"


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(UserError, match="conditional"):
        Autoregressive((1, 4, 4), network=PixelCNN, conditional=True)
    with pytest.raises(UserError, match="all channels at once"):
        Autoregressive((3, 4, 4), network=partial(PixelCNNPP, features=4), pixels=CategoricalPixels())
    with pytest.raises(UserError, match="unconditional"):
        autoregressives.made("pixelcnn").sample(2, torch.tensor([0, 1]))
    alone = Autoregressive((1, 4, 4), network=partial(_GATED, context_features=2))
    for wrong in (partial(alone.log_prob, torch.zeros(1, 1, 4, 4)), partial(alone.sample, 1)):
        with pytest.raises(UserError, match="context_features are 2, and there is no context"):
            wrong()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    folder = tmp_path_factory.mktemp("autoregressive")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    script = str(Path(__file__).with_name("autoregressives.py"))
    done = subprocess.run([*torchrun, script, str(folder)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", autoregressives.EXACT)
def test_two_processes_train_as_one(
    two_ranks: list[dict[str, dict[str, torch.Tensor]]], tmp_path: Path, name: str
) -> None:
    alone, _ = autoregressives.fit(name, tmp_path, 3, autoregressives.SGD)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(two_ranks[0][name][key], two_ranks[1][name][key], rtol=0, atol=1e-7, msg=key)
        torch.testing.assert_close(two_ranks[0][name][key], value, rtol=1e-4, atol=1e-5, msg=key)
