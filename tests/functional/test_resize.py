"""TensorFlow 1's resize by matrix products."""

import pytest
import torch

from lit_gen.functional.resize import resize_tensorflow1

tensorflow = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (1, 1, 13, 40), (1, 3, 1, 5), (1, 3, 300, 224), (1, 2, 32, 299)])
def test_equal_to_torch_fidelity(shape: tuple[int, int, int, int]) -> None:
    image = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).float()
    for size in (224, 299):
        expected = tensorflow.interpolate_bilinear_2d_like_tensorflow1x(image, size=(size, size), align_corners=False)
        torch.testing.assert_close(resize_tensorflow1(image, size), expected, rtol=0.0, atol=1e-4)


def test_where_it_samples() -> None:
    ramp = torch.arange(8.0, dtype=torch.float64).expand(1, 1, 8, 8)
    expected = (torch.arange(12, dtype=torch.float64) * 8 / 12).clamp(max=7.0)
    torch.testing.assert_close(resize_tensorflow1(ramp, 12)[0, 0], expected.expand(12, 12), rtol=1e-6, atol=0.0)
    assert torch.equal(resize_tensorflow1(ramp, 8), ramp)
