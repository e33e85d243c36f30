"""Consistency regularization with critics that see, or do not see, what the transformation does."""

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.blitting import mirrored, shifted
from lit_gen.functional.consistency import ConsistencyRegularization
from lit_gen.functional.regularizer import Critique

real = torch.rand(16, 2, 9, 9, generator=torch.Generator().manual_seed(0))
fake = torch.rand(16, 2, 9, 9, generator=torch.Generator().manual_seed(1))


def brightest(x: Tensor, label: Tensor | None) -> Tensor:
    """Does not see where things are, as long as the brightest stays inside."""
    return x.amax((1, 2, 3))


def corner(x: Tensor, label: Tensor | None) -> Tensor:
    """Sees one place only."""
    return x[:, 0, 4, 4]


def test_a_critic_that_does_not_see_places_pays_nothing() -> None:
    inside = torch.zeros(16, 2, 9, 9)
    inside[:, :, 4, 4] = torch.rand(16, 2)
    assert ConsistencyRegularization()(Critique(brightest, inside, inside)).item() == 0


def test_one_that_sees_them_pays_the_mean_square_of_the_change() -> None:
    term = ConsistencyRegularization(weight=3.0, shift=2)
    torch.manual_seed(5)
    value = term(Critique(corner, real, fake))
    torch.manual_seed(5)
    moved = term.changed(real)
    torch.testing.assert_close(value, 3.0 * (corner(real, None) - corner(moved, None)).square().mean())
    assert value > 0


def test_balanced_on_generated_images_too() -> None:
    """bCR: each side with its own weight and its own draws, the real side first."""
    term = ConsistencyRegularization(weight=3.0, fake_weight=5.0, shift=2)
    torch.manual_seed(5)
    value = term(Critique(corner, real, fake))
    torch.manual_seed(5)
    sides = [(corner(x, None) - corner(term.changed(x), None)).square().mean() for x in (real, fake)]
    torch.testing.assert_close(value, 3.0 * sides[0] + 5.0 * sides[1])


def test_every_flip_and_shift_and_nothing_else() -> None:
    torch.manual_seed(0)
    x = real[:1].expand(3000, -1, -1, -1)
    one = torch.tensor([1])
    allowed = {
        tuple(mirrored(shifted(real[:1], one * dy, one * dx, "reflection"), one == flip).flatten().tolist())
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        for flip in (0, 1)
    }
    seen = {tuple(row.flatten().tolist()) for row in ConsistencyRegularization(shift=1).changed(x)}
    assert seen == allowed
    unflipped = {tuple(row.flatten().tolist()) for row in ConsistencyRegularization(shift=1, flip=False).changed(x)}
    assert len(unflipped) == 9
    assert torch.equal(ConsistencyRegularization(shift=0, flip=False).changed(x), x)


def test_both_verdicts_learn_from_it_and_the_known_one_is_not_asked_again() -> None:
    asked: list[int] = []
    scale = torch.tensor(2.0, requires_grad=True)

    def critic(x: Tensor, label: Tensor | None) -> Tensor:
        asked.append(len(x))
        return scale * corner(x, label)

    known = critic(real, None)
    value = ConsistencyRegularization(weight=1.0)(Critique(critic, real, fake, real_logits=known))
    (gradient,) = torch.autograd.grad(value, scale)
    assert asked == [16, 16]
    # (2a − 2b)² = 4(a − b)², whose derivative by the scale is its value; with one side held it would be another.
    assert gradient.item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("arguments", [{"weight": -1.0}, {"weight": 0.0}, {"fake_weight": -1.0}, {"shift": -1}])
def test_senseless_settings_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(UserError, match="ConsistencyRegularization's"):
        ConsistencyRegularization(**arguments)
