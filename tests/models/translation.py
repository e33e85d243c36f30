"""Every method of translation, small enough to train in a moment; under torchrun, trains them all in two processes."""

__all__ = ["BATCH", "METHODS", "PLAYERS", "SHAPES", "STILL", "batches", "fit", "inputs", "tiny"]

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from quiet_trainer import quiet_trainer
from torch import Tensor, nn
from torch.optim import SGD

from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.adversarial import NonSaturatingLoss
from lit_gen.models import CUT, SPADE, CycleGAN, Pix2Pix, StarGAN, StarGANv2
from lit_gen.nn.attribute_discriminator import AttributeDiscriminator
from lit_gen.nn.attribute_translator import AttributeTranslator
from lit_gen.nn.domain_heads import DomainDiscriminator, DomainMapping, DomainStyleEncoder
from lit_gen.nn.multi_scale_discriminator import MultiScaleDiscriminator
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.resnet_translator import ResNetTranslator
from lit_gen.nn.spade_generator import SpadeGenerator
from lit_gen.nn.style_encoder import StyleEncoder
from lit_gen.nn.style_translator import StyleTranslator
from lit_gen.nn.unet import UNetGenerator
from lit_gen.training.options import TrainingOptions
from lit_gen.training.strategy import AdversarialDDPStrategy
from lit_gen.training.translation import TranslationModule

BATCH, SIZE, LARGER, NUM_LABELS = 4, (9, 13), (13, 17), 3  # the larger size is for discriminators of half images
_unet = partial(UNetGenerator, features=4, max_features=8)
_resnet = partial(ResNetTranslator, features=4, blocks=2)
_patches = partial(PatchDiscriminator, features=4, receptive_field=16)
_cycle = partial(CycleGAN, generator=_resnet, discriminator=_patches, pool_size=3)
_cut = partial(CUT, generator=_resnet, discriminator=_patches, head_features=64, num_patches=16)
_ATTRIBUTES: Any = {"attribute_names": ("hair=0", "hair=1", "hair=2", "hat"), "attribute_groups": ((0, 1, 2), (3,))}
_spade_generator = partial(SpadeGenerator, features=4, max_features=8, hidden_features=4)


def _spade(source_shape: Any, image_shape: Any, **arguments: Any) -> SPADE:
    defaults = {
        "generator": _spade_generator,
        "discriminator": partial(MultiScaleDiscriminator, features=4, max_features=8, receptive_field=16),
        "latent_dim": 6,
        # Within the hinge's margins the last bias's gradients from real and from generated images cancel.
        "loss": NonSaturatingLoss(),
    }
    return SPADE(image_shape, NUM_LABELS, **(defaults | arguments))


METHODS: dict[str, Callable[..., TranslationModule]] = {
    "pix2pix": partial(Pix2Pix, generator=_unet, discriminator=_patches),
    "pix2pix of batch norm": partial(
        Pix2Pix,
        generator=partial(_resnet, norm="batch", dropout=0.5),
        discriminator=partial(_patches, norm="batch"),
        conditional=False,
        test_statistics="running",
    ),
    "cyclegan": _cycle,
    "cyclegan of unlike channels": partial(_cycle, identity_weight=0.0),
    "cut": _cut,
    "fastcut": partial(_cut, nce_weight=10.0, identity_weight=0.0, flip_equivariance=True),
    "stargan": partial(
        StarGAN,
        generator=partial(AttributeTranslator, features=4, blocks=2),
        discriminator=partial(AttributeDiscriminator, features=4),
        n_critic=1,
        **_ATTRIBUTES,
    ),
    "stargan v2": partial(
        StarGANv2,
        domain="hat",
        generator=partial(StyleTranslator, features=4, max_features=8, coarsest=5),
        mapping=partial(DomainMapping, width=8),
        encoder=partial(DomainStyleEncoder, features=4, max_features=8),
        discriminator=partial(DomainDiscriminator, features=4, max_features=8),
        latent_dim=4,
        style_dim=6,
        **_ATTRIBUTES,
    ),
    "spade": _spade,
    "spade of styles and instances": partial(
        _spade, encoder=partial(StyleEncoder, features=4, max_features=8), edges=True
    ),
    "spade without noise": partial(_spade, latent_dim=0, generator=partial(_spade_generator, norm="instance")),
}
OF_ATTRIBUTES = ("stargan", "stargan v2")
_UNLIKE = ("pix2pix", "cyclegan of unlike channels")
SHAPES = {
    name: ((1 if name in _UNLIKE else 3, *size), (1 if name == "spade without noise" else 3, *size))
    for name in METHODS
    for size in [LARGER if name.startswith("spade") else SIZE]
}
SHAPES["stargan"] = (1, *SIZE), (1, *SIZE)
PLAYERS = {
    "generator": {"generator", "head"},
    "generators": {"generator", "inverse_generator"},
    "discriminator": {"discriminator"},
    "discriminators": {"discriminator", "source_discriminator"},
}


class UnmovedMapping(nn.Module):
    """A mapping network whose styles do not depend on what is drawn."""

    def __init__(self, num_domains: int, latent_dim: int, style_dim: int) -> None:
        super().__init__()
        self.network = DomainMapping(num_domains, latent_dim, style_dim, width=8)

    def forward(self, z: Tensor, domain: Tensor) -> Tensor:
        style: Tensor = self.network(torch.ones_like(z), domain)
        return style


