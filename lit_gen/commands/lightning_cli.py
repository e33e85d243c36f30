"""LightningCLI with our callbacks, run folders, checkpoints and messages, up to the trainer."""

__all__ = ["Cli"]

import contextlib
import functools
from argparse import ArgumentError
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningDataModule, Trainer, seed_everything
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lit_gen.callbacks import (
    EMA,
    DivergenceGuard,
    Evaluation,
    PointsView,
    Preemption,
    ProgressBar,
    RunCheckpoints,
    SampleGrid,
    StackedModes,
    Throughput,
)
from lit_gen.commands.diagnosis import diagnose, user_error
from lit_gen.commands.launch import choose_strategy, launch_settings
from lit_gen.commands.metrics_file import MetricsFile
from lit_gen.commands.own_defaults import own_defaults
from lit_gen.commands.predictions import PredictionFolder
from lit_gen.commands.recorded import (
    check_shapes,
    differences,
    held_model,
    recorded_config,
    take_run_settings,
    trusted_config,
)
from lit_gen.commands.request import Request, default_name
from lit_gen.commands.runs import RunFolder, run_folder_of
from lit_gen.commands.tensorboard_file import TensorBoardFile
from lit_gen.contracts import PointData, SupportsChannelData
from lit_gen.errors import UserError, first_line
from lit_gen.training.loading import read_checkpoint
from lit_gen.training.supervision import supervise

_LINKED = (
    "image_shape",
    "num_classes",
    "source_shape",
    "num_label_classes",
    "attribute_names",
    "attribute_groups",
)
_CALLBACKS: dict[str, type[Callback]] = {
    "ema": EMA,
    "samples": SampleGrid,
    "evaluation": Evaluation,
    "points": PointsView,
    "stacked": StackedModes,
    "guard": DivergenceGuard,
    "throughput": Throughput,
    "progress": ProgressBar,
    "checkpoint": RunCheckpoints,
    "preemption": Preemption,
}
_ONLY_FIT = ("samples", "guard", "throughput", "checkpoint", "preemption")
_DEFAULTS = {
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 50,
    "enable_model_summary": False,
    # In steps, whatever the size of the data: once per epoch would score a small set all the time.
    "check_val_every_n_epoch": None,
    "val_check_interval": 1000,
}


