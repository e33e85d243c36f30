"""Lazy regularization: rarely computed, as many times as strong, with Adam corrected; and in single precision."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import SGD, Adam

from lit_gen.functional.ada import AdaptiveAugmentation
from lit_gen.functional.consistency import ConsistencyRegularization
from lit_gen.functional.gradient_penalties import R1, R2, GradientPenalty
from lit_gen.functional.lecam import LeCamRegularization
from lit_gen.functional.regularizer import Critique, DiscriminatorRegularizer, GeneratorRegularizer
from lit_gen.functional.weight_clipping import WeightClipping
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.seeding import derive_seed

SHAPE = (1, 8, 8)


class Batches:
    """One batch, as often as is asked, so that its place in the epoch does not matter."""

    def __init__(self, num: int = 12) -> None:
        self.num = num
        self.image = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for _ in range(self.num):
            yield {"image": self.image}


def small_gan(**arguments: object) -> GAN:
    torch.manual_seed(1)
    defaults = {
        "generator": partial(DCGANGenerator, features=4),
        "discriminator": partial(DCGANDiscriminator, features=4),
        "latent_dim": 3,
    }
    return GAN(SHAPE, **(defaults | arguments))


def fit(model: GAN, folder: Path, ckpt_path: Path | None = None, **arguments: object) -> Trainer:
    defaults = {
        "max_steps": 7,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    trainer = Trainer(**(defaults | arguments))
    trainer.fit(model, Batches(), ckpt_path=ckpt_path, weights_only=True)
    return trainer


class Watched(DiscriminatorRegularizer):
    """Pulls logits to 0, and notes when it was computed and in which precision."""

    def __init__(self, every: int = 1) -> None:
        super().__init__(every)
        self.seen: list[object] = []

    def forward(self, critique: Critique) -> Tensor:
        logits = critique.critic(critique.real, critique.label)
        dtypes = critique.real.dtype, critique.fake.dtype, critique.real_logits.dtype, critique.fake_logits.dtype
        self.seen.append(({logits.dtype, *dtypes}, torch.is_autocast_enabled("cpu")))
        return logits.square().mean()


class SmallImages(GeneratorRegularizer):
    """Pulls images to 0, and notes at which steps."""

    def __init__(self, every: int = 1) -> None:
        super().__init__(every)
        self.clock = lambda: -1
        self.steps: list[int] = []

    def forward(self, generator: nn.Module, z: Tensor, label: Tensor | None) -> Tensor:
        assert z.shape == (4, 3)
        self.steps.append(self.clock())
        return generator(z, label).square().mean()


@pytest.mark.parametrize(
    ("regularizers", "c"),
    [
        ([R1(every=4)], 4 / 5),
        ([R1(every=16)], 16 / 17),
        ([R1(every=4), R2(every=2)], 1 / (1 + 1 / 4 + 1 / 2)),
        ([R1(), LeCamRegularization()], 1.0),
    ],
)
def test_adam_is_corrected_for_the_steps_it_makes_more(tmp_path: Path, regularizers: list[nn.Module], c: float) -> None:
    """η → cη, β → β^c with c = k/(k + 1); the other player is as it was."""
    model = small_gan(regularizers=regularizers)
    fit(model, tmp_path, max_steps=1)
    discriminator, generator = (optimizer.param_groups[0] for optimizer in model.optimizers())
    assert discriminator["lr"] == pytest.approx(2e-4 * c)
    assert discriminator["betas"] == pytest.approx((0.5**c, 0.999**c))
    assert generator["lr"] == 2e-4
    assert generator["betas"] == (0.5, 0.999)


def test_optimizers_without_momentum_are_slowed_down_too(tmp_path: Path) -> None:
    model = small_gan(regularizers=[R1(every=3)], discriminator_optimizer=partial(SGD, lr=0.1))
    fit(model, tmp_path, max_steps=1)
    assert model.optimizers()[0].param_groups[0]["lr"] == pytest.approx(0.1 * 3 / 4)


def test_equal_to_a_hand_written_loop(tmp_path: Path) -> None:
    """R1 in batches 0, 3 and 6, three times as strong, in a step of its own between the players'."""
    k, gamma = 3, 2.0
    model, reference = small_gan(regularizers=[R1(gamma, every=k)]), small_gan()
    fit(model, tmp_path, max_steps=7)

    g, d = reference.generator.train(), reference.discriminator.train()
    c = k / (k + 1)
    adam_g = Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_d = Adam(d.parameters(), lr=c * 2e-4, betas=(0.5**c, 0.999**c))
    x = Batches().image
    for step in range(7):
        torch.manual_seed(derive_seed(0, 0, step))
        fake = g(torch.randn(len(x), 3)).detach()
        adam_d.zero_grad()
        (softplus(-d(x)).mean() + softplus(d(fake)).mean()).backward()
        adam_d.step()
        if step in (0, 3, 6):
            g(torch.randn(len(x), 3))  # the fakes that a penalty may want
            adam_d.zero_grad(set_to_none=False)
            image = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(d(image).sum(), image, create_graph=True)
            (k * gamma / 2 * gradient.square().sum((1, 2, 3)).mean()).backward()
            adam_d.step()
        adam_g.zero_grad()
        softplus(-d(g(torch.randn(len(x), 3)))).mean().backward()
        adam_g.step()
    for name, theirs in reference.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], theirs, atol=1e-7, rtol=1e-5, msg=name)


