"""DiffAugment and adaptive augmentation: exact where nothing is drawn, the papers' ranges where something is."""

import math

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.ada import AdaptiveAugmentation
from lit_gen.functional.ada_changes import blit, hue_rotation, luma_flip, recolour, saturation, transform
from lit_gen.functional.augmentation import Augmentation
from lit_gen.functional.diffaugment import DiffAugment
from lit_gen.functional.gradient_penalties import R1
from lit_gen.functional.regularizer import Critique

SHAPES = [(1, 8, 8), (3, 9, 12), (4, 16, 5)]
VALUES: list[Augmentation] = [DiffAugment(), AdaptiveAugmentation(None, 1.0)]


def images(num: int, shape: tuple[int, int, int], **options: object) -> Tensor:
    return torch.rand(num, *shape, generator=torch.Generator().manual_seed(1), **options) * 2 - 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_any_shape_with_finite_gradients_for_every_image(value: Augmentation, shape: tuple[int, int, int]) -> None:
    x = images(64, shape).requires_grad_()
    torch.manual_seed(0)
    y = value(x)
    assert y.shape == x.shape
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.isfinite(gradient).all()
    assert (gradient.flatten(1).abs().sum(1) > 0).all()
    assert (y - x).flatten(1).abs().sum(1).gt(0).float().mean() > 0.9


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_images_are_changed_one_by_one(value: Augmentation) -> None:
    """The gradient of one image's result reaches that image alone, and equal images come out unlike."""
    x = images(1, (3, 8, 8)).expand(16, -1, -1, -1).clone().requires_grad_()
    torch.manual_seed(0)
    y = value(x)
    (gradient,) = torch.autograd.grad(y[5].square().sum(), x)
    assert set(gradient.flatten(1).abs().sum(1).nonzero().flatten().tolist()) == {5}
    assert (y - y[:1]).flatten(1).abs().sum(1)[1:].gt(0).float().mean() > 0.9


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_the_draws_do_not_depend_on_the_images(value: Augmentation) -> None:
    """Whatever is drawn, T is affine in the image: with the same draws T(a) + T(b) = T(a + b) + T(0)."""
    a, b = images(32, (3, 8, 8)), images(32, (3, 8, 8)).flip(0)

    def changed(x: Tensor) -> Tensor:
        torch.manual_seed(4)
        return value(x)

    torch.testing.assert_close(
        changed(a) + changed(b), changed(a + b) + changed(torch.zeros_like(a)), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_penalty_can_be_taken_through_it(value: Augmentation) -> None:
    """R1 of ⟨w, T(x)⟩ is γ/2 ‖Tᵀw‖², and its derivative reaches w."""
    x = images(8, (3, 8, 8))
    w = images(1, (3, 8, 8)).requires_grad_()
    torch.manual_seed(0)
    penalty = R1(2.0)(Critique(lambda image, label: (w * value(image)).sum((1, 2, 3)), x, x))
    (gradient,) = torch.autograd.grad(penalty, w)
    # It is a quadratic form of w, so that ⟨∇, w⟩ is twice its value.
    assert (gradient * w).sum().item() == pytest.approx(2 * penalty.item(), rel=1e-4)
    assert penalty.item() > 0


def test_no_policy_and_no_probability_change_nothing() -> None:
    x = images(8, (3, 8, 8))
    assert torch.equal(DiffAugment(())(x), x)
    assert torch.equal(AdaptiveAugmentation(None, 0.0)(x), x)
    nothing = DiffAugment(("translation", "cutout"), translation_ratio=0.0, cutout_ratio=0.0)
    assert torch.equal(nothing(x), x)


def test_diffaugment_translates_by_whole_pixels_up_to_an_eighth() -> None:
    x = torch.ones(4000, 1, 16, 24)
    x[:, :, 8, 12] = 5.0
    torch.manual_seed(0)
    y = DiffAugment(("translation",))(x)
    _, _, rows, columns = (y == 5.0).nonzero(as_tuple=True)
    down, right = rows - 8, columns - 12
    assert set(down.tolist()) == set(range(-2, 3))
    assert set(right.tolist()) == set(range(-3, 4))
    assert (down + 2).bincount().min() > 4000 / 5 * 0.85
    # What comes in is zero, as many rows and columns as the image moved.
    zeros = (y[:, 0] == 0).sum((1, 2))
    assert torch.equal(zeros, 24 * down.abs() + 16 * right.abs() - down.abs() * right.abs())


def test_diffaugment_cuts_a_square_of_half_the_size() -> None:
    torch.manual_seed(0)
    y = DiffAugment(("cutout",))(torch.ones(4000, 2, 8, 12))
    cut = y[:, 0] == 0
    assert torch.equal(y[:, 0], y[:, 1])
    rows, columns = cut.any(2).sum(1), cut.any(1).sum(1)
    assert torch.equal(cut.sum((1, 2)), rows * columns), "a rectangle"
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 4, 3, 6), (
        "its centre is any pixel, or the edge"
    )
    whole = (rows == 4).float().mean().item()
    assert whole == pytest.approx(5 / 9, abs=0.03)  # 5 of the 9 places lie inside


