"""The plain loops that results are compared with compute what the models do: same losses, same gradients."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import lit_gen.configs

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "benchmarks")]
methods: Any = pytest.importorskip("methods")
reference_loops: Any = pytest.importorskip("reference_loops")
IMAGE, NUM_CLASSES = methods.IMAGE, methods.NUM_CLASSES


@pytest.mark.parametrize("name", list(reference_loops.RECIPES))
def test_losses_and_gradients_are_equal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(next(iter(lit_gen.configs.__path__))) / "gan" / f"{name}_fashion_mnist.yaml"
    monkeypatch.setitem(methods.METHODS, name, yaml.safe_load(path.read_text("utf-8")))
    monkeypatch.setitem(methods.SHAPES, name, IMAGE)
    model, recipe = methods.tiny(name).train(), reference_loops.RECIPES[name]
    g, d = model.generator, model.discriminator
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape))  # networks that start as the identity hide a lot
    x = torch.rand(8, *IMAGE) * 2 - 1
    y = torch.arange(8) % NUM_CLASSES if model.num_classes else None
    batch = {"image": x} if y is None else {"image": x, "label": y}
    # Halfway between a real and a generated image, whichever of them the weight is of.
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, 0.5))
    state = {key: value.clone() for key, value in model.state_dict().items()}  # of batch and spectral norms

    def of_ours(player: str) -> tuple[torch.Tensor, ...]:
        model.load_state_dict(state)
        torch.manual_seed(2)
        network, loss = (d, model.discriminator_loss) if player == "discriminator" else (g, model.generator_loss)
        value = loss(batch)
        return value, *torch.autograd.grad(value, list(network.parameters()), allow_unused=True)

    def of_loop(player: str) -> tuple[torch.Tensor, ...]:
        model.load_state_dict(state)
        torch.manual_seed(2)
        if player == "discriminator":
            with torch.no_grad():
                fake = g(torch.randn(8, model.latent_dim), y)
            value, network = recipe.d_loss(d, x, fake, y), d
        else:
            value, network = recipe.g_loss(d, x, g(torch.randn(8, model.latent_dim), y), y), g
        return value, *torch.autograd.grad(value, list(network.parameters()), allow_unused=True)

    for player in ("discriminator", "generator"):
        found, right = of_ours(player), of_loop(player)
        assert any(part is not None and part.abs().max() > 0 for part in right[1:])
        for ours, theirs in zip(found, right, strict=True):
            if theirs is not None:
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * max(1.0, theirs.abs().max().item()))
    assert model.n_critic == recipe.n_critic