@pytest.mark.parametrize(("n_critic", "every", "steps"), [(1, 3, [0, 3, 6]), (2, 1, [0, 2, 4, 6]), (2, 3, [0, 6])])
def test_a_generator_s_term_counts_the_generator_s_batches(
    tmp_path: Path, n_critic: int, every: int, steps: list[int]
) -> None:
    term = SmallImages(every)
    model = small_gan(regularizers=[term], n_critic=n_critic)
    term.clock = lambda: model.step
    fit(model, tmp_path, max_steps=8)
    assert term.steps == steps
    discriminator, generator = (optimizer.param_groups[0] for optimizer in model.optimizers())
    assert generator["lr"] == pytest.approx(2e-4 * (every / (every + 1) if every > 1 else 1))
    assert discriminator["lr"] == 2e-4


def test_a_lazy_generator_term_is_as_many_times_as_strong(tmp_path: Path) -> None:
    term = SmallImages(every=5)
    model = small_gan(regularizers=[term], n_critic=2)
    term.clock = lambda: model.step
    plain = SmallImages()
    fit(model, tmp_path, max_steps=1)
    batch = {"image": Batches().image}
    torch.manual_seed(0)
    lazy = model._generator_term(term, batch)
    torch.manual_seed(0)
    z = model.latents(4)
    torch.testing.assert_close(lazy, 5 * plain(model.generator, z, None))


def test_weights_are_constrained_after_lazy_steps_too(tmp_path: Path) -> None:
    """Batch 0 has both steps of the discriminator; the penalty's must not leave the box either."""
    model = small_gan(
        regularizers=[GradientPenalty(every=2), WeightClipping(0.01)], discriminator_optimizer=partial(SGD, lr=1.0)
    )
    fit(model, tmp_path, max_steps=1)
    assert max(p.abs().max().item() for p in model.discriminator.parameters()) <= 0.01


@pytest.mark.parametrize("every", [1, 2])
def test_penalties_are_in_single_precision_under_bf16(tmp_path: Path, every: int) -> None:
    halves: set[bool] = set()

    class Discriminator(DCGANDiscriminator):
        def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
            halves.add(torch.is_autocast_enabled("cpu"))
            return super().forward(x, label)

    term = Watched(every)
    model = small_gan(regularizers=[term, R1(every=every)], discriminator=partial(Discriminator, features=4))
    fit(model, tmp_path, max_steps=4, precision="bf16-mixed")
    assert term.seen == [({torch.float32}, False)] * (4 // every)
    assert halves == {True, False}, "the losses themselves are in half precision"
    assert all(torch.isfinite(p).all() for p in model.parameters())


def everything() -> GAN:
    return small_gan(
        regularizers=[R1(every=3), LeCamRegularization(), ConsistencyRegularization(shift=1, every=2)],
        augmentation=AdaptiveAugmentation(0.0, probability=0.5, ada_images=100, interval=2),
    )


def test_a_resumed_run_is_the_same_bit_for_bit_with_all_that_values_remember(tmp_path: Path) -> None:
    """Stopped between two lazy steps, and between two changes of p."""
    whole = everything()
    saved = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=5, save_top_k=-1)
    fit(whole, tmp_path, max_steps=9, callbacks=[saved], enable_checkpointing=True)
    resumed = everything()
    again = fit(resumed, tmp_path, tmp_path / "step=5.ckpt", max_steps=9)
    assert again.global_step == 9
    state = resumed.state_dict()
    assert {"regularizers.1.real_mean", "augmentation.p", "augmentation.batches"} <= state.keys()
    for name, value in whole.state_dict().items():
        assert torch.equal(state[name], value), name
    assert whole.augmentation.p != 0.5
    for ours, theirs in zip(resumed.optimizers(), whole.optimizers(), strict=True):
        for a, b in zip(ours.state.values(), theirs.state.values(), strict=True):
            assert all(torch.equal(a[key], b[key]) for key in b)
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
