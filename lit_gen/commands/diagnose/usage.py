"""The short help of every kind of diagnosis, static like that of the commands."""

__all__ = ["KINDS", "diagnose_usage"]

from collections.abc import Sequence

from lit_gen.commands.usage import COMMANDS, Command, Option, described

_OUTPUT = Option("--output", "FOLDER", "where figure and table are written, in place of earlier ones of this kind")
_SEED = Option("--seed", "SEED", "seeds latents and all other random numbers (default: 0)")
_CHECKPOINT = Option("--ckpt_path", "PATH", "a checkpoint file or a run's folder; or last, or best: of the newest run")
_SHARED = (
    Option(
        "--weights",
        "ema|raw",
        "averaged weights, or those last trained; ema:IMAGES: of another half-life (default: ema)",
    ),
    Option("--device", "DEVICE", "auto, cpu, cuda, cuda:1, … (default: auto)"),
    Option("--runs", "DIR", "the folder that all runs lie in (default: runs)"),
    Option("--trust", "PACKAGE", "a package beside lit_gen and torch whose classes the checkpoint may name"),
)
_LABEL = Option("--label", "CLASS", "the class that is drawn, by number or name (conditional models; default: 0)")
_IMAGE = Option("--image", "I", "the sample to start from: image I of lit-gen sample --seed SEED (default: 0)")
_REAL = Option("--real", "SPLIT", "real images instead of samples, by the model's encoder: test, val or train")
_SPLIT = Option("--split", "NAME", "the images: test, val or train (default: test)")
_NUM_IMAGES = Option("--num_images", "N", "how many of them at most, evenly spaced")
_DATA = (
    Option("--data", "CLASS", "other data than the checkpoint's"),
    Option("--data.KEY", "VALUE", "one of the data's arguments, as in --data.root DIR"),
)
_EXTRACTOR = (
    Option("--extractor", "CLASS", "Classifier (default), InceptionV3, DINOv2, CLIP, VGG16 or TorchModule"),
    Option("--extractor.KEY", "VALUE", "one of its arguments, as in --extractor.weights_path FILE"),
)

