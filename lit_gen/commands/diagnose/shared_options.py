"""The lines of help that kinds of diagnosis share."""

__all__ = [
    "CHECKPOINT",
    "DATA",
    "EXTRACTOR",
    "IMAGE",
    "LABEL",
    "NUM_IMAGES",
    "OUTPUT",
    "REAL",
    "SEED",
    "SHARED",
    "SPLIT",
]

from lit_gen.commands.usage import Option

OUTPUT = Option("--output", "FOLDER", "where figure and table are written, in place of earlier ones of this kind")
SEED = Option("--seed", "SEED", "seeds latents and all other random numbers (default: 0)")
CHECKPOINT = Option("--ckpt_path", "PATH", "a checkpoint file or a run's folder; or last, or best: of the newest run")
SHARED = (
    Option(
        "--weights",
        "ema|raw",
        "averaged weights, or those last trained; ema:IMAGES: of another half-life (default: ema)",
    ),
    Option("--device", "DEVICE", "auto, cpu, cuda, cuda:1, … (default: auto)"),
    Option("--runs", "DIR", "the folder that all runs lie in (default: runs)"),
    Option("--trust", "PACKAGE", "a package beside lit_gen and torch whose classes the checkpoint may name"),
)
LABEL = Option("--label", "CLASS", "the class that is drawn, by number or name (conditional models; default: 0)")
IMAGE = Option("--image", "I", "the sample to start from: image I of lit-gen sample --seed SEED (default: 0)")
REAL = Option("--real", "SPLIT", "real images instead of samples, by the model's encoder: test, val or train")
SPLIT = Option("--split", "NAME", "the images: test, val or train (default: test)")
NUM_IMAGES = Option("--num_images", "N", "how many of them at most, evenly spaced")
DATA = (
    Option("--data", "CLASS", "other data than the checkpoint's"),
    Option("--data.KEY", "VALUE", "one of the data's arguments, as in --data.root DIR"),
)
EXTRACTOR = (
    Option("--extractor", "CLASS", "Classifier (default), InceptionV3, DINOv2, CLIP, VGG16 or TorchModule"),
    Option("--extractor.KEY", "VALUE", "one of its arguments, as in --extractor.weights_path FILE"),
)
