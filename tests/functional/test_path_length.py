"""The path length penalty on a linear generator, whose Jacobian is known."""

import math

import pytest
import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.functional.path_length import PathLengthRegularization
from lit_gen.nn.stylegan2 import StyleGAN2Generator


class Linear(nn.Module):
    """Maps z to w by a factor, and styles [B, L, D] to images of 1×H×W pixels by one matrix per layer."""

    def __init__(self, num_styles: int = 2, size: int = 3, height: int = 2, width: int = 4) -> None:
        super().__init__()
        self.num_styles, self.shape = num_styles, (1, height, width)
        self.matrices = nn.Parameter(torch.randn(num_styles, height * width, size))
        self.factor = nn.Parameter(torch.tensor(2.0))

    def mapping(self, z: Tensor, label: Tensor | None) -> Tensor:
        return self.factor * z

    def synthesis(self, ws: Tensor) -> Tensor:
        return torch.einsum("lpd,bld->bp", self.matrices, ws).contiguous().unflatten(1, self.shape)


def test_the_closed_form_of_a_linear_generator() -> None:
    """J_l = M_l: lengths are √(mean_l ‖M_lᵀ y‖²), whatever w is."""
    torch.manual_seed(0)
    generator, term = Linear(), PathLengthRegularization(weight=3.0, decay=0.25, batch_shrink=1)
    mean = 0.0
    for i in range(3):
        torch.manual_seed(i)
        penalty = term(generator, torch.zeros(5, 3), None)
        torch.manual_seed(i)
        y = torch.randn(5, 1, 2, 4).flatten(1) / math.sqrt(8)
        products = torch.einsum("lpd,bp->bld", generator.matrices.detach(), y)
        lengths = products.square().sum(2).mean(1).sqrt()
        mean = 0.75 * mean + 0.25 * lengths.mean().item()
        assert term.mean_length.item() == pytest.approx(mean, rel=1e-5)
        assert penalty.item() == pytest.approx(3.0 * (lengths - mean).square().mean().item(), rel=1e-4)


def test_the_gradient_of_the_scale_of_the_jacobian() -> None:
    """With M = c·M₀, lengths are c·l₀: dL/dc = 2λ E[(c·l₀ − a)·l₀], a held fixed."""
    torch.manual_seed(0)
    generator, term = Linear(num_styles=1), PathLengthRegularization(weight=2.0, decay=0.5, batch_shrink=1)
    penalty = term(generator, torch.randn(4, 3), None)
    penalty.backward()
    torch.manual_seed(0)
    Linear(num_styles=1)
    torch.randn(4, 3)
    y = torch.randn(4, 8) / math.sqrt(8)
    lengths = (y @ generator.matrices[0].detach()).norm(dim=1)
    a = 0.5 * lengths.mean()
    expected = 4.0 * ((lengths - a) * lengths).mean().item()
    # The derivative by c at c = 1 is ⟨dL/dM, M⟩.
    assert (generator.matrices.grad * generator.matrices).sum().item() == pytest.approx(expected, rel=1e-4)


def test_lengths_do_not_depend_on_the_image_s_size() -> None:
    """For the identity, E‖Jᵀy‖² = H·W·(1/(H·W)) = 1."""
    for side in (4, 16):
        generator = Linear(1, side * side, side, side)
        nn.init.eye_(generator.matrices[0])
        term = PathLengthRegularization(decay=1.0, batch_shrink=1)
        term(generator, torch.randn(2000, side * side), None)
        assert term.mean_length.item() == pytest.approx(1.0, abs=0.03)


def test_an_orthogonal_map_costs_nothing_in_the_limit_and_a_dead_one_has_a_gradient() -> None:
    generator, term = Linear(), PathLengthRegularization(batch_shrink=1)
    nn.init.zeros_(generator.matrices)
    term(generator, torch.randn(4, 3), None).backward()
    assert torch.isfinite(generator.matrices.grad).all()


@pytest.mark.parametrize(("num", "shrink", "used"), [(8, 2, 4), (9, 4, 2), (1, 2, 1)])
def test_it_uses_a_part_of_the_batch(num: int, shrink: int, used: int) -> None:
    generator, seen = Linear(), []
    mapping = generator.mapping
    generator.mapping = lambda z, label: seen.append((len(z), len(label))) or mapping(z, label)  # type: ignore[method-assign, func-returns-value]
    PathLengthRegularization(batch_shrink=shrink)(generator, torch.randn(num, 3), torch.zeros(num, dtype=torch.long))
    assert seen == [(used, used)]


@pytest.mark.parametrize("num_classes", [None, 3])
def test_it_reaches_every_part_of_stylegan2_that_shapes_images(num_classes: int | None) -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator((1, 9, 8), 4, num_classes, 4, 8, style_dim=5, mapping_layers=2)
    label = None if num_classes is None else torch.tensor([0, 1, 2, 0])
    term = PathLengthRegularization()
    term(generator, torch.randn(4, 4), label).backward()
    for name, parameter in generator.named_parameters():
        if parameter.grad is None:
            # What is only added to the image does not change its Jacobian.
            assert name.startswith("synthesis.to_image") and name.endswith("bias") and "affine" not in name, name
        else:
            assert torch.isfinite(parameter.grad).all(), name
    strengths = [p.grad for name, p in generator.named_parameters() if name.endswith("noise_strength")]
    assert len(strengths) == 3 and all(g is not None and g.item() != 0 for g in strengths)
    assert not generator.w_avg.any()  # only images drawn for the game move the mean style


def test_the_running_mean_is_saved_and_no_parameter() -> None:
    term = PathLengthRegularization()
    term(Linear(), torch.randn(4, 3), None)
    assert not list(term.parameters())
    other = PathLengthRegularization()
    other.load_state_dict(term.state_dict())
    assert other.mean_length == term.mean_length > 0


def test_a_generator_without_styles_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="Identity"):
        PathLengthRegularization()(nn.Identity(), torch.randn(2, 3), None)


@pytest.mark.parametrize("settings", [{"weight": 0.0}, {"decay": 0.0}, {"batch_shrink": 0}, {"every": 0}])
def test_senseless_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(settings))):
        PathLengthRegularization(**settings)  # type: ignore[arg-type]
