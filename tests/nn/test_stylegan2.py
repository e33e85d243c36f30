"""StyleGAN2 networks: modulation against a loop over images, equalised scales, noise, mixing, truncation."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_gen.contracts import SupportsTruncation
from lit_gen.errors import UserError
from lit_gen.functional.gradient_penalties import R1
from lit_gen.functional.regularizer import Critique
from lit_gen.models import GAN
from lit_gen.nn.equalized import EqualizedConv2d, EqualizedLinear
from lit_gen.nn.mapping import MappingNetwork, normalise
from lit_gen.nn.modulated import ModulatedConv2d, StyledLayer
from lit_gen.nn.resampling import blur
from lit_gen.nn.stylegan2 import StyleGAN2Generator, SynthesisNetwork
from lit_gen.nn.stylegan2_discriminator import MinibatchDeviation, StyleGAN2Discriminator

SHAPES = [(1, 8, 8), (1, 9, 15), (3, 28, 28), (2, 37, 50), (3, 64, 9), (4, 33, 34)]
SMALL = {"features": 3, "max_features": 6, "mapping_layers": 2}


def generator(shape: tuple[int, int, int] = (2, 9, 12), num_classes: int | None = None, **kwargs: object) -> nn.Module:
    torch.manual_seed(0)
    network = StyleGAN2Generator(shape, 5, num_classes, style_dim=6, **{**SMALL, **kwargs})  # type: ignore[arg-type]
    for layer in network.modules():
        if isinstance(layer, StyledLayer):  # as after some training
            nn.init.constant_(layer.noise_strength, 0.3)
    return network


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_classes", [None, 3])
def test_any_shape(shape: tuple[int, int, int], num_classes: int | None) -> None:
    made, discriminator = generator(shape, num_classes), StyleGAN2Discriminator(shape, num_classes, **SMALL)
    label = None if num_classes is None else torch.tensor([0, 1, 2])
    x = made(torch.randn(3, 5), label)
    assert x.shape == (3, *shape)
    logits = discriminator(x, label)
    assert logits.shape == (3,)
    logits.square().sum().backward()
    for name, parameter in [*made.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("num_classes", [None, 3])
def test_the_penalty_on_gradients_is_finite_and_reaches_every_weight(num_classes: int | None) -> None:
    torch.manual_seed(0)
    discriminator = StyleGAN2Discriminator((1, 9, 12), num_classes, **SMALL)
    label = None if num_classes is None else torch.tensor([0, 1, 2, 2, 1])
    x = torch.randn(5, 1, 9, 12)
    R1()(Critique(discriminator, x, x, label, label)).backward()
    for name, parameter in discriminator.named_parameters():
        if not name.endswith("bias"):
            assert torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


@pytest.mark.parametrize(("kernel_size", "demodulate", "up"), [(3, True, False), (1, False, False), (3, True, True)])
def test_modulation_is_a_convolution_of_each_image_with_weights_of_its_own(
    kernel_size: int, demodulate: bool, up: bool
) -> None:
    """Equations (1) and (3); doubling puts zeros between the pixels, then convolves, then filters."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(4, 3, kernel_size, 6, demodulate, up).double()
    x, w = torch.randn(5, 4, 6, 7, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    expected = []
    for image, style in zip(x, layer.affine(w), strict=True):
        weight = layer.weight / math.sqrt(4 * kernel_size**2) * style[None, :, None, None]
        if demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            spread = torch.zeros(4, 13, 15, dtype=torch.float64)
            spread[:, 1:12:2, 1:14:2] = image
            # The transpose of a convolution runs over its kernel the other way.
            y = functional.conv2d(spread[None], weight.flip(2, 3), padding=1)
            expected.append(4 * blur(y, (1, 1), (1, 1))[0])
        else:
            expected.append(functional.conv2d(image[None], weight, padding=kernel_size // 2)[0])
    torch.testing.assert_close(layer(x, w), torch.stack(expected))


def test_demodulation_keeps_unit_variance_whatever_the_style() -> None:
    torch.manual_seed(0)
    layer, x = ModulatedConv2d(64, 64, 3, 8), torch.randn(8, 64, 20, 20)
    for scale in (0.1, 1.0, 30.0):
        y = layer(x, scale * torch.randn(8, 8))[:, :, 1:-1, 1:-1]
        torch.testing.assert_close(y.var((1, 2, 3)), torch.ones(8), rtol=0.1, atol=0)


def test_equalised_weights_start_normal_and_give_unit_variance() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 100)
    for multiplier in (1.0, 0.01):
        layer = EqualizedLinear(100, 50, bias=1.0, lr_multiplier=multiplier)
        assert layer.weight.std().item() * multiplier == pytest.approx(1.0, rel=0.05)
        y = layer(x)
        assert y.mean().item() == pytest.approx(1.0, abs=0.1)
        assert y.std(0).mean().item() == pytest.approx(1.0, rel=0.05)
    convolution = EqualizedConv2d(32, 40, 3)
    assert convolution.weight.std().item() == pytest.approx(1.0, rel=0.05)
    assert convolution(torch.randn(8, 32, 20, 20))[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1.0, rel=0.05)


def test_a_layer_with_learning_rate_multiplier_learns_by_that_much() -> None:
    """One step of sign descent changes the effective weight by lr·λ/√D, the effective bias by lr·λ."""
    x = torch.ones(1, 16)
    for multiplier in (1.0, 0.01):
        layer = EqualizedLinear(16, 1, lr_multiplier=multiplier)
        before = layer(x)
        with torch.no_grad():
            layer.weight += 0.5
            layer.bias += 0.5
        assert (layer(x) - before).item() == pytest.approx(0.5 * multiplier * (16 / 4 + 1), rel=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (9, 12), (7, 5)], ids=str)
def test_halving_convolution_is_filter_then_stride(size: tuple[int, int]) -> None:
    layer, x = EqualizedConv2d(2, 3, 3, down=True).double(), torch.randn(2, 2, *size, dtype=torch.float64)
    y = layer(x)
    assert y.shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    full = functional.conv2d(blur(x, (2, 2), (3, 3)), layer.weight * layer.gain, layer.bias)
    torch.testing.assert_close(y, full[:, :, ::2, ::2][:, :, : y.shape[2], : y.shape[3]])


@pytest.mark.parametrize("num", [1, 2, 4, 5, 8, 11])
def test_minibatch_deviation_against_a_loop(num: int) -> None:
    x = torch.randn(num, 3, 4, 5, dtype=torch.float64)
    y = MinibatchDeviation(4)(x)
    torch.testing.assert_close(y[:, :3], x)
    num_groups = math.ceil(num / 4)
    for group in range(num_groups):
        members = x[group::num_groups]
        assert len(members) <= 4
        expected = (members.var(0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(y[group::num_groups, 3], expected.expand(len(members), 4, 5))


def test_minibatch_deviation_is_exact_in_mixed_precision() -> None:
    x = 10 + 0.01 * torch.randn(8, 3, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = MinibatchDeviation(4)(x)
    torch.testing.assert_close(y, MinibatchDeviation(4)(x), rtol=0, atol=0)


def test_both_networks_run_in_mixed_precision() -> None:
    made, discriminator = generator(num_classes=3), StyleGAN2Discriminator((2, 9, 12), 3, **SMALL)
    label = torch.tensor([0, 1, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = discriminator(made(torch.randn(3, 5), label), label)
    logits.float().sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


def test_mapping_normalises_and_knows_labels() -> None:
    mapping = MappingNetwork(5, 3, 7, layers=2)
    z, label = torch.randn(4, 5), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(normalise(z).square().mean(1), torch.ones(4))
    torch.testing.assert_close(mapping(z, label), mapping(10 * z, label))
    assert not torch.allclose(mapping(z, label), mapping(z, label.flip(0)))
    assert MappingNetwork(0, 3, 7)(None, label).shape == (4, 7)


def test_skips_add_up_and_every_style_counts() -> None:
    torch.manual_seed(0)
    network = SynthesisNetwork((1, 16, 16), 4, 4, 8).eval()
    assert network.num_styles == 6  # 2·log2(16) − 2
    ws = torch.randn(1, 6, 4)
    x = network(ws)
    for i in range(6):
        other = ws.clone()
        other[:, i] += 1.0
        assert not torch.allclose(network(other), x), i


def test_eval_is_deterministic_and_an_image_depends_on_its_latent_alone() -> None:
    made, z = generator().eval(), torch.randn(4, 5)
    torch.testing.assert_close(made(z), made(z), rtol=0, atol=0)
    torch.testing.assert_close(made(z)[1:2], made(z[1:2]))
    w_avg = made.w_avg.clone()
    made(z)
    assert torch.equal(made.w_avg, w_avg)
    made.train()
    assert not torch.allclose(made(z), made(z))


def test_truncation() -> None:
    made, z = generator(num_classes=3), torch.randn(4, 5)
    label = torch.tensor([0, 1, 2, 0])
    for _ in range(3):
        made(z, label)
    made.eval()
    assert isinstance(made, SupportsTruncation)
    torch.testing.assert_close(made.truncated(z, label, 1.0), made(z, label))
    mean = made.synthesis(made.w_avg.expand(4, made.num_styles, -1))
    torch.testing.assert_close(made.truncated(z, label, 0.0), mean)
    distances = [(made.truncated(z, label, t) - mean).square().mean().item() for t in (0.1, 0.5, 1.0)]
    assert distances == sorted(distances)


def test_the_model_truncates_towards_the_mean_style() -> None:
    torch.manual_seed(0)
    factory = partial(StyleGAN2Generator, style_dim=6, **SMALL)  # type: ignore[arg-type]
    model = GAN((1, 8, 8), generator=factory, latent_dim=5)
    model.generator(model.latents(4))
    model.eval()
    z = model.latents(3, torch.Generator().manual_seed(0))
    images = model.sample(3, generator=torch.Generator().manual_seed(0), truncation=0.4)
    torch.testing.assert_close(images, model.generator.truncated(z, None, 0.4))


def test_the_mean_style_is_tracked() -> None:
    made, z = generator(w_decay=0.75), torch.randn(4, 5)
    w = made.mapping(z).mean(0)
    made(z)
    torch.testing.assert_close(made.w_avg, 0.25 * w)
    made(z)
    torch.testing.assert_close(made.w_avg, (0.25 + 0.75 * 0.25) * w)


def test_mixing_takes_the_first_styles_from_one_latent_and_the_rest_from_another() -> None:
    made, z = generator((1, 32, 32)), torch.randn(400, 5)
    seen: list[Tensor] = []
    made.synthesis.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made.synthesis.forward = lambda ws: ws  # type: ignore[method-assign]
    made(z)
    ws, w = seen[0], made.mapping(z)
    own = (ws == w[:, None]).all(2)  # [400, L]
    assert own[:, 0].all()
    assert (own.int().diff(dim=1) <= 0).all()  # once left, never back
    assert own.all(1).float().mean().item() == pytest.approx(0.1, abs=0.05)
    crossovers = own.sum(1)[~own.all(1)]
    assert set(crossovers.tolist()) == set(range(1, made.num_styles))
    for row in ws[~own.all(1)]:
        assert len(row.unique(dim=0)) == 2
    made.eval()
    made(z)
    torch.testing.assert_close(seen[1], w[:, None].expand_as(seen[1]))


def test_noise_is_constant_in_evaluation_and_of_unit_variance_in_training() -> None:
    torch.manual_seed(0)
    layer = StyledLayer(4, 4, 3, (20, 20))
    x, w = torch.zeros(50, 4, 20, 20), torch.zeros(50, 3)
    nn.init.constant_(layer.noise_strength, 2.0)
    layer.eval()
    torch.testing.assert_close(layer(x, w)[7, 2], functional.leaky_relu(2 * layer.constant, 0.2) * math.sqrt(2))
    y = layer.train()(x, w)
    positive = y[y > 0] / (2 * math.sqrt(2))
    assert positive.square().mean().item() == pytest.approx(1.0, rel=0.05)
    assert not torch.equal(y[0], y[1]) and torch.equal(y[0, 0], y[0, 1])


def test_a_state_dict_carries_everything_that_evaluation_needs() -> None:
    made, z = generator(), torch.randn(2, 5)
    made(z)
    state = made.state_dict()
    torch.manual_seed(1)
    other = StyleGAN2Generator((2, 9, 12), 5, style_dim=6, **SMALL)  # type: ignore[arg-type]
    other.load_state_dict(state)
    torch.testing.assert_close(
        other.eval().truncated(z, None, 0.7), made.eval().truncated(z, None, 0.7), rtol=0, atol=0
    )


@pytest.mark.parametrize("num_classes", [None, 3])
def test_other_outputs_follow_the_logit(num_classes: int | None) -> None:
    discriminator = StyleGAN2Discriminator((1, 8, 8), num_classes, num_outputs=5, **SMALL)
    label = None if num_classes is None else torch.tensor([0, 2])
    x = torch.randn(2, 1, 8, 8)
    outputs = discriminator(x, label)
    assert outputs.shape == (2, 5)
    if label is not None:  # only the logit depends on the label
        others = discriminator(x, label.flip(0))
        torch.testing.assert_close(others[:, 1:], outputs[:, 1:])
        assert not torch.allclose(others[:, 0], outputs[:, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": 0}, "features"),
        ({"style_mixing": 1.5}, "style_mixing"),
        ({"mapping_layers": 0}, "layers"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        StyleGAN2Generator((1, 8, 8), 4, **settings)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the network needs images of at least 8×8"):
        StyleGAN2Generator((1, 7, 8), 4)
    with pytest.raises(UserError, match="features"):
        StyleGAN2Discriminator((1, 8, 8), max_features=0)