# The same methods without anything that a process draws for its own images: two processes must do what one does.
STILL = {
    "pix2pix": {"generator": partial(_unet, dropout=0.0)},
    "cyclegan": {"pool_size": 50},
    "cyclegan of unlike channels": {"pool_size": 0, "options": TrainingOptions(accumulate=2)},
    "cut": {"num_patches": 10_000},
    "stargan": {"gradient_penalty": 0.0},
    "stargan v2": {"mapping": UnmovedMapping},
    "spade without noise": {},
}


def tiny(name: str, **arguments: Any) -> TranslationModule:
    """Builds a method's model, always from the same weights."""
    torch.manual_seed(0)
    source = {} if name in OF_ATTRIBUTES else {"source_shape": SHAPES[name][0]}
    return METHODS[name](image_shape=SHAPES[name][1], **source, **arguments)


def _attributes(num: int) -> Tensor:
    i = torch.arange(num)
    return torch.cat([torch.nn.functional.one_hot(i % 3, 3), (i // 2 % 2)[:, None]], dim=1).float()


def inputs(name: str, num: int, size: tuple[int, int], generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Draws what a method translates."""
    if name.startswith("spade"):
        label_map = torch.randint(NUM_LABELS + 1, (num, *size), generator=generator)
        instance = torch.randint(5, (num, *size), generator=generator, dtype=torch.int32)
        return {"label_map": label_map.where(label_map < NUM_LABELS, 255), "instance": instance}
    if name in OF_ATTRIBUTES:
        image = torch.rand((num, SHAPES[name][1][0], *size), generator=generator) * 2 - 1
        return {"image": image, "attributes": _attributes(num)}
    return {"source": torch.rand((num, SHAPES[name][0][0], *size), generator=generator) * 2 - 1}


def batches(name: str, rank: int = 0) -> TensorLoader:
    """Returns a loader of a process's own images."""
    generator = torch.Generator().manual_seed(rank)
    given = inputs(name, 8 * BATCH, SHAPES[name][0][1:], generator)
    image = torch.rand((8 * BATCH, *SHAPES[name][1]), generator=generator) * 2 - 1
    return TensorLoader({**given, "image": image}, BATCH)


class Shares:
    """A process's share of each of the batches that one process would see whole."""

    def __init__(self, name: str, rank: int, world_size: int) -> None:
        self.whole, self.rows = batches(name), torch.arange(BATCH).view(world_size, -1)[rank]
        self.alike = name == "stargan v2"  # which image of a domain a style is taken from is drawn: all are the same

    def __len__(self) -> int:
        return len(self.whole)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self.whole:
            if "attributes" in batch:  # else a process would draw a permutation of its own images
                batch = {**batch, "wanted": batch["attributes"].flip(0)}
            if self.alike:
                batch = {**batch, "image": batch["image"][:1].expand_as(batch["image"])}
            yield {key: value[self.rows] for key, value in batch.items()}


def fit(
    name: str, folder: Path, steps: int, loader: Any = None, own: dict[str, Any] | None = None, **arguments: Any
) -> tuple[TranslationModule, pl.Trainer]:
    """Trains a method's tiny model for some batches."""
    ckpt_path = arguments.pop("ckpt_path", None)
    model, trainer = tiny(name, **(own or {})), quiet_trainer(folder, steps, **arguments)
    trainer.fit(model, loader or batches(name), ckpt_path=ckpt_path, weights_only=True)
    return model, trainer


class SaveAt(pl.Callback):
    """Saves a checkpoint in the middle of a run."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def sgd(parameters: Any) -> SGD:
    return SGD(parameters, lr=2e-4)  # gentle: a few large steps would make much of rounding


def still(name: str, folder: Path, rank: int, world_size: int, **arguments: Any) -> dict[str, Tensor]:
    """Trains a method that draws nothing, by gradient descent, on this process's share of the same batches."""
    own = {"generator_optimizer": sgd, "discriminator_optimizer": sgd, **STILL[name]}
    model, _ = fit(name, folder, 3, Shares(name, rank, world_size), own, devices=world_size, **arguments)
    return {key: value.clone() for key, value in model.state_dict().items()}


def _train_all(folder: Path) -> None:
    rank, ends = int(os.environ["RANK"]), {}
    own = {"devices": 2, "use_distributed_sampler": False}

    def both() -> dict[str, Any]:
        return {**own, "strategy": AdversarialDDPStrategy(process_group_backend="gloo")}

    for name in METHODS:
        whole, _ = fit(name, folder, 5, batches(name, rank), callbacks=[SaveAt(3, folder / "half.ckpt")], **both())
        resumed, _ = fit(name, folder, 5, batches(name, rank), ckpt_path=folder / "half.ckpt", **both())
        for kind, model in (("whole", whole), ("resumed", resumed)):
            ends[f"{kind} {name}"] = {key: value.clone() for key, value in model.state_dict().items()}
    for name in STILL:
        arguments = both()
        del arguments["devices"]
        ends[f"still {name}"] = still(name, folder, rank, 2, **arguments)
    torch.save(ends, folder / f"rank{rank}.pt")


if __name__ == "__main__":
    _train_all(Path(sys.argv[1]))
