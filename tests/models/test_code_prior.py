"""A prior over codes: from an autoencoder's checkpoint to samples, by itself, resumed, and by the command line."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import autoencoders
import numpy
import pytest
import torch
import yaml
from methods import small_networks
from quiet_trainer import quiet_trainer
from torch.nn.functional import cross_entropy, one_hot

import lit_gen
import lit_gen.configs
from lit_gen.__main__ import main
from lit_gen.contracts import SupportsSample
from lit_gen.errors import UserError
from lit_gen.models import VAE, VQVAE, CodePrior
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.nn.image_transformer import ImageTransformer
from lit_gen.training.seeding import generators

_GATED = partial(GatedPixelCNN, features=8, blocks=2)
_TRANSFORMER = partial(ImageTransformer, features=8, heads=2, blocks=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a VQ-VAE."""
    return _saved(VQVAE(autoencoders.SHAPE, num_codes=8, code_dim=3), tmp_path_factory.mktemp("codes") / "codes.ckpt")


def _saved(model: Any, path: Path) -> Path:
    """Trains a model, all of whose arguments a checkpoint can record, for some batches."""
    trainer = quiet_trainer(path.parent, 3)
    trainer.fit(model, autoencoders.batches())
    trainer.save_checkpoint(path)
    return path


def _fit(folder: Path, steps: int, ckpt_path: Path | None = None, **arguments: Any) -> tuple[CodePrior, Any]:
    torch.manual_seed(0)
    model = CodePrior(autoencoders.SHAPE, autoencoders.NUM_CLASSES, **arguments)
    trainer = quiet_trainer(folder, steps)
    trainer.fit(model, autoencoders.batches(), ckpt_path=ckpt_path, weights_only=True)
    return model, trainer


def _label(model: CodePrior, num: int) -> torch.Tensor | None:
    return None if model.num_classes is None else torch.arange(num) % model.num_classes


@pytest.mark.parametrize(("network", "conditional"), [(_GATED, True), (_TRANSFORMER, False)])
def test_a_prior_learns_codes_and_is_usable_without_the_file_it_began_with(
    trained: Path, tmp_path: Path, network: Any, conditional: bool
) -> None:
    given = tmp_path / "given.ckpt"
    shutil.copy(trained, given)
    codes_of = lit_gen.load(given)
    model, trainer = _fit(tmp_path, 4, codes_of=str(given), network=network, conditional=conditional)
    trainer.save_checkpoint(tmp_path / "prior.ckpt")
    given.unlink()
    for name, value in codes_of.state_dict().items():
        assert torch.equal(model.autoencoder.state_dict()[name], value), f"{name} is not what it was"
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.network.parameters())
    found = lit_gen.load(tmp_path / "prior.ckpt", network=network)
    assert isinstance(found, CodePrior) and isinstance(found, SupportsSample)
    label = _label(model, 4)
    codes = found.sample_codes(4, label, generators(0, range(4)))
    assert codes.shape == (4, *codes_of.code_shape) and 0 <= codes.min() <= codes.max() < codes_of.num_codes
    images = found.sample(4, label, generators(0, range(4)))
    torch.testing.assert_close(images, codes_of.decode_codes(codes), atol=0, rtol=0)
    torch.testing.assert_close(images, model.sample(4, label, generators(0, range(4))), atol=0, rtol=0)
    slow = found.sample_codes(4, label, generators(0, range(4)), cached=False)
    assert torch.equal(codes, slow) and not torch.equal(codes[0], codes[1])
    one = found.sample_codes(1, None if label is None else label[3:4], generators(0, [3]))
    assert torch.equal(one[0], codes[3])


def test_a_resumed_run_is_the_run_that_never_stopped(trained: Path, tmp_path: Path) -> None:
    given = {"codes_of": str(trained), "network": _GATED}
    whole, _ = _fit(tmp_path, 4, **given)
    _, trainer = _fit(tmp_path, 2, **given)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = _fit(tmp_path, 4, tmp_path / "half.ckpt", **given)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_losses_are_nats_per_image(trained: Path) -> None:
    model = CodePrior(autoencoders.SHAPE, codes_of=str(trained), network=_GATED).eval()
    batch, num = next(iter(autoencoders.batches())), model.autoencoder.num_codes
    codes = model.autoencoder.encode_codes(batch["image"])
    planes = one_hot(codes, num).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = cross_entropy(model.network(planes), codes, reduction="none").sum((1, 2))
    torch.testing.assert_close(-model.code_log_prob(codes), expected)
    found = model.held_out(batch)
    torch.testing.assert_close(found["nll/held_out"], expected.mean())
    assert 0 < found["bits_per_code/held_out"] < 2 * numpy.log2(num)


def test_what_does_not_fit_is_one_line(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="codes_of is missing"):
        CodePrior(autoencoders.SHAPE, network=_GATED)
    with pytest.raises(UserError, match="no checkpoint"):
        CodePrior(autoencoders.SHAPE, network=_GATED, codes_of=str(tmp_path / "none.ckpt"))
    with pytest.raises(UserError, match="shape"):
        CodePrior((3, 8, 8), network=_GATED, codes_of=str(trained))
    other = _saved(VAE(autoencoders.SHAPE), tmp_path / "vae.ckpt")
    with pytest.raises(UserError, match="does not turn images into codes"):
        CodePrior(autoencoders.SHAPE, network=_GATED, codes_of=str(other))


def test_from_images_to_samples_by_three_commands(
    write_idx_files: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx_files(tmp_path, numpy.random.default_rng(0))
    monkeypatch.setenv("LIT_GEN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    short = (
        *("--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"),
        *("--samples.num_samples", "4", "--data.batch_size", "8", "--trainer.accelerator", "cpu"),
        *("--evaluation.metrics", "[]"),
    )
    for name in ("vae/vq_vae_fashion_mnist", "autoregressive/gated_pixelcnn_vq_codes_fashion_mnist"):
        path = Path(lit_gen.configs.__file__).parent / f"{name}.yaml"
        model = yaml.safe_load(path.read_text("utf-8"))["model"]
        small = {"model": {**model, "init_args": {**model["init_args"], **small_networks(model)}}}
        Path(f"{path.stem}.yaml").write_text(yaml.safe_dump(small))
        codes_of = next(iter(Path("runs").glob("vq_vae*/*/checkpoints/last.ckpt")), None)
        given = [] if codes_of is None else ["--model.codes_of", str(codes_of)]
        assert main(["fit", "--config", name, "--config", f"{path.stem}.yaml", *short, *given]) == 0
    shutil.rmtree(next(Path("runs").glob("vq_vae*")))
    (prior,) = Path("runs").glob("gated*/*/checkpoints/last.ckpt")
    assert main(["sample", "--ckpt_path", str(prior), "--num_samples", "4", "--output", "grid.png"]) == 0
    assert lit_gen.load(prior).sample(2).shape == (2, 1, 28, 28)
    assert main(["fit", "--ckpt_path", "last", "--trainer.max_steps", "3"]) == 0  # what it began with is gone
