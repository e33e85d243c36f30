"""Every method of configs/vae: what must hold of all of them, at an odd size and one channel."""

import subprocess
import sys
from pathlib import Path

import autoencoders
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from lit_gen.contracts import SupportsCodes, SupportsEncode, SupportsReconstruct, SupportsSample
from lit_gen.training.seeding import generators

every_method = pytest.mark.parametrize("name", autoencoders.METHODS)


class Gradients(Callback):
    """Checks before each optimizer step that every trained parameter has a finite gradient, not all of them zero."""

    def __init__(self) -> None:
        self.steps = 0

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        trained = {name: p for name, p in pl_module.named_parameters() if p.requires_grad}
        for name, parameter in trained.items():
            assert parameter.grad is not None, f"{name} got no gradient"
            assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"
            waiting = trainer.global_step == 0 and "discriminator" in name  # VQ-GAN's starts later
            weight = parameter.ndim > 1 and not waiting
            assert not weight or parameter.grad.ne(0).any(), f"nothing reaches {name}"
        self.steps += 1


@every_method
def test_every_parameter_learns(name: str, tmp_path: Path) -> None:
    watch = Gradients()
    model, _ = autoencoders.fit(name, tmp_path, 3, callbacks=[watch])
    assert watch.steps == 3 * len(model.players)
    start = autoencoders.tiny(name).state_dict()
    for key, value in model.state_dict().items():
        assert value.isfinite().all(), key
    assert all(any(not torch.equal(v, start[k]) for k, v in model.state_dict().items() if k.startswith(network))
               for player in model.players.values() for network in player.networks)  # fmt: skip


@every_method
def test_a_resumed_run_is_the_run_that_never_stopped(name: str, tmp_path: Path) -> None:
    settings = {"warmup_steps": 4} if name == "vae_fashion_mnist" else {}
    whole, _ = autoencoders.fit(name, tmp_path, 5, settings=settings)
    _, trainer = autoencoders.fit(name, tmp_path, 2, settings=settings)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = autoencoders.fit(name, tmp_path, 5, ckpt_path=tmp_path / "half.ckpt", settings=settings)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@every_method
def test_bfloat16(name: str, tmp_path: Path) -> None:
    model, _ = autoencoders.fit(name, tmp_path, 2, precision="bf16-mixed")
    start = autoencoders.tiny(name).state_dict()
    for key, value in model.state_dict().items():
        assert value.dtype != torch.bfloat16 and value.isfinite().all(), key
    assert any(not torch.equal(value, start[key]) for key, value in model.state_dict().items())


@every_method
def test_held_out_numbers_are_means_over_images(name: str, tmp_path: Path) -> None:
    model, _ = autoencoders.fit(name, tmp_path, 1)
    model.eval()
    batch = next(iter(autoencoders.batches(size=4)))
    found = model.held_out(batch)
    assert found and all(key.endswith("/held_out") and value.isfinite() for key, value in found.items())
    if "mse/held_out" in found:
        parts = [model.held_out({key: value[i : i + 1] for key, value in batch.items()}) for i in range(4)]
        for key, value in found.items():
            torch.testing.assert_close(torch.stack([part[key] for part in parts]).mean(), value)


@every_method
def test_images_do_not_depend_on_their_batch(name: str, tmp_path: Path) -> None:
    model, _ = autoencoders.fit(name, tmp_path, 2)
    model.eval()
    batch = next(iter(autoencoders.batches(size=5)))
    image = batch["image"]
    label = batch["label"] if getattr(model, "num_classes", None) is not None else None
    one = None if label is None else label[3:4]
    assert isinstance(model, SupportsReconstruct)
    made = model.reconstruct(image, label, generators(0, range(5)))
    assert made.shape == image.shape and made.abs().max() <= 1
    torch.testing.assert_close(model.reconstruct(image[3:4], one, generators(0, [3]))[0], made[3], atol=1e-5, rtol=0)
    if isinstance(model, SupportsSample):
        whole = model.sample(5, label, generators(0, range(5)))
        assert whole.shape == image.shape and whole.abs().max() <= 1
        torch.testing.assert_close(model.sample(1, one, generators(0, [3]))[0], whole[3], atol=1e-5, rtol=0)
        assert not torch.allclose(whole[0], whole[3], atol=1e-7), "all samples are the same"
    if isinstance(model, SupportsEncode):
        z = model.encode(image, label)
        assert z.shape == (5, model.latent_dim)
        torch.testing.assert_close(model.generate(z, label), made)
    if isinstance(model, SupportsCodes):
        codes = model.encode_codes(image)
        assert codes.shape == (5, *model.code_shape) and codes.dtype == torch.int64
        assert 0 <= int(codes.min()) <= int(codes.max()) < model.num_codes == len(model.quantizer.codebook)
        torch.testing.assert_close(model.decode_codes(codes), made)
    assert isinstance(model, SupportsEncode | SupportsCodes)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    folder = tmp_path_factory.mktemp("autoencoders")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    script = str(Path(__file__).with_name("autoencoders.py"))
    done = subprocess.run([*torchrun, script, str(folder)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@every_method
def test_two_processes_stay_one_model(two_ranks: list[dict[str, dict[str, torch.Tensor]]], name: str) -> None:
    """On unlike images; parameters, and the codebook with its averages, are the same on both."""
    first, second = (rank[name] for rank in two_ranks)
    start = autoencoders.tiny(name).state_dict()
    for key, value in first.items():
        assert torch.isfinite(value).all(), key
        torch.testing.assert_close(second[key], value, atol=1e-6, rtol=0, msg=key)
    assert any(not torch.equal(value, start[key]) for key, value in first.items())
