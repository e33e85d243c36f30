"""The short help of every command, static so that it needs no torch; ``--help_full`` lists everything."""

__all__ = ["COMMANDS", "Command", "Option", "described", "overview", "usage"]

from typing import NamedTuple

from lit_gen.commands.shipped import shipped_names


class Option(NamedTuple):
    """One line of help: the flag, what stands for its value, what it does."""

    flag: str
    value: str
    text: str


class Command(NamedTuple):
    """What a command is for, its most used options, and examples."""

    summary: str
    options: tuple[Option, ...]
    examples: tuple[str, ...]


_CHECKPOINT = Option("--ckpt_path", "PATH", "a checkpoint file or a run's folder; or last, or best: of the newest run")
_RUNS = Option("--runs", "DIR", "the folder that all runs lie in (default: runs)")
_TRUST = Option("--trust", "PACKAGE", "a package beside lit_gen and torch whose classes the checkpoint may name")
_DEVICE = Option("--device", "DEVICE", "auto, cpu, cuda, cuda:1, … (default: auto)")
_SAMPLER = (
    Option("--sampler", "CLASS", "a diffusion model's sampler, such as DDIM (default: as it was trained)"),
    Option("--sampler.KEY", "VALUE", "one of its arguments, as in --sampler.steps 20"),
    Option("--guidance", "W", "how far a diffusion model's samples follow their labels; 1: no further"),
    Option("--classifier_guidance", "W", "guide a diffusion model's samples by a classifier of its data"),
)
_WEIGHTS = Option(
    "--weights", "ema|raw", "averaged weights, or those last trained; ema:IMAGES: of another half-life (default: ema)"
)
_CONFIGURED = (
    Option("--config", "FILE", "a YAML file, or the name of a shipped one; several are merged, later over earlier"),
    Option("--model", "CLASS", "the model, by class name"),
    Option("--model.KEY", "VALUE", "one of its arguments, as in --model.latent_dim 64"),
    Option("--data", "CLASS", "the data, by class name"),
    Option("--data.KEY", "VALUE", "one of its arguments, as in --data.root DIR or --data.batch_size 128"),
)
_LOOKUP = (
    Option("--print_config", "", "print the whole configuration as YAML and stop"),
    Option("--model.help", "CLASS", "list the arguments of a model (likewise --data.help)"),
    Option("--help_full", "", "list every option there is (takes some seconds)"),
)
_OF_CHECKPOINT = (
    _CHECKPOINT,
    Option("--model", "CLASS", "the model (default: the checkpoint's)"),
    Option("--data", "CLASS", "the data (default: the checkpoint's)"),
    _CONFIGURED[4],
    _CONFIGURED[0],
    Option("--trainer.accelerator", "NAME", "cpu, gpu, auto, … (default: auto)"),
)

