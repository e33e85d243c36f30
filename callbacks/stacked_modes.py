"""The modes of Stacked MNIST that a model finds."""

__all__ = ["StackedModes"]

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lit_gen.callbacks.reporting import report
from lit_gen.callbacks.sampling import draw, inference
from lit_gen.contracts import SupportsChannelData, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.mode_coverage import kl_divergence
from lit_gen.metrics.extractors import Classifier, Extractor
from lit_gen.training.seeding import isolated


class StackedModes(Callback):
    """Creates the count of modes where each channel of an image is an image of its own, as in `StackedMNIST`.

    At the end of validation and of testing, a classifier of the channels' data names the classes of each channel of
    generated images; together they are the image's mode, one of K^C. Reported are ``stacked/modes``, the modes that
    hold an image at least, and ``stacked/kl``, the divergence of the modes' shares from uniform ones in nats. On other
    data the callback is off.

    References:
        | PacGAN: The Power of Two Samples in Generative Adversarial Networks (Lin et al., 2018), section 4.2
        | https://arxiv.org/abs/1712.04086

    Arguments:
        num_samples: The images drawn.
        extractor: What names a channel's class; a `Classifier` of the channels' data by default.
        batch_size: The images drawn at once.
        seed: The seed of the images.
    """

    monitor = "stacked/kl"
    """The number whose lowest value makes the best checkpoint."""

    def __init__(
        self, num_samples: int = 26_000, extractor: Extractor | None = None, batch_size: int = 128, seed: int = 0
    ) -> None:
        if num_samples < 1 or batch_size < 1:
            raise UserError("StackedModes' num_samples and batch_size must be at least 1")
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.extractor = Classifier() if extractor is None else extractor
        self._classes: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        self._classes = None
        if stage == "predict" or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if isinstance(data, SupportsChannelData) and isinstance(pl_module, SupportsSample):
            channel = data.channel_data
            self._classes = channel.num_classes
            # Now, for it may have to be trained, which validation's inference mode does not allow.
            with isolated():
                self.extractor.prepare(channel, trainer.strategy.root_device)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._classes is None or trainer.sanity_checking:
            return
        assert isinstance(pl_module, SupportsSample)
        with inference(trainer, pl_module):
            parts = torch.arange(self.num_samples).split(self.batch_size)
            modes = torch.cat([self.modes(draw(pl_module, self.seed, part.tolist())) for part in parts])
        num_modes = self._classes ** pl_module.image_shape[0]
        report(pl_module, {f"stacked/{name}": value for name, value in self.measure(modes, num_modes).items()})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_validation_epoch_end(trainer, pl_module)

    def modes(self, image: Tensor) -> Tensor:
        """Returns the mode of each image, int64 [N]; the first channel's class weighs most.

        Arguments:
            image: uint8, shape [N, C, H, W].
        """
        assert self._classes is not None
        num, channels = image.shape[:2]
        logits = self.extractor(image.flatten(0, 1)[:, None]).logits
        assert logits is not None, "the extractor classifies"
        weights = self._classes ** torch.arange(channels).flip(0)
        return logits.argmax(1).view(num, channels).cpu() @ weights

    def measure(self, modes: Tensor, num_modes: int) -> dict[str, float]:
        """Returns how many of the modes images [N] have, and how far their shares are from uniform ones."""
        shares = modes.bincount(minlength=num_modes).double() / len(modes)
        uniform = torch.full_like(shares, 1.0 / num_modes)
        return {"modes": float((shares > 0).sum()), "kl": kl_divergence(shares, uniform)}