def test_diffaugment_colours_in_the_paper_s_ranges() -> None:
    """On one pixel pair per channel the three factors can be told apart from the result."""
    x = torch.zeros(4000, 3, 1, 2)
    x[:, 0, 0, 0], x[:, 1, 0, 0] = 0.3, -0.3
    torch.manual_seed(0)
    y = DiffAugment(("color",))(x)
    brightness = y.mean((1, 2, 3)) - x.mean((1, 2, 3))
    product = (y[:, 0, 0, 0] - y[:, 1, 0, 0]) / 0.6  # saturation times contrast
    assert brightness.abs().max() <= 0.5
    assert brightness.var().item() == pytest.approx(1 / 12, abs=0.005)
    assert product.min() >= 0 and product.max() <= 3
    assert product.mean().item() == pytest.approx(1.0, abs=0.03)
    assert product.var().item() == pytest.approx((4 / 3) * (13 / 12) - 1, abs=0.03)  # E[s²]E[c²] − 1
    grey = DiffAugment(("color",))(torch.linspace(-1, 1, 8).view(1, 1, 2, 4).expand(4000, -1, -1, -1))
    contrast = grey.amax((1, 2, 3)) - grey.amin((1, 2, 3))
    assert (contrast / 2).min() >= 0.5 and (contrast / 2).max() <= 1.5


@pytest.mark.parametrize("group", [blit, transform, recolour])
def test_an_image_that_nothing_befalls_is_the_same_to_the_last_bit(group: object) -> None:
    x = images(400, (3, 8, 8))
    assert torch.equal(group(x, torch.tensor(0.0)), x)
    torch.manual_seed(0)
    same = (group(x, torch.tensor(0.1)) == x).flatten(1).all(1).float().mean().item()
    assert 0.5 < same < 0.85


def test_blitting_only_moves_pixels() -> None:
    x = torch.arange(64.0).view(1, 1, 8, 8).expand(2000, -1, -1, -1)
    torch.manual_seed(0)
    y = blit(x, torch.tensor(1.0))
    assert set(y.unique().tolist()) <= set(range(64))
    views = {tuple(view.flatten().tolist()) for view in y}
    assert len(views) == 8 * 9, "8 symmetries of the square, 3 × 3 shifts by up to one pixel"
    # Nothing befalls an image when it is not mirrored (1 − p/2), turned (1 − 3p/4), nor shifted (1 − 3p/4).
    same = (blit(x, torch.tensor(0.5)) == x).flatten(1).all(1).float().mean().item()
    assert same == pytest.approx(0.75 * 0.625 * 0.625, abs=0.04)


def test_geometry_moves_a_point_as_far_as_the_paper_says() -> None:
    """Shifts alone have variance (⅛ size)²; scales multiply areas by e^(2·0.2 ln 2 · N)."""
    ramp = torch.arange(64.0).view(1, 1, 1, 64).expand(1, 1, 64, 64)
    torch.manual_seed(0)
    y = transform(ramp.expand(600, -1, -1, -1), torch.tensor(1.0))
    slope_right = y[:, 0, 32, 33] - y[:, 0, 32, 32]
    slope_down = y[:, 0, 33, 32] - y[:, 0, 32, 32]
    # Directions are uniform: neither axis of the result keeps the ramp's.
    assert slope_right.mean().abs() < 0.15 and slope_down.mean().abs() < 0.15
    log_scale = 0.5 * (slope_right.square() + slope_down.square()).log()
    inside = (y[:, 0, 32, 32] > 4) & (y[:, 0, 32, 32] < 59)
    # Var: isotropic (0.2 ln 2)², stretch as much in one direction or its inverse in the other.
    assert log_scale[inside].std().item() == pytest.approx(math.sqrt(2) * 0.2 * math.log(2), rel=0.2)


