import numpy
import pytest
import torch
from PIL import Image

from lit_gen.functional.gif import write_gif


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_come_back_in_their_order(tmp_path, channels):
    # Few colours, so that the palette of 256 holds all of them.
    frames = torch.randint(0, 2, (5, channels, 12, 10), generator=torch.Generator().manual_seed(0)).mul(255).byte()
    path = tmp_path / "deep" / "x.gif"
    write_gif(frames, path, seconds=0.08)
    with Image.open(path) as image:
        assert (image.n_frames, image.info["loop"], image.info["duration"]) == (5, 0, 80)
        for i, frame in enumerate(frames):
            image.seek(i)
            mode = "L" if channels == 1 else "RGB"
            shown = numpy.asarray(image.convert(mode)).reshape(12, 10, channels)
            assert numpy.array_equal(shown, frame.permute(1, 2, 0).numpy())
    assert [file.name for file in path.parent.iterdir()] == ["x.gif"]
