"""Every mistake ends in exit status 2 and one line on stderr that says what is wrong and what would be right."""

import errno
import shutil
from pathlib import Path

import pytest
import torch

import lit_gen.cli
from lit_gen.errors import UserError

RUN = ["--trainer.max_steps", "1", "--evaluation.metrics", "[]", "--trainer.accelerator", "cpu"]
GAN = ["fit", "--model", "GAN", "--data", "Digits", *RUN]
CKPT = ["--ckpt_path", "good.ckpt"]
SAMPLE = ["sample", *CKPT, "--output", "x.png"]

FILES = {
    "nested.yaml": "model: {class_path: GAN, init_args: {generator: {class_path: DCGANGenerator, "
    "init_args: {featurs: 1}}}}",
    "broken.yaml": "model:\n  class_path: GAN\n   init_args: 3\n",
    "top.yaml": "model: GAN\ndata: Digits\ntrainr: {max_steps: 3}\n",
    "group.yaml": "model: GAN\ndata: Digits\ntrainer: {max_stps: 3}\n",
    "type.yaml": "model: {class_path: GAN, init_args: {latent_dim: abc}}\ndata: Digits\n",
    "class.yaml": "model: GAN\ndata: Digits\ntrainer: {callbacks: [{class_path: ModelSumary}]}\n",
    "lone.yaml": "model: {class_path: GAN, init_args: {regularizers: R1}}\ndata: Digits\n",
    "flat.yaml": "model: {class_path: GAN, init_args: {regularizers: [{class_path: R1, gamma: 3}]}}\ndata: Digits\n",
    "list.yaml": "- 1\n- 2\n",
    "binary.yaml": b"\xff\xfe\x00\x01",
    "foreign.ckpt": "hello",
}

