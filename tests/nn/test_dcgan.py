"""DCGAN networks: any size and channels, the paper's layers and initialisation."""

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator

SHAPES = [(1, 8, 8), (1, 9, 15), (3, 28, 28), (1, 32, 32), (2, 37, 50), (3, 64, 9), (4, 65, 33), (1, 128, 8)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("latent_dim", [1, 7])
def test_any_shape(shape: tuple[int, int, int], num_classes: int | None, latent_dim: int) -> None:
    generator = DCGANGenerator(shape, latent_dim, num_classes, features=4)
    discriminator = DCGANDiscriminator(shape, num_classes, features=4)
    label = None if num_classes is None else torch.tensor([0, 2])
    x = generator(torch.randn(2, latent_dim), label)
    assert x.shape == (2, *shape)
    assert x.abs().max() <= 1
    logits = discriminator(x, label)
    assert logits.shape == (2,)
    logits.sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("shape", [(1, 7, 64), (3, 64, 7), (1, 1, 1)])
def test_images_that_are_too_small_are_refused_with_their_size(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match=f"{shape[1]}×{shape[2]}"):
        DCGANGenerator(shape, 4)
    with pytest.raises(UserError, match=f"{shape[1]}×{shape[2]}"):
        DCGANDiscriminator(shape)


def test_the_paper_s_64_pixel_generator() -> None:
    """Figure 1: 100 → 1024×4×4 → 512×8×8 → 256×16×16 → 128×32×32 → 3×64×64."""
    layers = list(DCGANGenerator((3, 64, 64), 100, features=128).layers)
    convolutions = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    assert [c.out_channels for c in convolutions] == [1024, 512, 256, 128, 3]
    assert convolutions[0].kernel_size == (4, 4)
    assert isinstance(layers[-1], nn.Tanh)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 4
    assert sum(isinstance(layer, nn.ReLU) for layer in layers) == 4


def test_discriminator_has_no_batch_norm_at_either_end() -> None:
    layers = list(DCGANDiscriminator((3, 64, 64), features=8).layers)
    assert [type(layer).__name__ for layer in layers[:3]] == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert isinstance(layers[-1], nn.Conv2d)
    assert all(layer.negative_slope == 0.2 for layer in layers if isinstance(layer, nn.LeakyReLU))


def test_weights_are_drawn_with_standard_deviation_002() -> None:
    torch.manual_seed(0)
    for network in (DCGANGenerator((3, 64, 64), 100), DCGANDiscriminator((3, 64, 64))):
        weights = torch.cat([p.flatten() for name, p in network.named_parameters() if p.ndim == 4])
        assert weights.std().item() == pytest.approx(0.02, rel=0.01)
        assert abs(weights.mean().item()) < 1e-4


def test_the_label_decides() -> None:
    torch.manual_seed(0)
    generator, discriminator = DCGANGenerator((1, 8, 8), 4, 3).eval(), DCGANDiscriminator((1, 8, 8), 3).eval()
    z = torch.randn(1, 4)
    a, b = generator(z, torch.tensor([0])), generator(z, torch.tensor([1]))
    assert not torch.allclose(a, b)
    assert not torch.allclose(discriminator(a, torch.tensor([0])), discriminator(a, torch.tensor([1])))


@pytest.mark.parametrize("widths", [{"features": 0}, {"features": -1}, {"max_features": 0}])
def test_senseless_widths_are_refused(widths: dict[str, int]) -> None:
    with pytest.raises(UserError, match="features"):
        DCGANGenerator((1, 8, 8), 4, **widths)
    with pytest.raises(UserError, match="features"):
        DCGANDiscriminator((1, 8, 8), **widths)


def test_the_default_discriminator_is_the_paper_s_layer_by_layer() -> None:
    torch.manual_seed(0)
    network = DCGANDiscriminator((1, 28, 28), features=4)
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.LeakyReLU(0.2),
        nn.Conv2d(16, 1, 4),
    )
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for (key, ours), (name, theirs) in zip(network.state_dict().items(), layers.state_dict().items(), strict=True):
        assert key == f"layers.{name}"
        assert torch.equal(ours, theirs), key
    x = torch.randn(3, 1, 28, 28)
    assert torch.equal(network(x), layers(x).flatten())


@pytest.mark.parametrize("norm", ["batch", "layer", "none", "spectral"])
@pytest.mark.parametrize("num_outputs", [1, 4])
def test_norms_and_outputs(norm: str, num_outputs: int) -> None:
    torch.manual_seed(0)
    network = DCGANDiscriminator((1, 9, 15), features=4, norm=norm, num_outputs=num_outputs)
    x = torch.randn(3, 1, 9, 15, requires_grad=True)
    outputs = network(x)
    assert outputs.shape == ((3,) if num_outputs == 1 else (3, 4))
    (gradient,) = torch.autograd.grad(outputs[0].sum(), x, retain_graph=True)
    assert (gradient[1:].abs().max() > 0) == (norm == "batch"), "an image's outputs depend on the others"
    outputs.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    # Biases that a norm takes away again are left out.
    biased = [layer.bias is not None for layer in network.layers if isinstance(layer, nn.Conv2d)]
    assert biased == [True, norm in ("none", "spectral"), True]


def test_spectral_norms_are_one_and_rest_in_evaluation() -> None:
    torch.manual_seed(0)
    network, x = DCGANDiscriminator((1, 16, 16), features=4, norm="spectral"), torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        for _ in range(200):
            network(x)
    before = [buffer.clone() for buffer in network.eval().buffers()]
    assert torch.equal(network(x), network(x))
    assert all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            assert torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() == pytest.approx(1.0, abs=2e-3)


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(UserError, match="norm is 'instance'"):
        DCGANDiscriminator((1, 8, 8), norm="instance")
