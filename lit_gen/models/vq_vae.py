r"""VQ-VAE: an autoencoder whose code is a map of discrete codes.

With encoder E, decoder D, and e the codes nearest to E(x)'s vectors, through which gradients pass unchanged,

.. math:: L = \| x - D(e) \|^2 / \sigma^2 + \beta \, \| E(x) - \mathrm{sg}(e) \|^2
"""

__all__ = ["VQVAE"]

from collections.abc import Mapping, Sequence

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.optim import Adam

from lit_gen.contracts import Batch, Shape
from lit_gen.errors import UserError
from lit_gen.nn.factories import MapDecoderFactory, MapEncoderFactory
from lit_gen.nn.map_autoencoder import MapDecoder, MapEncoder
from lit_gen.nn.vector_quantizer import VectorQuantizer
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.options import TrainingOptions
from lit_gen.training.quantised import QuantisedModule


class VQVAE(QuantisedModule):
    r"""Creates a VQ-VAE, whose codebook is moved by averages, not by gradients.

    Both errors are means over numbers, of images and of maps.

    References:
        | Neural Discrete Representation Learning (van den Oord, Vinyals & Kavukcuoglu, 2017), equation (3)
        | https://arxiv.org/abs/1711.00937

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        encoder: Makes the encoder of maps.
        decoder: Makes the decoder of maps.
        num_codes: The number of codes K.
        code_dim: Their size D.
        commitment_weight: The weight β of the distance between the encoder's vectors and their codes.
        variance: The variance σ² of pixels in [−1, 1], by which their squared error is divided.
        decay: The decay of the codebook's averages.
        restart_below: When a code is rare and restarted; see `VectorQuantizer`.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    def __init__(
        self,
        image_shape: Shape,
        encoder: MapEncoderFactory = MapEncoder,
        decoder: MapDecoderFactory = MapDecoder,
        num_codes: int = 512,
        code_dim: int = 64,
        commitment_weight: float = 0.25,
        variance: float = 0.25,
        decay: float = 0.99,
        restart_below: float = 0.03,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, options)
        if not variance > 0:
            raise UserError(f"model.variance is {variance}, and must be above 0")
        self.commitment_weight, self.variance = commitment_weight, variance
        self.encoder = encoder(image_shape=self.image_shape, channels=code_dim)
        self.quantizer = VectorQuantizer(num_codes, code_dim, decay, restart_below)
        self.decoder = decoder(map_shape=(code_dim, *self.code_shape), output_shape=self.image_shape)
        self._players = {"model": Player(("encoder", "decoder"), optimizer, schedule)}

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [Phase("model", self.objective, after=self.update_codebook)]

    def objective(self, batch: Batch) -> Tensor:
        """Returns the error of images in units of their variance, and β times the distance to the codes."""
        (x,) = self.require(batch, "image")
        e, commitment, _ = self.quantizer(self.fast("encoder")(x))
        error = mse_loss(self.fast("decoder")(e).float(), x)
        self.record({"mse": error, "commitment": commitment})
        return error / self.variance + self.commitment_weight * commitment