class Cli(LightningCLI):
    """Creates the command line of one of Lightning's commands, up to the trainer.

    The command's parser is LightningCLI's own without subcommands: each has the same settings, so that a run's
    config.yaml serves them all. Arguments that are always the data's (image shape, number of classes) are linked.

    Arguments:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        request: Its arguments.
    """

    def __init__(self, command: str, request: Request) -> None:
        self.command, self.request = command, request
        self.checkpoint = read_checkpoint(request.checkpoint, rebuild=False) if request.checkpoint else None
        self.folder: RunFolder | None = None
        self.notes = list(request.notes)
        super().__init__(
            args=request.arguments,
            run=False,
            save_config_kwargs={"overwrite": True},
            trainer_defaults=_DEFAULTS,
            seed_everything_default=0,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False, "description": f"lit-gen {command}"},
            auto_configure_optimizers=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--ckpt_path", type=str | None, help="last, best, a run's folder or a checkpoint file")
        parser.add_argument("--runs", type=str, default="runs", help="the folder that all runs lie in")
        parser.add_argument("--trust", type=str, nargs="+", default=[], help="packages whose classes may be named")
        parser.add_argument("--help_full", action="help", help="list every option")
        if self.command == "predict":
            parser.add_argument("--output", type=str | None, help="the folder that images are written to")
            parser.add_argument("--overwrite", action="store_true", help="replace what is in that folder")
        for key, callback in _CALLBACKS.items():
            parser.add_lightning_class_args(callback, key)
        for name in _LINKED:
            # Of the data as a whole: those of a user's own may have fewer properties.
            decide = functools.partial(_property, name=name)
            parser.link_arguments("data", f"model.init_args.{name}", compute_fn=decide, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        if self.checkpoint and self.command != "fit":
            parser.set_defaults(trusted_config(self.checkpoint, self.request.trust, _LINKED))
            self.notes += take_run_settings(parser, self.request.checkpoint, self.request.trust)
        self.config = self._parsed(parser, args)
        for section in ("model", "data"):
            if self.config[section] is None:
                raise UserError(f"no {section} is given: name one by --{section}, or a configuration by --config")
        self.held: list[str] = []
        if self.checkpoint and self.command == "fit":
            self.held = held_model(self.checkpoint, self.config.model.get("init_args", {}), self.request.trust)
        self.built = self._parsed(parser, [*args, *self.held]) if self.held else self.config

    def _parsed(self, parser: LightningArgumentParser, args: Any) -> Namespace:
        with self._diagnosed(parser):
            config = parser.parse_args(args)
            # A checkpoint's configuration is whole.
            given = parser.parse_args(args, defaults=False) if self.command == "fit" else Namespace()
            for section in ("model", "data"):
                if section in given and config[section] is not None:
                    own_defaults(config[section], given[section])
        return config

    @contextlib.contextmanager
    def _diagnosed(self, parser: LightningArgumentParser) -> Iterator[None]:
        try:
            yield
        except (ArgumentError, ValueError) as error:
            raise user_error(error) or diagnose(str(error), parser, self.request.configs) from error

    def _set_seed(self) -> None:
        seed = self.config["seed_everything"]
        if seed is not False:
            if isinstance(seed, int) and seed is not True and not 0 <= seed < 2**32:
                raise UserError(f"seed_everything is {seed}, and must be in [0, {2**32 - 1}]")
            seed = None if seed is True else seed
            self.config["seed_everything"] = seed_everything(seed, workers=True, verbose=False)

    def instantiate_classes(self) -> None:
        asked, self.config = self.config, self.built  # from which Lightning records what the model is built from
        with self._diagnosed(self.parser):
            self.config_init = self.parser.instantiate(self.built)
        self.config = asked
        self.datamodule, self.model = self.config_init["data"], self.config_init["model"]
        if hasattr(self.datamodule, "check"):
            self.datamodule.check()
        if self.checkpoint:
            check_shapes(self.model, self.checkpoint)
        self.notes += self._ignored()
        self.config.ckpt_path = None  # in config.yaml it would make every further run go on from there
        self.trainer = self.instantiate_trainer()
        if self.checkpoint:
            # Lightning reads the file again; weights, averages and optimizers need not be held twice.
            self.checkpoint = {key: self.checkpoint[key] for key in ("global_step", "loops") if key in self.checkpoint}

    def _ignored(self) -> Iterator[str]:
        """Says which settings are not what was asked for, or not what they were."""
        given = self.config.model.get("init_args", {})
        for name in _LINKED:
            if given.get(name) is not None:
                yield f"model.{name} is decided by the data: the value that was given is not used"
        for name in ("codes_of", "latents_of"):
            if self.held and given.get(name) is not None:
                yield f"model.{name} is not read again: the checkpoint holds the model that it names"
        if self.checkpoint:
            self._dump_config()
            for section, recorded in recorded_config(self.checkpoint, _LINKED).items():
                for key, there, here in differences(recorded, self.config_dump[section], section):
                    if self.held and key.startswith("model.autoencoder"):
                        continue
                    restored = self.command == "fit" and ("optimizer" in key or "schedule" in key)
                    which = "the restored optimizer keeps the latter" if restored else "the former is used"
                    yield f"{key} is {here}, but {there} in the checkpoint: {which}"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        settings = launch_settings({**self.config_init["trainer"], **kwargs})
        callbacks = self._callbacks(settings)
        if self.command == "fit" and not settings["fast_dev_run"]:
            self.folder = self._run_folder()
            settings["default_root_dir"] = str(self.folder.path)
            settings["logger"] = self._loggers(self.folder, settings["logger"])
            self.config_init["checkpoint"].folder = self.folder.checkpoints
        else:
            self.save_config_callback = None
            settings["default_root_dir"] = str(self._scores_folder())
            settings["logger"] = False
        try:
            trainer = self._instantiate_trainer(_copied(settings), callbacks)
            strategy = choose_strategy(trainer, self.model) if self.command == "fit" else None
            if strategy:
                trainer = self._instantiate_trainer({**_copied(settings), "strategy": strategy}, callbacks)
            supervise(trainer.strategy)
            return trainer
        except BaseException as error:
            self.discard()
            if isinstance(error, MisconfigurationException | TypeError | ValueError) and not user_error(error):
                raise UserError(f"the trainer cannot be made: {first_line(error)}") from error
            raise

    def _callbacks(self, settings: Mapping[str, Any]) -> list[Callback]:
        """Returns our callbacks that this command needs and that the configuration neither forbids nor brings along."""
        given = {type(callback) for callback in settings["callbacks"] or []}
        unwanted = {
            "progress": settings["enable_progress_bar"] is False,
            "checkpoint": settings["enable_checkpointing"] is False,
        }
        wanted = {
            key: self.config_init[key]
            for key, callback in _CALLBACKS.items()
            if (self.command == "fit" or key not in _ONLY_FIT) and callback not in given and not unwanted.get(key)
        }
        evaluation, checkpoint = self.config_init["evaluation"], self.config_init["checkpoint"]
        if checkpoint.monitor is None and isinstance(self.datamodule, PointData):
            checkpoint.monitor = PointsView.monitor
        elif checkpoint.monitor is None and isinstance(self.datamodule, SupportsChannelData):
            checkpoint.monitor = StackedModes.monitor
        elif checkpoint.monitor is None and "fid" in evaluation.metrics:
            checkpoint.monitor = f"fid[{evaluation.extractor.name}]"
        if self.command == "predict":
            wanted["predictions"] = PredictionFolder(self.predictions, self.config_init["overwrite"])
        return list(wanted.values())

    def _scores_folder(self) -> Path:
        """Returns where scores lie that are not of training: with the run that the checkpoint is of."""
        if self.request.checkpoint is None:
            return self.request.runs / (self.request.name or self._default_name())
        return run_folder_of(self.request.checkpoint) or self.request.checkpoint.parent

    @property
    def predictions(self) -> Path:
        """Where ``predict`` writes."""
        given = self.config_init["output"]
        return Path(given).expanduser() if given else self._scores_folder() / "predictions"

    def _default_name(self) -> str:
        return default_name(self.config.model.class_path, self.config.data.class_path)

    def _run_folder(self) -> RunFolder:
        continued, name = self.request.run_to_continue(), self.request.name or self._default_name()
        if continued:
            folder = RunFolder(continued)
        elif rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            folder = RunFolder.claim(self.request.runs, name)
        else:  # the first process's is broadcast where it matters
            folder = RunFolder(self.request.runs / name / "version")
        return folder

    def _loggers(self, folder: RunFolder, given: Any) -> list[Logger] | bool:
        """Returns TensorBoard's and metrics.csv, and those of the configuration; none if that says false."""
        if given is False:
            return False
        step = self.checkpoint["global_step"] if self.checkpoint else None
        board = TensorBoardFile(
            save_dir=folder.path.parent.parent,
            name=folder.path.parent.name,
            version=folder.path.name,
            default_hp_metric=False,
            purge_step=None if step is None else step + 1,
        )
        others = [] if given in (None, True) else list(given) if isinstance(given, list | tuple) else [given]
        return [board, MetricsFile(folder.path, step if not folder.fresh else None), *others]

    def discard(self) -> None:
        """Takes the run's folder away again, if it was made for this run."""
        if self.folder is not None:
            self.folder.discard()


def _property(data: LightningDataModule, name: str) -> Any:
    return getattr(data, name, None)


def _copied(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Copies the trainer's arguments and its list of callbacks, which LightningCLI adds to in place."""
    return {**settings, "callbacks": list(settings["callbacks"] or [])}