CASES = [
    (["ft"], "there is no command 'ft'; did you mean 'fit'?"),
    # options
    ([*GAN, "--modle.n_critic", "3"], "there is no option '--modle.n_critic'; did you mean '--model'?"),
    ([*GAN, "--trainer.max_stps", "3"], "'--trainer.max_stps'; did you mean '--trainer.max_steps'?"),
    ([*GAN, "--ema.half_lif", "3"], "did you mean '--ema.half_life'?"),
    ([*GAN, "--model.n_critc", "3"], "GAN has no argument 'model.n_critc'; did you mean 'n_critic'?"),
    ([*GAN, "--model.generator.featurs", "3"], "'model.generator.featurs'; did you mean 'features'?"),
    ([*GAN, "--model.generator_optimizer.lrr", "3"], "did you mean 'lr'?"),
    ([*GAN, "--data.batchsize", "3"], "Digits has no argument 'data.batchsize'; did you mean 'batch_size'?"),
    ([*GAN, "junk"], "'junk' belongs to no option"),
    ([*GAN, "--trainer.max_steps"], "--trainer.max_steps lacks its value"),
    (["fit"], "--model is missing, and no --config gives it"),
    (["fit", "--model", "GAN"], "no data is given: name one by --data"),
    # classes
    (["fit", "--model", "GANN", "--data", "Digits"], "model names no class 'GANN'; did you mean 'GAN'?"),
    (["fit", "--model", "GAN", "--data", "Digit"], "data names no class 'Digit'; did you mean 'Digits'?"),
    ([*GAN, "--model.generator", "DCGANGen"], "names no class 'DCGANGen'; did you mean 'DCGANGenerator'?"),
    ([*GAN, "--model.generator_optimizer", "Adm"], "did you mean 'Adam'?"),
    ([*GAN, "--model.generator", "DenseDiscriminator"], "DenseDiscriminator cannot be used in the place where it is"),
    (["fit", "--config", "lone.yaml"], "model.regularizers is R1, and must be a list: [R1] (in lone.yaml)"),
    (["fit", "--config", "flat.yaml"], "model.regularizers: beside class_path stands init_args"),
    ([*GAN, "--model.augmentation", "DiffAugment", "--model.augmentation.policy", "colour"], "must be a list"),
    ([*GAN, "--model.loss", "MinimaxLos"], "did you mean 'MinimaxLoss'?"),
    ([*GAN, "--evaluation.extractor", "Clasifier"], "did you mean 'Classifier'?"),
    ([*GAN, "--model.loss", "R1"], "model.loss is R1, which is of another kind; there are "),
    (
        [*GAN, "--model.regularizers+=NonSaturatingLoss"],
        "model.regularizers is NonSaturatingLoss, which is of another kind; there are ConsistencyRegularization, ",
    ),
    # values
    ([*GAN, "--trainer.max_steps", "abc"], "trainer.max_steps is 'abc', and must be a whole number"),
    ([*GAN, "--model.n_critic", "abc"], "model.n_critic is 'abc', and must be a whole number"),
    ([*GAN, "--model.n_critic", "0"], "model.n_critic is 0, and must be at least 1"),
    ([*GAN, "--data.image_size", "abc"], "data.image_size is 'abc', and must be a whole number"),
    ([*GAN, "--data.image_size", "4"], "at least 8×8 pixels"),
    ([*GAN, "--data.batch_size", "0"], "--data.batch_size is 0"),
    ([*GAN, "--data.batch_size", "5000"], "1297 images, fewer than one global batch of 5000"),
    ([*GAN, "--trainer.precision", "f32"], "must be a whole number or one of"),
    ([*GAN, "--trainer.accelerator", "abacus"], "invalid accelerator name"),
    ([*GAN, "--evaluation.metrics", "[fd]"], "did you mean 'fid'?"),
    ([*GAN, "--checkpoint.every_n_train_steps", "0"], "checkpoint.every_n_train_steps is 0"),
    # configurations
    (["fit", "--config", "nope.yaml"], "there is no configuration 'nope.yaml'"),
    (["fit", "--config", "dcgan_digit"], "did you mean 'dcgan_digits'?"),
    (["fit", "--config", "nested.yaml"], "'model.generator.featurs' (in nested.yaml); did you mean 'features'?"),
    (["fit", "--config", "broken.yaml"], "broken.yaml, line 3, column 13: not valid YAML"),
    (["fit", "--config", "top.yaml"], "there is no setting 'trainr' (in top.yaml); did you mean 'trainer'?"),
    (["fit", "--config", "group.yaml"], "'trainer.max_stps' (in group.yaml); did you mean 'max_steps'?"),
    (["fit", "--config", "type.yaml"], "model.latent_dim is 'abc', and must be a whole number (in type.yaml)"),
    (["fit", "--config", "class.yaml"], "names no class 'ModelSumary' (in class.yaml); did you mean 'ModelSummary'?"),
    (["fit", "--config", "list.yaml"], "list.yaml holds a list"),
    (["fit", "--config", "binary.yaml"], "binary.yaml is not a text file"),
    (["fit", "--config", "."], "is a folder"),
    # checkpoints
    ([*GAN, "--ckpt_path", "god.ckpt"], "there is no checkpoint 'god.ckpt'; did you mean 'good.ckpt'?"),
    ([*GAN, "--ckpt_path", "cut.ckpt"], "'cut.ckpt' cannot be read as a checkpoint"),
    ([*GAN, "--ckpt_path", "foreign.ckpt"], "'foreign.ckpt' cannot be read as a checkpoint"),
    ([*GAN, "--ckpt_path", "other.ckpt"], "'other.ckpt' is not a checkpoint"),
    ([*GAN, *CKPT], "'good.ckpt' does not fit this configuration: generator.layers.0.weight"),
    (["test", *CKPT, "--model.latent_dim", "3"], "does not fit this configuration"),
    (
        ["test", "--ckpt_path", "stranger.ckpt"],
        "names somebody.Model; only classes of lit_gen, torch.nn and torch.optim",
    ),
    (["test", "--ckpt_path", "x" * 300], "xxx' cannot be used: File name too long"),
    (["test", "--ckpt_path", "older/version_0"], "no setting 'ema.half_lif' (in older/version_0/config.yaml); did"),
    (["validate", "--ckpt_path", "last"], "looked for runs/*/version_*/checkpoints/last.ckpt"),
    (["predict", *CKPT, "--output", "tiny.yaml"], "tiny.yaml is a file"),
    # data
    (["fit", "--model", "GAN", "--data", "MNIST", "--data.root", "nowhere"], "is not complete in nowhere"),
    (["evaluate", *CKPT, "--data", "MNIST", "--data.root", "nowhere"], "is not complete in nowhere"),
    # outputs
    ([*GAN, "--runs", "tiny.yaml/runs"], "no run's folder can be made in tiny.yaml/runs"),
    (["sample", *CKPT], "--output is missing"),
    (["sample", "--output", "x.png"], "--ckpt_path is missing"),
    (["sample", *CKPT, "--output", "/proc/x.png"], "/proc/x.png cannot be written"),
    (["sample", *CKPT, "--output", "tiny.yaml/x.png"], "tiny.yaml/x.png cannot be written"),
    (["evaluate", *CKPT, "--output", "/proc/x.json"], "/proc/x.json cannot be written"),
    # sample and evaluate
    ([*SAMPLE, "--labl", "3"], "did you mean '--label'?"),
    ([*SAMPLE, "--label", "3"], "is unconditional"),
    ([*SAMPLE, "--num_samples", "0"], "--num_samples is 0, and must be at least 1"),
    ([*SAMPLE, "--num_samples", "ab"], "num_samples is 'ab', and must be a whole number"),
    ([*SAMPLE, "--weights", "em"], "weights is 'em', and must be one of ema, raw, ema:HALF_LIFE; did you mean 'ema'?"),
    ([*SAMPLE, "--weights", "ema:7"], "has no weights 'ema:7'; it has raw, ema"),
    ([*GAN, "--ema.half_lives", "[10000]"], "each must be another"),
    ([*GAN, "--evaluation.weights", "ema:0"], "weights is 'ema:0'"),
    ([*SAMPLE, "--device", "gpux"], "there is no device 'gpux'"),
    ([*SAMPLE, "--device", "meta"], "there is no device 'meta'"),
    (["evaluate"], "--ckpt_path is missing"),
    (["evaluate", *CKPT, "--metrics", "fd"], "did you mean 'fid'?"),
    (["evaluate", *CKPT, "--extractor", "Incepton"], "no class 'Incepton'; did you mean 'InceptionV3'?"),
    (["evaluate", *CKPT, "--extractor", "InceptionV3", "--extractor.weight_path", "x"], "did you mean 'weights_path'?"),
    (["evaluate", *CKPT, "--extractor", "InceptionV3", "--extractor.weights_path", "x"], "file x does not exist"),
    (["evaluate", *CKPT, "--extractor", "DINOv2", "--extractor.weights_path", "x"], "file x does not exist"),
    (["evaluate", *CKPT, "--extractor", "CLIP", "--extractor.variant", "vit-b-33"], "vit-b-32"),
    (["evaluate", *CKPT, "--extractor", "VGG16", "--extractor.weights_path", "x"], "file x does not exist"),
    (["evaluate", *CKPT, "--split", "tst"], "there is no split 'tst'"),
    (["evaluate", *CKPT, "--num_samples", "1"], "num_samples is 1"),
]


