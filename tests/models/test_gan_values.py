"""A GAN's values, given in Python or by YAML: the checkpoint describes them, and loading brings them back."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from pytorch_lightning import Trainer
from torch import Tensor, nn

import lit_gen
from lit_gen.__main__ import main
from lit_gen.functional.ada import AdaptiveAugmentation
from lit_gen.functional.adversarial import HingeLoss, RelativisticPairingLoss
from lit_gen.functional.consistency import ConsistencyRegularization
from lit_gen.functional.diffaugment import DiffAugment
from lit_gen.functional.gradient_penalties import R1
from lit_gen.functional.information import MutualInformation
from lit_gen.functional.lecam import LeCamRegularization
from lit_gen.functional.weight_clipping import WeightClipping
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.seeding import generators

SHAPE = (1, 8, 8)


class Batches:
    """A few random batches."""

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(4):
            yield {"image": torch.rand(6, *SHAPE, generator=generator) * 2 - 1}


def train(model: GAN, folder: Path) -> Trainer:
    trainer = Trainer(
        max_steps=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(model, Batches())
    return trainer


def settings(value: object) -> dict[str, object]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(value).items() if not k.startswith("_")}


def test_values_given_in_python_come_back_with_what_they_remember(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = GAN(
        SHAPE,
        generator=partial(DCGANGenerator, features=4),
        discriminator=partial(DCGANDiscriminator, features=4),
        loss=HingeLoss(),
        regularizers=[
            R1(5.0, every=4),
            LeCamRegularization(0.2, decay=0.5),
            ConsistencyRegularization(fake_weight=1.0, shift=1),
            WeightClipping(0.5),
        ],
        augmentation=AdaptiveAugmentation(0.9, probability=0.5, ada_images=77, interval=1, groups=("blit", "color")),
        auxiliary=MutualInformation((3, 2), 1, deviation=0.5),
        latent_dim=3,
    )
    train(model, tmp_path).save_checkpoint(tmp_path / "values.ckpt")
    loaded = lit_gen.load(tmp_path / "values.ckpt")
    assert isinstance(loaded, GAN)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert 0 < loaded.augmentation.p < 0.5
    assert loaded.regularizers[1].real_mean != 0
    pairs = [*zip(model.regularizers, loaded.regularizers, strict=True)]
    pairs += [(model.augmentation, loaded.augmentation), (model.auxiliary, loaded.auxiliary)]
    for ours, theirs in pairs:
        assert type(theirs) is type(ours)
        assert settings(theirs) == settings(ours) | {"training": False}
    seeds = generators(0, range(5))
    assert torch.equal(loaded.sample(5, generator=seeds), model.eval().sample(5, generator=generators(0, range(5))))


CONFIG = {
    "trainer": {"max_steps": 6, "val_check_interval": 3, "accelerator": "cpu"},
    "model": {
        "class_path": "GAN",
        "init_args": {
            "generator": {"class_path": "DCGANGenerator", "init_args": {"features": 4}},
            "discriminator": {"class_path": "DCGANDiscriminator", "init_args": {"features": 4}},
            "regularizers": [
                {"class_path": "R1", "init_args": {"gamma": 1.0, "every": 4}},
                {"class_path": "LeCamRegularization", "init_args": {"weight": 0.2}},
            ],
            "augmentation": {"class_path": "AdaptiveAugmentation", "init_args": {"ada_images": 64, "target": -0.9}},
            "auxiliary": {"class_path": "MutualInformation", "init_args": {"categorical": [10], "continuous": 1}},
            "latent_dim": 4,
        },
    },
    "data": {"class_path": "Digits", "init_args": {"image_size": 8, "batch_size": 16}},
    "evaluation": {"num_samples": 20},
    "samples": {"num_samples": 4},
}


def test_values_given_by_yaml_come_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    assert main(["fit", "--config", "tiny.yaml"]) == 0
    path = tmp_path / "runs" / "tiny" / "version_0" / "checkpoints" / "last.ckpt"
    saved, loaded = torch.load(path, weights_only=True), lit_gen.load(path)
    assert [type(value) for value in loaded.regularizers] == [R1, LeCamRegularization]
    assert (loaded.regularizers[0].gamma, loaded.regularizers[0].every) == (1.0, 4)
    assert isinstance(loaded.auxiliary, MutualInformation) and list(loaded.auxiliary.categorical) == [10]
    assert loaded.augmentation.ada_images == 64
    assert loaded.regularizers[1].started
    for name in ("regularizers.1.real_mean", "augmentation.p", "augmentation.images"):
        assert torch.equal(loaded.state_dict()[name], saved["state_dict"][name])
    assert saved["state_dict"]["augmentation.p"] > 0


class TinyDiscriminator(nn.Module):
    """The least that an auxiliary task needs of a discriminator."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int | None = None, num_outputs: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(64, num_outputs)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layer(x.flatten(1))


def test_infogan_s_codes_end_the_latents_and_both_players_learn_from_them(tmp_path: Path) -> None:
    task = MutualInformation((3,), 2)
    torch.manual_seed(0)
    generator = partial(DCGANGenerator, features=4)
    model = GAN(SHAPE, generator=generator, discriminator=TinyDiscriminator, auxiliary=task, latent_dim=4)
    assert model.generator.latent_dim == 9
    assert model.discriminator.layer.out_features == 1 + 7
    z = model.latents(50, torch.Generator().manual_seed(0))
    assert z.shape == (50, 9)
    assert (z[:, 4:7].sum(1) == 1).all() and (z[:, 7:].abs() <= 1).all()
    for i, one in enumerate(generators(3, range(4))):
        assert torch.equal(model.latents(1, [one])[0], model.latents(4, generators(3, range(4)))[i])
    train(model, tmp_path)
    batch = next(iter(Batches()))
    for loss, network in (
        (model.discriminator_loss, model.discriminator.layer),
        (model.generator_loss, model.generator.layers[0]),
    ):
        with_task = torch.autograd.grad(loss(batch), network.weight)[0]
        assert torch.isfinite(with_task).all()
        assert with_task.abs().sum() > 0
    heads = torch.autograd.grad(model.discriminator_loss(batch), model.discriminator.layer.weight)[0]
    assert (heads.abs().sum(1) > 0).all(), "every output of Q is learnt"


def test_augmentation_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = GAN(SHAPE, generator=partial(DCGANGenerator, features=4), augmentation=DiffAugment(), latent_dim=3)
    x = next(iter(Batches()))["image"]
    seen: list[Tensor] = []
    model.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.train()._judge(x, None, model.discriminator)
    model.eval()._judge(x, None, model.discriminator)
    assert not torch.equal(seen[0], x)
    assert torch.equal(seen[1], x)


@pytest.mark.parametrize("offset", [-100.0, 100.0])
def test_under_a_relativistic_loss_augmentation_adapts_to_differences(offset: float) -> None:
    """Such a loss is the same whatever is added to all logits; so must be what is taken for overfitting."""
    torch.manual_seed(0)
    model = GAN(
        SHAPE,
        generator=partial(DCGANGenerator, features=4),
        discriminator=TinyDiscriminator,
        loss=RelativisticPairingLoss(),
        augmentation=AdaptiveAugmentation(interval=100),
        latent_dim=3,
    )
    with torch.no_grad():
        model.discriminator.layer.bias.fill_(offset)
    torch.manual_seed(1)
    model.discriminator_loss(next(iter(Batches())))
    assert model.augmentation.images == 6
    assert model.augmentation.signs.abs() < 6, "an untrained discriminator is sure of no image"
