"""Runs under torchrun: trains small GANs in every way that data parallel must get right, and writes what came out."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD

from lit_gen.functional.ada import AdaptiveAugmentation
from lit_gen.functional.gradient_penalties import R1
from lit_gen.functional.lecam import LeCamRegularization
from lit_gen.functional.regularizer import GeneratorRegularizer
from lit_gen.models import GAN
from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.options import TrainingOptions
from lit_gen.training.strategy import AdversarialDDPStrategy

SHAPE, LATENT, BATCH, STEPS = (1, 4, 4), 3, 8, 5


class SmallImages(GeneratorRegularizer):
    """Pulls images to 0."""

    def forward(self, generator: nn.Module, z: Tensor, label: Tensor | None) -> Tensor:
        return generator(z, label).square().mean()


SCENARIOS: dict[str, dict[str, object]] = {
    "plain": {},
    "penalty": {"penalty": True},
    "n_critic": {"n_critic": 3},
    "accumulate": {"options": TrainingOptions(accumulate=2)},
    "clip": {"options": TrainingOptions(clip_norm=0.05)},
    "lazy": {"regularizers": [R1(every=2)]},
    "lazy_generator": {"regularizers": [SmallImages(every=2)], "n_critic": 2},
    "lecam": {"regularizers": [LeCamRegularization(decay=0.5)]},
    # Without changes of the images, which each process draws for its own ones.
    "ada": {"augmentation": AdaptiveAugmentation(0.1, 0.5, ada_images=500, interval=1, groups=())},
}


class Generator(nn.Module):
    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, num_classes: int | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(latent_dim, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(z).view(-1, *SHAPE)


class Discriminator(nn.Module):
    def __init__(self, image_shape: tuple[int, int, int], num_classes: int | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 1))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(x.flatten(1)).flatten()


class SplitNoiseGAN(GAN):
    """Draws the noise of the whole global batch and takes the rows of the images at hand, however these are split."""

    def __init__(self, penalty: bool = False, **arguments: object) -> None:
        super().__init__(SHAPE, generator=Generator, discriminator=Discriminator, latent_dim=LATENT, **arguments)
        self.penalty = penalty
        self.rows = torch.empty(0, dtype=torch.long)

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        self.rows = batch["index"]
        loss = super().discriminator_loss(batch)
        if self.penalty:
            x = batch["image"].clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.discriminator(x).sum(), x, create_graph=True)
            loss = loss + gradient.square().sum(dim=(1, 2, 3)).mean()
        return loss

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        self.rows = batch["index"]
        return super().generator_loss(batch)

    def latents(self, num: int, generator: object = None, truncation: float | None = None) -> Tensor:
        assert num == len(self.rows)
        seed = 2 * self.step + int(torch.is_grad_enabled())
        return torch.randn(BATCH, LATENT, generator=torch.Generator().manual_seed(seed))[self.rows]


class Share:
    """One rank's rows of the same global batches."""

    def __init__(self, rank: int, world_size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = torch.rand(STEPS, BATCH, *SHAPE, generator=generator) * 2 - 1
        self.rows = torch.arange(BATCH).view(world_size, -1)[rank]

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self.batches:
            yield {"image": batch[self.rows], "index": self.rows}


class CountingStrategy(AdversarialDDPStrategy):
    """Counts the bytes of every gradient bucket that is all-reduced."""

    def setup_optimizers(self, trainer: pl.Trainer) -> None:
        super().setup_optimizers(trainer)
        self.bytes_moved = 0
        for reducer in self.reducers:
            reducer.register_comm_hook(self, _count)


def _count(strategy: CountingStrategy, bucket: torch.distributed.GradBucket) -> torch.futures.Future[Tensor]:
    strategy.bytes_moved += bucket.buffer().nbytes
    world_size = torch.distributed.get_world_size()
    work = torch.distributed.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda future: future.value()[0] / world_size)


def train(world_size: int, **arguments: object) -> tuple[AdversarialModule, pl.Trainer]:
    torch.manual_seed(1)
    arguments = copy.deepcopy(arguments)  # values with a memory belong to one model
    model = SplitNoiseGAN(generator_optimizer=_sgd, discriminator_optimizer=_sgd, **arguments)
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        devices=world_size,
        strategy=CountingStrategy() if world_size > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, Share(trainer.global_rank, world_size))
    return model, trainer


def _sgd(parameters: object) -> SGD:
    return SGD(parameters, lr=0.5)


def main(folder: Path) -> None:
    results = {}
    for name, arguments in SCENARIOS.items():
        model, trainer = train(2, **arguments)
        results[name] = {
            "state": model.state_dict(),
            "bytes": trainer.strategy.bytes_moved,
            "steps": trainer.global_step,
            "images": model.images_seen,
        }
    torch.save(results, folder / f"rank{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
