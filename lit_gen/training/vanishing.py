r"""The generator's gradient while a fresh discriminator learns to tell its images from the data.

As the discriminator becomes perfect, the gradient of the minimax loss vanishes, and that of the non-saturating loss
grows and becomes unsteady:

.. math:: \|\nabla_\theta E_z[\log(1 - D(G_\theta(z)))]\| \to 0 \qquad (\text{theorem } 2.4)

References:
    | Towards Principled Methods for Training Generative Adversarial Networks (Arjovsky & Bottou, 2017), figures 2 and 3
    | https://arxiv.org/abs/1701.04862
"""

__all__ = ["Measurement", "gradient_norms", "vanishing_gradient"]

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_gen.contracts import Batch, SupportsLatents
from lit_gen.functional.adversarial import AdversarialLoss, discriminator_cross_entropy


class Measurement(NamedTuple):
    """What is known after so many steps of the discriminator.

    Attributes:
        step: The steps done.
        loss: The discriminator's loss on its last batch, nan before the first.
        accuracy: The share of that batch's images, real and generated, that it told rightly; nan before the first.
        norms: The norms of the generator's gradient, by the name of the loss.
    """

    step: int
    loss: float
    accuracy: float
    norms: dict[str, float]


def gradient_norms(
    model: SupportsLatents,
    discriminator: nn.Module,
    losses: Mapping[str, AdversarialLoss],
    z: Tensor,
    label: Tensor | None,
    batch_size: int,
    told: bool = True,
) -> dict[str, float]:
    """Returns ‖∇θ L‖ of each loss, with θ all parameters that the images depend on.

    The discriminator judges in the mode it is in; its buffers are left as they were.

    Arguments:
        model: The model that holds the generator.
        discriminator: Maps images, and labels if it knows of any, to logits.
        losses: The generator's losses, none of them relativistic.
        z: Latents, shape [N, D].
        label: Their labels, shape [N], or None.
        batch_size: The number of images judged at once; losses are means over all of them.
        told: Whether the discriminator gets the labels, too.
    """
    assert isinstance(model, nn.Module)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    sums: dict[str, list[Tensor]] = {}
    with _kept(discriminator):
        for part in torch.arange(len(z), device=z.device).split(batch_size):
            y = None if label is None else label[part]
            logits = _logits(discriminator, model.generate(z[part], y), y if told else None)
            for name, loss in losses.items():
                share = loss.generator(logits) * (len(part) / len(z))
                found = torch.autograd.grad(share, parameters, retain_graph=True, allow_unused=True)
                gradient = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
                sums[name] = [a + b for a, b in zip(sums[name], gradient, strict=True)] if name in sums else gradient
    return {name: float(torch.stack([part.norm() for part in sums[name]]).norm()) for name in losses}


def vanishing_gradient(
    model: SupportsLatents,
    discriminator: nn.Module,
    optimizer: Optimizer,
    batches: Iterator[Batch],
    losses: Mapping[str, AdversarialLoss],
    z: Tensor,
    label: Tensor | None,
    steps: int,
    every: int,
    told: bool = True,
) -> Iterator[Measurement]:
    """Trains a discriminator by cross-entropy against a generator that stays as it is, and measures on the way.

    Arguments:
        model: The model that holds the generator, in evaluation mode: one fixed function of its latents.
        discriminator: The discriminator, newly initialised.
        optimizer: Its optimizer.
        batches: Batches of real images in [−1, 1], without end.
        losses: The generator's losses, by name.
        z: The latents that gradients are measured on, the same every time, shape [N, D].
        label: Their labels, or None.
        steps: The discriminator's steps.
        every: The steps between two measurements.
        told: Whether the discriminator gets the labels, too.
    """
    discriminator.train()
    loss_value = accuracy = torch.tensor(torch.nan)
    batch = next(batches)
    for step in range(steps + 1):
        if step % every == 0 or step == steps:
            norms = gradient_norms(model, discriminator, losses, z, label, len(batch["image"]), told)
            yield Measurement(step, float(loss_value), float(accuracy), norms)
        if step == steps:
            return
        x, y = batch["image"], None if label is None else batch["label"]
        with torch.no_grad():
            fake = model.generate(model.latents(len(x)), y)
        seen = y if told else None
        real_logits, fake_logits = _logits(discriminator, x, seen), _logits(discriminator, fake, seen)
        loss = discriminator_cross_entropy(real_logits, fake_logits)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        loss_value = loss.detach()
        accuracy = torch.cat([real_logits > 0, fake_logits < 0]).float().mean()
        batch = next(batches)


def _logits(discriminator: nn.Module, x: Tensor, label: Tensor | None) -> Tensor:
    """Returns the verdict [B] of a discriminator that may have other outputs."""
    outputs: Tensor = discriminator(x, label)
    return outputs if outputs.ndim == 1 else outputs[:, 0]


@contextlib.contextmanager
def _kept(network: nn.Module) -> Iterator[None]:
    """Puts a network's buffers back as they were when the block ends."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(before[name])