COMMANDS = {
    "fit": Command(
        "train a model",
        (
            *_CONFIGURED,
            Option("--trainer.max_steps", "N", "training batches, in all"),
            Option("--trainer.devices", "N", "processes or devices to train on"),
            Option("--trainer.KEY", "VALUE", "any other argument of Lightning's Trainer"),
            Option("--seed_everything", "SEED", "the run's seed (default: 0)"),
            _CHECKPOINT._replace(text="go on from a checkpoint: last, best, a run's folder, or a file"),
            Option("--runs", "DIR", "where the run's folder is made: DIR/<config name>/version_<n> (default: runs)"),
            Option("--checkpoint.every_n_train_steps", "N", "steps between two last.ckpt"),
            Option("--samples.every_n_steps", "N", "steps between two sample grids"),
            Option("--trainer.val_check_interval", "N", "steps between two validations, which scores belong to"),
            Option("--evaluation.num_samples", "N", "images drawn for a score"),
            Option("--points.every_n_steps", "N", "steps between two pictures, where the data are points"),
            Option("--ema.half_life", "IMAGES", "half-life of the averaged weights, in images"),
            Option("--ema.half_lives", "LIST", "further ones, averages of which are kept as well, as in [5000,20000]"),
            *_LOOKUP,
        ),
        (
            "lit-gen fit --config gan/dcgan_digits",
            "lit-gen fit --config gan/dcgan_digits --trainer.max_steps 500 --model.latent_dim 32",
            "lit-gen fit --config gan/dcgan_digits --ckpt_path last",
            "lit-gen fit --model GAN --data Digits --trainer.max_steps 3000",
        ),
    ),
    "validate": Command(
        "score a checkpoint on the validation split",
        (*_OF_CHECKPOINT, _RUNS, _TRUST, *_LOOKUP),
        ("lit-gen validate --ckpt_path last", "lit-gen validate --ckpt_path runs/dcgan_digits/version_0"),
    ),
    "test": Command(
        "score a checkpoint on the test split",
        (*_OF_CHECKPOINT, _RUNS, _TRUST, *_LOOKUP),
        ("lit-gen test --ckpt_path best", "lit-gen test --ckpt_path runs/dcgan_digits/version_0 --data.batch_size 256"),
    ),
    "predict": Command(
        "write the model's image for every image of the test split, as PNG files",
        (
            *_OF_CHECKPOINT,
            Option("--output", "FOLDER", "where to (default: predictions/ in the run's folder)"),
            Option("--overwrite", "", "replace the images in that folder"),
            _RUNS,
            _TRUST,
            *_LOOKUP,
        ),
        ("lit-gen predict --ckpt_path last --output predictions",),
    ),
    "sample": Command(
        "draw images from a checkpoint",
        (
            _CHECKPOINT,
            Option("--num_samples", "N", "the number of images (default: 64)"),
            Option("--output", "PATH", "x.png: one grid; x.npz: arrays; anything else: a folder of PNG files"),
            Option("--seed", "SEED", "image i depends on the seed and on i alone (default: 0)"),
            Option("--label", "CLASS …", "classes by number or name, taken in turn (conditional models)"),
            *_SAMPLER,
            Option("--truncation", "T", "less variety, better images: latents within ±T, styles T from their mean"),
            Option(
                "--temperature", "T", "the same for flows (latents times T, such as 0.7) and for autoregressive models"
            ),
            _WEIGHTS,
            Option("--batch_size", "N", "images drawn at once (default: 64)"),
            _DEVICE,
            Option("--watch", "", "write the grid while it is drawn, row by row (x.png; autoregressive models)"),
            Option("--overwrite", "", "replace the images in an output folder"),
            _RUNS,
            _TRUST,
        ),
        (
            "lit-gen sample --ckpt_path last --output grid.png",
            "lit-gen sample --ckpt_path runs/dcgan_digits/version_0 --num_samples 1000 --output samples.npz --seed 1",
        ),
    ),
    "translate": Command(
        "turn the images of a folder into others, by a trained translation model",
        (
            _CHECKPOINT,
            Option(
                "--input",
                "FOLDER",
                "the images, of any size and format; index or palette PNG where they are label maps",
            ),
            Option("--output", "FOLDER", "where PNG files of the same names and sizes are written to, all or none"),
            Option("--back", "", "the other way, from the target domain (models that go both ways, as CycleGAN does)"),
            Option("--target", "NAME=VALUE …", "attributes that images are to have (models that change attributes)"),
            Option("--style", "IMAGE", "an image whose style they are to have (models that take one)"),
            Option("--instances", "FOLDER", "instance maps, which have the names of the label maps"),
            Option("--tile", "N", "images with a side above N pixels are translated in tiles, for memory's sake"),
            Option(
                "--overlap", "N", "the least pixels that tiles share; seams are blended (default: a quarter of a tile)"
            ),
            Option("--seed", "SEED", "the noise of an image depends on the seed and on its name (default: 0)"),
            _WEIGHTS,
            _DEVICE,
            Option("--overwrite", "", "write into a folder that is not empty, over images of the same names"),
            _RUNS,
            _TRUST,
        ),
        (
            "lit-gen translate --ckpt_path last --input horses --output zebras",
            "lit-gen translate --ckpt_path last --input zebras --output horses --back",
            "lit-gen translate --ckpt_path best --input faces --output blond --target hair=blond smiling=yes",
        ),
    ),
    "evaluate": Command(
        "score a checkpoint's samples, or given images, or what a model makes of each real image",
        (
            _CHECKPOINT,
            Option("--samples", "PATH", "in place of a checkpoint: a folder of images, or .npz or .npy of uint8"),
            Option("--metrics", "LIST", "of samples: fid, is, kid, pr, kid_rbf, dc, cmmd, fid_inf, fid_class, mifid,"),
            Option("", "", "class_accuracy"),
            Option("", "", "of each image: psnr, ssim, l1, lpips, bpd, nll"),
            Option("", "", "of translations: segmentation, attribute_accuracy, domain_accuracy"),
            Option("", "", "(default: fid,is,kid)"),
            Option("--repeats", "N", "score N seeds, and print mean and deviation (default: 1)"),
            Option("--num_samples", "N", "the number of generated images (default: 10000)"),
            *_SAMPLER,
            Option("--extractor", "CLASS", "Classifier (default), InceptionV3, DINOv2, CLIP, VGG16 or TorchModule"),
            Option("--extractor.KEY", "VALUE", "one of its arguments, as in --extractor.weights_path FILE"),
            Option("--split", "NAME", "the real images: test, val or train (default: test)"),
            Option("--output", "FILE", "write scores and protocol as JSON"),
            Option("--data", "CLASS", "other data than the checkpoint's"),
            Option("--data.KEY", "VALUE", "one of the data's arguments, as in --data.root DIR"),
            Option("--seed", "SEED", "seeds the images and the metrics' subsets (default: 0)"),
            _WEIGHTS,
            Option("--batch_size", "N", "images drawn at once (default: 128)"),
            _DEVICE,
            _RUNS,
            _TRUST,
            Option("--help_full", "", "list every option there is (takes some seconds)"),
        ),
        (
            "lit-gen evaluate --ckpt_path best --metrics fid,kid --num_samples 1000 --output eval.json",
            "lit-gen evaluate --ckpt_path last --extractor InceptionV3 --extractor.weights_path inception.pth",
            "lit-gen evaluate --ckpt_path last --metrics psnr,ssim,lpips,bpd",
            "lit-gen evaluate --samples folder --data Digits --output folder.json",
        ),
    ),
    "compare": Command(
        "rank runs, checkpoints and samples by their scores, like protocols only; writes a report",
        (
            Option("RUN …", "", "run folders, folders of runs, checkpoints, or JSON files that evaluate wrote"),
            Option("--by", "METRIC", "the metric to rank by (default: the first that all have)"),
            Option("--which", "best|last|all", "the checkpoint of a run that is ranked (default: best)"),
            Option("--group", "seed|none", "runs that differ only in seed_everything are one row (default: seed)"),
            Option("--output", "FILE", "write a report: .html with figures and samples, .md, or .csv of all scores"),
            Option("--evaluate", "…", "score checkpoints and samples that have no scores; evaluate's options follow"),
        ),
        (
            "lit-gen compare runs --output report.html",
            "lit-gen compare runs/dcgan_digits/version_0 runs/dcgan_digits/version_1 --by fid",
            "lit-gen compare a.ckpt b.ckpt folder --evaluate --data Digits --num_samples 1000 --metrics fid,kid",
        ),
    ),
    # Its kinds have options and examples of their own: lit_gen.commands.diagnose.usage.
    "diagnose": Command("look inside a model or its training; writes a figure and a table", (), ()),
}


def overview() -> str:
    """Returns what ``lit-gen --help`` prints."""
    lines = ["usage: lit-gen COMMAND …", "", "Deep generative models on one PyTorch Lightning frame.", "", "commands:"]
    lines += [f"  {name:<10}{command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "shipped configurations:", *(f"  {name}" for name in shipped_names())]
    lines += ["", "lit-gen COMMAND --help describes a command; lit-gen --version prints the version."]
    return "\n".join(lines)


def usage(name: str) -> str:
    """Returns what ``lit-gen <name> --help`` prints."""
    return described(name, COMMANDS[name])


def described(name: str, command: Command, what: str = "options") -> str:
    """Returns the help of a command.

    Arguments:
        name: What stands after ``lit-gen``.
        command: The command.
        what: The heading of its options.
    """
    heads = [f"{option.flag} {option.value}".rstrip() for option in command.options]
    width = max(map(len, heads)) + 2
    lines = [f"usage: lit-gen {name} …", "", f"{command.summary[0].upper()}{command.summary[1:]}.", "", f"{what}:"]
    lines += [f"  {head:<{width}}{option.text}" for head, option in zip(heads, command.options, strict=True)]
    lines += ["", "examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join(lines)
