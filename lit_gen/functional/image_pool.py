"""A memory of generated images, so that a discriminator does not only see the newest."""

__all__ = ["ImagePool"]

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError


class ImagePool(nn.Module):
    r"""Creates a pool of generated images.

    Image by image: until the pool is full, an image is stored and returned; after that, with probability ½ it takes
    the place of a stored one drawn at random, which is returned, and else it is returned itself. What it holds is part
    of the state dict. Each process has a pool of its own.

    References:
        | Learning from Simulated and Unsupervised Images through Adversarial Training
        | (Shrivastava et al., 2017), section 2.3
        | https://arxiv.org/abs/1612.07828

        | Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks
        | (Zhu et al., 2017), section 4
        | https://arxiv.org/abs/1703.10593

    Arguments:
        size: The images that it holds; with 0, images pass through it.
        image_shape: Their channels, height and width.
    """

    images: Tensor

    def __init__(self, size: int, image_shape: Shape) -> None:
        super().__init__()
        if size < 0:
            raise UserError(f"an image pool's size is {size}, and must be 0 or more")
        self.size, self.num_stored = size, 0
        self.register_buffer("images", torch.zeros(size, *image_shape))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Stores images [B, C, H, W], and returns as many, each either itself or one of earlier."""
        if not self.size:
            return images
        assert images.shape[1:] == self.images.shape[1:]
        returned = images.detach().to(self.images.dtype, copy=True)
        # Drawn on the CPU: the same choices on every device, and none of them has to be waited for.
        swapped, places = (torch.rand(len(images)) < 0.5).tolist(), torch.randint(self.size, (len(images),)).tolist()
        for i, image in enumerate(images.detach()):
            if self.num_stored < self.size:
                self.images[self.num_stored] = image
                self.num_stored += 1
            elif swapped[i]:
                returned[i] = self.images[places[i]]
                self.images[places[i]] = image
        return returned

    def get_extra_state(self) -> Tensor:
        """Returns how many images are stored: a number known without asking the device."""
        return torch.tensor(self.num_stored)

    def set_extra_state(self, state: Tensor) -> None:
        """Takes that number over."""
        self.num_stored = int(state)
