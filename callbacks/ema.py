"""Averaged weights: what samples, scores and exported models are made with."""

__all__ = ["EMA", "Averageable", "averaged", "find_ema"]

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lit_gen.callbacks.moving_average import MovingAverage, assign
from lit_gen.contracts import SupportsSample
from lit_gen.errors import UserError
from lit_gen.training.averaged_weights import average_name, check_weights
from lit_gen.training.batch_norm import reestimate
from lit_gen.training.seeding import derive_seed, isolated


@runtime_checkable
class Averageable(Protocol):
    """A model that says which of its networks to average, and how many images it has been trained on."""

    averaged_networks: tuple[str, ...]
    images_seen: int


class EMA(Callback):
    r"""Creates an exponential moving average of the networks that samples come from.

    After every training batch of n images (over all processes) the average forgets the share 1 − 2^(−n/h) of the past;
    see `lit_gen.training.averaging`. It is an average over images: while a generator waits for its critic it stands
    still, and those images count for it as it stands, so that moving on every batch is exact for any `n_critic`.

    Parameters are averaged. Buffers are not averages of anything: they are copied from the live network when averages
    are used or saved, save that batch norm's running statistics can be re-estimated for the averaged weights instead
    ("standing statistics"), from images drawn with seeds of their own. In several processes, copied running statistics
    are their mean over all processes; hence `swapped`, like saving a checkpoint, is called on every one of them.

    A checkpoint holds the averages under ``callbacks → EMA → average`` with the names of the model's state dict. Only
    training begins averages: without a checkpoint's, validation and testing see the model's own weights, ``raw``.

    Several averages can be kept at once, to see which memory suits a model: the first is what grids, scores and
    commands use unless they are told another, ``--weights ema:5000`` by its half-life. A checkpoint has them under
    ``others``; with or without them, it suits any number of half-lives.

    References:
        | Progressive Growing of GANs (Karras et al., 2018), section 3: averaged generators
        | https://arxiv.org/abs/1710.10196

        | Analyzing and Improving the Training Dynamics of Diffusion Models (Karras et al., 2024), section 3
        | https://arxiv.org/abs/2312.02696

    Arguments:
        half_life: The images after which a weight counts half; 0 or None turns averaging off.
        ramp_up: The half-life is at most this share of the images seen so far; None for no limit.
        buffers: Where batch norm's running statistics come from: ``"copy"`` or ``"reestimate"``.
        num_batches: The batches to re-estimate from.
        batch_size: Their size.
        seed: The seed of their images.
        half_lives: Further half-lives, in images; an average of each is kept beside the first.
    """

    def __init__(
        self,
        half_life: float | None = 10_000,
        ramp_up: float | None = 0.05,
        buffers: Literal["copy", "reestimate"] = "copy",
        num_batches: int = 16,
        batch_size: int = 64,
        seed: int = 0,
        half_lives: Sequence[float] = (),
    ) -> None:
        if (half_life or 0) < 0 or (ramp_up or 0) < 0:
            raise UserError(f"EMA's half_life ({half_life}) and ramp_up ({ramp_up}) cannot be negative")
        if buffers not in ("copy", "reestimate"):
            raise UserError(f"EMA's buffers are '{buffers}'; they can be 'copy' or 'reestimate'")
        if num_batches < 1 or batch_size < 2:
            raise UserError("EMA's num_batches must be at least 1 and its batch_size at least 2")
        names = [average_name(one) for one in half_lives]
        if half_lives and (not half_life or min(half_lives) <= 0):
            raise UserError(
                "EMA's half_lives must be above 0, and so must half_life beside them: 0 turns averaging off"
            )
        if len({average_name(half_life or 0), *names}) <= len(names):
            raise UserError(f"EMA's half_lives are {list(half_lives)} beside {half_life:g}: each must be another")
        self.half_life = half_life or 0.0
        self.ramp_up, self.half_lives = ramp_up, tuple(half_lives)
        self.buffers = buffers
        self.num_batches, self.batch_size, self.seed = num_batches, batch_size, seed
        self._averages = {
            name: MovingAverage(one, ramp_up)
            for name, one in zip(["ema", *names], [self.half_life, *half_lives], strict=True)
        }
        self._live: dict[str, Tensor] = {}
        self._images_seen = 0
        self._inside = False
        self._owner: int | None = None
        self._begins = True

    @property
    def state_key(self) -> str:
        return "EMA"

    @property
    def _is_on(self) -> bool:
        """Whether averages are kept: only a fit begins any, or a model's own weights would be called averages."""
        return bool(self.half_life) and (self._begins or bool(self._averages["ema"].tensors))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._begins = True  # or a checkpoint's are still to be restored
        if not self.half_life:
            return
        if not isinstance(pl_module, Averageable) or not pl_module.averaged_networks:
            rank_zero_warn(f"EMA is off: {type(pl_module).__name__} names no averaged_networks")
            self.half_life = 0.0
        elif self.buffers == "reestimate" and not isinstance(pl_module, SupportsSample):
            raise UserError(
                f"EMA cannot re-estimate batch norm for {type(pl_module).__name__}, which does not sample: "
                "set its buffers to 'copy'"
            )
        # Averages of one model must not be swapped into the next; a checkpoint's are loaded after this.
        if self._owner not in (None, id(pl_module)):
            for average in self._averages.values():
                average.load({})
        self._owner = id(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begins = trainer.state.fn == "fit"

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begins = False

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begins = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bind(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.half_life:
            self._move(pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # Lightning took the live weights before this hook: with averages swapped in it would have saved those.
        assert not self._inside, "a checkpoint cannot be saved while averages are swapped in"
        if self._is_on:
            for name in self._averages:
                with self.swapped(pl_module, name):  # brings the buffers up to date
                    pass
            checkpoint["callbacks"][self.state_key] = self.state_dict()

    def state_dict(self) -> dict[str, Any]:
        first, *others = self._averages.items()
        if not first[1].tensors:
            return {}
        state = {"average": dict(first[1].tensors), "images_seen": self._images_seen, "half_life": self.half_life}
        return {**state, "others": {name: dict(average.tensors) for name, average in others}} if others else state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.half_life:
            first = state_dict["average"]
            # By half-life: another order makes no other average. An older file does not say its first one's.
            kept = {**state_dict.get("others", {}), average_name(state_dict.get("half_life", self.half_life)): first}
            for name, average in self._averages.items():
                average.load(kept.get(average_name(average.half_life), first if name == "ema" else {}))
            self._images_seen = state_dict["images_seen"]

    def chosen(self, weights: str) -> str:
        """Returns the name of the weights that `swapped` puts in for these; ``raw`` for ``ema`` if there is no average.

        That is where averaging is off and, but in a fit, where the checkpoint has none.

        Raises:
            UserError: If no such average is kept.
        """
        weights = check_weights(weights)
        if weights == "raw" or (weights == "ema" and not self._is_on):
            return "raw"
        if weights == average_name(self.half_life) and self._is_on:
            return "ema"
        if weights not in self._averages or not self._is_on:
            kept = ", ".join(["raw", *(self._averages if self._is_on else ())])
            raise UserError(f"weights is '{weights}', and the EMA keeps {kept}: give its half_lives what is wanted")
        return weights

    @contextlib.contextmanager
    def swapped(self, pl_module: LightningModule, weights: str = "ema") -> Iterator[None]:
        """Puts averages in the model, and its own weights back when the block ends, however it ends.

        Values are copied, tensors stay where they are: optimizers and compiled networks notice nothing. Within another
        such block it does nothing.

        Arguments:
            pl_module: The model.
            weights: Which averages: ``ema``, or ``ema:5000`` by a further half-life; ``raw`` for the model's own.
        """
        weights = self.chosen(weights)
        if self._inside or weights == "raw":
            yield
            return
        self._bind(pl_module)
        self._move(pl_module)
        average = self._averages[weights]
        # The live buffers are those that a copy is made of: before they are swapped out.
        stale = average.buffers_from != self._images_seen
        if stale:
            average.copy_buffers(self._live, of_one_process=False)
        saved = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._inside = True
        try:
            assign(self._live, average.tensors)
            if stale and self.buffers == "reestimate":
                self._reestimate_buffers(pl_module)
                average.copy_buffers(self._live)
            average.buffers_from = self._images_seen
            yield
        finally:
            assign(self._live, saved)
            self._inside = False

    def _bind(self, pl_module: LightningModule) -> None:
        """Finds the model's tensors; starts averages from them, or takes restored ones to where they are.

        A further average that a checkpoint does not have starts from its first.
        """
        if not self.half_life:
            return
        assert isinstance(pl_module, Averageable)
        self._live = _state(pl_module)
        first = self._averages["ema"]
        # Validation runs in inference mode, whose tensors could not be moved in training later.
        with torch.inference_mode(False), torch.no_grad():
            if not first.tensors:
                self._images_seen = pl_module.images_seen
            for average in self._averages.values():
                average.bind(self._live, first.tensors or self._live)

    def _move(self, pl_module: LightningModule) -> None:
        """Moves the averages, if images were seen since; so callbacks may use them before or after this one's turn."""
        images: int = pl_module.images_seen - self._images_seen  # type: ignore[assignment,operator]
        if images <= 0:
            return
        for average in self._averages.values():
            average.move(images, self._images_seen)
        self._images_seen += images

    def _reestimate_buffers(self, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, SupportsSample)

        def draw(i: int) -> None:
            seed = derive_seed(self.seed, "batch norm", i)
            torch.manual_seed(seed)  # for noise that a network draws by itself
            pl_module.sample(self.batch_size, generator=torch.Generator().manual_seed(seed))

        networks = [getattr(pl_module, name) for name in pl_module.averaged_networks]  # type: ignore[union-attr]
        with isolated():
            reestimate(networks, draw, self.num_batches)


def find_ema(trainer: Trainer) -> EMA | None:
    """Returns the trainer's EMA, or None if it has none or it is off."""
    found = [callback for callback in trainer.callbacks if isinstance(callback, EMA) and callback.half_life]  # type: ignore[attr-defined]
    return found[0] if found else None


def averaged(
    trainer: Trainer, pl_module: LightningModule, weights: str = "ema"
) -> contextlib.AbstractContextManager[None]:
    """Returns a context with averages in the model, or with nothing changed if there is no EMA; see `EMA.swapped`."""
    ema = find_ema(trainer)
    return contextlib.nullcontext() if ema is None else ema.swapped(pl_module, weights)


def _state(pl_module: Averageable) -> dict[str, Tensor]:
    """Returns the tensors themselves, parameters and buffers, by their names in the model's state dict."""
    return {
        f"{network}.{name}": tensor
        for network in pl_module.averaged_networks
        for name, tensor in getattr(pl_module, network).state_dict(keep_vars=True).items()
        if isinstance(tensor, Tensor)
    }