@pytest.fixture
def folder(lit_gen, trained):
    """A folder full of mistakes."""
    for name, content in FILES.items():
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    shutil.copy(trained / "checkpoints/last.ckpt", "good.ckpt")
    Path("cut.ckpt").write_bytes(Path("good.ckpt").read_bytes()[:5000])
    torch.save({"a": 1}, "other.ckpt")
    shutil.copytree(trained, "older/version_0")
    Path("older/version_0/config.yaml").write_text("ema: {half_lif: 3}")
    whole = {"state_dict": {}, "global_step": 0, "pytorch-lightning_version": "2.6.6"}
    torch.save({**whole, "hyper_parameters": {"_class_path": "somebody.Model"}}, "stranger.ckpt")
    return lit_gen


@pytest.mark.parametrize(("arguments", "message"), CASES, ids=[message[:40] for _, message in CASES])
def test_a_mistake_is_one_line(folder, arguments, message):
    before = sorted(Path().rglob("*"))
    said = folder(*arguments)
    assert said.status == 2
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.err.startswith("lit-gen: ")
    assert said.err.endswith("\n")
    assert said.out == ""
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("two\n  lines"), 2, "lit-gen: two lines\n"),
        (torch.OutOfMemoryError("no memory"), 2, "out of memory: no memory; try a smaller --data.batch_size"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), 2, "'runs' cannot be used: Permission denied"),
        (KeyboardInterrupt(), 130, "lit-gen: interrupted\n"),
    ],
)
def test_what_goes_wrong_during_a_run(lit_gen, monkeypatch, error, status, message):
    def fail(*_):
        raise error

    monkeypatch.setattr(lit_gen_cli(), "run", fail)
    said = lit_gen("fit")
    assert said.status == status
    assert message in said.err
    assert said.err.count("\n") == 1


def lit_gen_cli():
    return lit_gen.cli


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("of no file")])
def test_a_defect_of_ours_keeps_its_traceback(lit_gen, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(lit_gen_cli(), "run", fail)
    with pytest.raises(type(error)):
        lit_gen("fit")


def test_an_error_in_the_middle_of_a_run_keeps_its_checkpoints(lit_gen, monkeypatch):
    from lit_gen.models import GAN

    loss = GAN.generator_loss

    def fail(self, batch):
        if self.step == 5:
            raise UserError("the sky fell")
        return loss(self, batch)

    monkeypatch.setattr(GAN, "generator_loss", fail)
    said = lit_gen("fit", "--config", "tiny.yaml")
    assert (said.status, said.err) == (2, "lit-gen: the sky fell\n")
    assert Path("runs/tiny/version_0/checkpoints/last.ckpt").is_file()
