"""The pool of generated images against what its paper says, draw by draw."""

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.functional.image_pool import ImagePool


def images(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 2, 3, 1).contiguous()


def test_until_it_is_full_images_come_back_themselves() -> None:
    pool = ImagePool(5, (2, 3, 1))
    for start in (0, 2):
        batch = images(start, start + 1)
        assert torch.equal(pool(batch), batch)
    assert pool.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 0]
    batch = images(4, 5)
    returned = pool(batch)[:, 0, 0, 0].tolist()
    assert returned[0] == 4 and returned[1] in (5, 0, 1, 2, 3, 4)


def test_once_full_every_second_image_is_exchanged_and_none_is_lost() -> None:
    torch.manual_seed(0)
    pool = ImagePool(10, (2, 3, 1))
    pool(images(*range(10)))
    given, returned = list(range(10)), []
    for start in range(10, 4010, 4):
        given += range(start, start + 4)
        returned += pool(images(*range(start, start + 4)))[:, 0, 0, 0].int().tolist()
    held = pool.images[:, 0, 0, 0].int().tolist()
    assert sorted(returned + held) == given, "each image is either returned once or held"
    themselves = sum(one == other for one, other in zip(returned, given[10:], strict=True))
    assert abs(themselves / 4000 - 0.5) < 4 * 0.5 / 4000**0.5
    # Which place is taken is uniform: an image that was stored stays for a geometric time of mean 2·10 images.
    ages = [new - old for new, old in zip(given[10:], returned, strict=True) if new != old]
    assert abs(sum(ages) / len(ages) - 20) < 4 * 20 / len(ages) ** 0.5


def test_what_it_returns_is_no_view_and_has_no_gradient() -> None:
    pool = ImagePool(1, (1, 1, 1))
    first = torch.ones(1, 1, 1, 1, requires_grad=True)
    returned = pool(first)
    pool.images.zero_()
    assert returned.item() == 1 and not returned.requires_grad
    assert pool(torch.ones(2, 1, 1, 1, dtype=torch.bfloat16)).dtype == torch.float32


def test_a_restored_pool_goes_on_like_the_first() -> None:
    torch.manual_seed(0)
    first, second = ImagePool(3, (2, 3, 1)), ImagePool(3, (2, 3, 1))
    first(images(1, 2))
    second.load_state_dict(first.state_dict())
    assert second.num_stored == 2
    ends = []
    for pool in (first, second):
        torch.manual_seed(1)
        ends.append(torch.cat([pool(images(3, 4, 5)), pool(images(6, 7)), pool.images]))
    assert torch.equal(*ends)


def test_without_places_images_pass() -> None:
    pool, batch = ImagePool(0, (2, 3, 1)), images(1, 2)
    assert pool(batch) is batch
    with pytest.raises(UserError, match="size is -1"):
        ImagePool(-1, (2, 3, 1))