KINDS = {
    "interpolate": Command(
        "go from sample to sample, straight and on the sphere: strips and a video",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--images", "I …", "the samples to go through: images I of lit-gen sample (default: 0 1 2 3)"),
            Option("--columns", "N", "images in a strip, both ends included (default: 9)"),
            Option("--frames", "N", "images of the video from sample to sample; 0: no video (default: 24)"),
            _REAL,
            _LABEL,
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        (
            "lit-gen diagnose interpolate --ckpt_path last --output latents --images 3 7 12",
            "lit-gen diagnose interpolate --ckpt_path last --output latents --real test --images 3 7 12",
        ),
    ),
    "traverse": Command(
        "change single numbers of a latent, or single codes",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--dims", "I …", "which of the latent's numbers; -1 is the last (default: the first eight)"),
            Option("--extent", "X", "they go from -X to X (default: 3)"),
            Option("--columns", "N", "images in a strip (default: 9)"),
            _IMAGE,
            _REAL,
            _LABEL,
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose traverse --ckpt_path last --output latents --dims 0 5 -1",),
    ),
    "arithmetic": Command(
        "add and subtract the averaged latents of classes: A - B + C",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--classes", "A B C", "three classes, by number or name"),
            Option("--average", "N", "the latents averaged for each class (default: 3)"),
            Option("--num_samples", "N", "the samples among which they are looked for (default: 1000)"),
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose arithmetic --ckpt_path last --output latents --classes 8 3 1",),
    ),
    "directions": Command(
        "find the directions that the first layer stretches most (SeFa), and go along them",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--num_directions", "K", "how many (default: 5)"),
            Option("--extent", "X", "how far to go both ways, as a share of a latent's norm (default: 0.6)"),
            Option("--columns", "N", "images in a strip (default: 9)"),
            _IMAGE,
            _LABEL,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose directions --ckpt_path last --output latents",),
    ),
    "map": Command(
        "see the latents of held-out images in two dimensions, coloured by class",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--ways", "NAME …", "plain (latents of 2 numbers), pca, tsne, umap (default: those that suit)"),
            _SPLIT,
            _NUM_IMAGES._replace(text=f"{_NUM_IMAGES.text} (default: 2000)"),
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose map --ckpt_path last --output latents",),
    ),
    "manifold": Command(
        "see the images of a plane in the latent space, side by side",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--side", "N", "images in a row and in a column (default: 15)"),
            Option("--plane", "prior|data", "all of 2 numbers, or where latents of real images vary most"),
            _SPLIT,
            _NUM_IMAGES._replace(text=f"{_NUM_IMAGES.text} (default: 2000)"),
            _LABEL,
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose manifold --ckpt_path last --output latents",),
    ),
    "reconstructions": Command(
        "see images beside what the model gives back of them, the usual and the worst",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--shown", "N", "images in a strip (default: 10)"),
            _SPLIT,
            _NUM_IMAGES._replace(text=f"{_NUM_IMAGES.text} (default: 500)"),
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose reconstructions --ckpt_path last --output latents",),
    ),
    "disentanglement": Command(
        "measure whether each number of a latent stands for one factor: MIG, DCI, FactorVAE score",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--bins", "N", "the bins that a latent's values are counted in (default: 20)"),
            Option("--repeats", "N", "how often what is random is drawn, for deviations (default: 3)"),
            _SPLIT,
            _NUM_IMAGES._replace(text=f"{_NUM_IMAGES.text} (default: 10000)"),
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose disentanglement --ckpt_path last --output factors",),
    ),
    "features": Command(
        "measure what latents are worth to a classifier with few labels, beside pixels, PCA and k-means",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--labels_per_class", "N …", "labelled training images of each class (default: 100)"),
            Option("--repeats", "N", "how often they are drawn, for deviations (default: 3)"),
            Option("--hidden", "N …", "the classifier's hidden layers (default: none, a linear one)"),
            Option("--steps", "N", "the classifier's iterations of L-BFGS at most (default: 200)"),
            Option("--fine_tune_steps", "N", "the encoder's; 0: it is only frozen (default: 500)"),
            _SPLIT._replace(text="the images that accuracies are of: test or val (default: test)"),
            _NUM_IMAGES._replace(text="at most so many images of each split, evenly spaced (default: 10000)"),
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose features --ckpt_path last --output features --labels_per_class 10 100",),
    ),
    "vanishing": Command(
        "freeze the generator, train a fresh discriminator, and watch the generator's gradient vanish",
        (
            _CHECKPOINT._replace(value="PATH …", text="one or more, as after 1, 10 and 25 epochs: a line each"),
            _OUTPUT,
            Option("--steps", "N", "the discriminator's steps (default: 500)"),
            Option("--every", "N", "steps between two measurements (default: 10)"),
            Option("--num_samples", "N", "the fixed latents that gradients are measured on (default: 256)"),
            *_DATA,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose vanishing --ckpt_path last --output vanishing --steps 1000",),
    ),
    "neighbours": Command(
        "look for samples among the training images: nearest neighbours and a number for copying",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--num_samples", "N", "the number of samples (default: 1000)"),
            Option("--shown", "N", "the samples in the picture (default: 8)"),
            Option("--neighbours", "K", "their neighbours in the picture (default: 6)"),
            Option("--split", "NAME", "the images that the model has not seen: test or val (default: test)"),
            *_EXTRACTOR,
            *_DATA,
            Option("--batch_size", "N", "images drawn at once (default: 128)"),
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose neighbours --ckpt_path best --output memory",),
    ),
    "receptive_field": Command(
        "see what a pixel of an autoregressive model depends on, and its blind spot",
        (
            _CHECKPOINT,
            _OUTPUT,
            Option("--pixel", "ROW COLUMN", "whose distribution is looked at (default: the middle one)"),
            Option("--num_images", "N", "random images that derivatives are averaged over (default: 16)"),
            _LABEL,
            _SEED,
            *_SHARED,
        ),
        ("lit-gen diagnose receptive_field --ckpt_path last --output field --pixel 14 14",),
    ),
    "collapse": Command(
        "plot how diverse a run's samples were over time; the run needs the callback Diversity",
        (
            _CHECKPOINT._replace(text="a checkpoint of the run, or its folder; or last, or best: of the newest run"),
            _OUTPUT,
            _SHARED[2],
        ),
        (
            "lit-gen fit --config gan/dcgan_digits --trainer.callbacks+=Diversity",
            "lit-gen diagnose collapse --ckpt_path last --output collapse",
        ),
    ),
    "bilinear": Command(
        "play the game f(x, y) = xy, in which gradient descent and ascent do not converge",
        (
            _OUTPUT,
            Option("--eta", "X", "the step size (default: 0.2)"),
            Option("--steps", "N", "the number of steps (default: 150)"),
        ),
        ("lit-gen diagnose bilinear --output game",),
    ),
}


def diagnose_usage(arguments: Sequence[str]) -> str:
    """Returns what ``lit-gen diagnose [KIND] --help`` prints."""
    kind = next((word for word in arguments if word in KINDS), None)
    if kind is not None:
        return described(f"diagnose {kind}", KINDS[kind])
    kinds = tuple(Option(name, "", command.summary) for name, command in KINDS.items())
    examples = tuple(example for command in KINDS.values() for example in command.examples)
    whole = described("diagnose KIND", Command(COMMANDS["diagnose"].summary, kinds, examples), "kinds")
    return f"{whole}\n\nlit-gen diagnose KIND --help describes a kind."
