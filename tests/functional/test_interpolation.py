import pytest
import torch

from lit_gen.functional.interpolation import lerp, slerp

T = torch.linspace(0, 1, 11)


@pytest.mark.parametrize("way", [lerp, slerp])
def test_the_ends_are_exact(way):
    a, b = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    between = way(a, b, T)
    assert between.shape == (11, 64)
    assert torch.equal(between[0], a) and torch.equal(between[-1], b)


def test_slerp_keeps_the_norm_and_turns_evenly():
    a, b = torch.randn(2, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a, b = 3 * a / a.norm(), 3 * b / b.norm()
    between = slerp(a, b, T.double())
    torch.testing.assert_close(between.norm(dim=1), torch.full((11,), 3.0, dtype=torch.float64))
    angles = torch.acos((between[:-1] * between[1:]).sum(dim=1) / 9)
    torch.testing.assert_close(angles, torch.acos(a @ b / 9).expand(10) / 10)
    assert lerp(a, b, T.double())[5].norm() < 2.5


def test_slerp_in_the_plane_is_a_circle():
    between = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), T)
    angle = T * torch.pi / 2
    torch.testing.assert_close(between, torch.stack([angle.cos(), angle.sin()], dim=1))


@pytest.mark.parametrize("b", [[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_slerp_without_an_angle_is_the_line(b):
    a, b = torch.tensor([1.0, 0.0]), torch.tensor(b)
    assert torch.equal(slerp(a, b, T), lerp(a, b, T))