def test_colour_matrices_are_what_they_are_called() -> None:
    angle = torch.tensor([0.3, -2.0])
    rotation, flip, grey = (
        hue_rotation(angle),
        luma_flip(torch.tensor([1.0, 0.0])),
        saturation(torch.tensor([0.0, 3.0])),
    )
    eye = torch.eye(4).expand(2, 4, 4)
    torch.testing.assert_close(rotation @ rotation.mT, eye)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2))
    torch.testing.assert_close(rotation.diagonal(dim1=1, dim2=2).sum(1), 2 + 2 * angle.cos())
    torch.testing.assert_close(rotation, torch.linalg.matrix_exp(angle[:, None, None] * _cross()), atol=1e-6, rtol=0)
    torch.testing.assert_close(hue_rotation(torch.tensor([2 * math.pi / 3]))[0, :3, :3], torch.eye(3).roll(1, 0))
    torch.testing.assert_close(flip @ flip, eye)
    torch.testing.assert_close(torch.linalg.det(flip), torch.tensor([-1.0, 1.0]))
    ones = torch.tensor([1.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(flip @ ones, torch.tensor([[-1.0, -1, -1, 1], [1, 1, 1, 1]]))
    for matrix in (rotation, grey):
        torch.testing.assert_close(matrix @ ones, ones.expand(2, 4))
    torch.testing.assert_close(torch.linalg.det(grey), torch.tensor([0.0, 9.0]))
    torch.testing.assert_close(grey[0] @ torch.tensor([1.0, 0, 0, 0]), torch.tensor([1 / 3, 1 / 3, 1 / 3, 0]))


def _cross() -> Tensor:
    """[v]× of the unit vector along grey."""
    c = 1 / math.sqrt(3)
    return torch.tensor([[0, -c, c, 0], [c, 0, -c, 0], [-c, c, 0, 0], [0, 0, 0, 0]])


def test_brightness_and_contrast_of_one_channel_are_drawn_as_in_the_paper() -> None:
    x = torch.tensor([-0.5, 0.5]).view(1, 1, 1, 2).expand(20000, -1, -1, -1)
    torch.manual_seed(0)
    y = recolour(x, torch.tensor(1.0))
    contrast = y[:, 0, 0, 1] - y[:, 0, 0, 0]
    assert contrast.log().std().item() == pytest.approx(0.5 * math.log(2), rel=0.03)
    assert (y.mean((1, 2, 3)) / contrast).std().item() == pytest.approx(0.2, rel=0.03)
    # The same factors act on three channels, before colours are turned: greys stay grey.
    grey = recolour(x.expand(-1, 3, -1, -1), torch.tensor(1.0))
    torch.testing.assert_close(grey[:, :1].expand(-1, 3, -1, -1), grey, atol=1e-5, rtol=1e-4)
    assert (grey[:, 0, 0, 1] - grey[:, 0, 0, 0]).abs().log().std().item() == pytest.approx(0.5 * math.log(2), rel=0.03)


def test_the_controller_s_arithmetic() -> None:
    """p moves every 4 batches by B·4/ada_images towards where E[sign(l)] = 0.6, and stays in [0, 1]."""
    value = AdaptiveAugmentation(ada_images=1000)
    sure, fooled, even = torch.full((25,), 2.0), torch.full((25,), -2.0), torch.linspace(-1, 1, 25)
    course, logged = [], []
    for logits in [sure] * 8 + [even] * 4 + [sure] * 3 + [fooled] * 1 + [fooled] * 4:
        logged.append(value.observe(logits))
        course.append(round(value.p.item(), 4))
    # What is logged is the probability that this batch was changed with.
    assert [round(one["augmentation/probability"].item(), 4) for one in logged] == [0.0, *course[:-1]]
    # 100 images of 1000 each time. The fourth time r_t = 3/4 − 1/4 = ½ < 0.6.
    assert course[::4] == [0.0, 0.1, 0.2, 0.1, 0.0]
    assert course[3::4] == [0.1, 0.2, 0.1, 0.0, 0.0]
    quick = AdaptiveAugmentation(ada_images=60)
    for _ in range(8):
        quick.observe(sure)
    assert quick.p.item() == 1.0
    fixed = AdaptiveAugmentation(None, 0.3)
    fixed.observe(sure)
    assert fixed.p.item() == pytest.approx(0.3)


def test_half_a_million_images_take_p_from_nothing_to_one() -> None:
    value = AdaptiveAugmentation()
    batches = 0
    while value.p < 1:
        value.observe(torch.ones(5000))
        batches += 1
    assert batches * 5000 == 500_000


def test_the_controller_s_state_travels_in_its_buffers() -> None:
    value, other = AdaptiveAugmentation(ada_images=100), AdaptiveAugmentation(ada_images=100)
    for logits in torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) + 1:
        value.observe(logits)
    other.load_state_dict(value.state_dict())
    for logits in torch.ones(6, 5):
        value.observe(logits)
        other.observe(logits)
    assert value.p > 0
    assert all(torch.equal(a, b) for a, b in zip(value.buffers(), other.buffers(), strict=True))
    assert not list(value.parameters())


def test_half_precision_images_are_changed_in_single_precision() -> None:
    x = images(16, (3, 8, 8))
    value = AdaptiveAugmentation(None, 1.0)
    torch.manual_seed(0)
    plain = value(x)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(value(x), plain)
    assert value(x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiffAugment(("colour",)), "'colour'; there are color, translation, cutout"),
        (lambda: DiffAugment(cutout_ratio=1.5), "cutout_ratio is 1.5"),
        (lambda: AdaptiveAugmentation(target=2.0), "target is 2.0"),
        (lambda: AdaptiveAugmentation(probability=-0.1), "probability is -0.1"),
        (lambda: AdaptiveAugmentation(ada_images=0), "ada_images is 0"),
        (lambda: AdaptiveAugmentation(groups=("hue",)), "'hue'; there are blit, geometry, color"),
    ],
)
def test_senseless_settings_are_refused(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
