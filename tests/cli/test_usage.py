import subprocess
import sys
import time
from pathlib import Path

import pytest

from lit_gen import __version__
from lit_gen.commands.usage import COMMANDS

# A value that each option of the short help takes, where it is not to be guessed from its name.
VALUES = {
    "--config": ["tiny.yaml"],
    "--model": ["GAN"],
    "--model.KEY": ["--model.latent_dim", "4"],
    "--model.help": ["GAN"],
    "--data": ["Digits"],
    "--data.KEY": ["--data.batch_size", "8"],
    "--trainer.accelerator": ["cpu"],
    "--trainer.KEY": ["--trainer.log_every_n_steps", "3"],
    "--label": ["1", "2"],
    "--weights": ["raw"],
    "--device": ["cpu"],
    "--metrics": ["fid,is"],
    "--sampler": ["DDIM"],
    "--sampler.KEY": ["--sampler.eta", "0.5"],
    "--extractor": ["InceptionV3"],
    "--extractor.KEY": ["--extractor.weights_path", "weights.pth"],
    "--split": ["val"],
    "--trust": ["package"],
    "--output": ["out.png"],
    "--runs": ["elsewhere"],
    "--which": ["last"],
    "--group": ["none"],
    "--ema.half_lives": ["[5]"],
}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS), ["diagnose", "vanishing", "--help"]],
)
def test_help_is_answered_at_once_and_without_torch(arguments):
    code = (
        "import sys; from lit_gen.__main__ import main; status = main(sys.argv[1:]);"
        "assert not {'torch', 'pytorch_lightning', 'numpy'} & set(sys.modules); sys.exit(status)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert (done.returncode, done.stderr) == (0, "")
    assert seconds < 1.0
    assert __version__ in done.stdout if arguments == ["--version"] else "lit-gen" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 130


def test_the_module_and_no_command_at_all_print_the_overview():
    done = subprocess.run([sys.executable, "-m", "lit_gen"], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "diagnose"])  # see test_diagnose
def test_every_option_of_the_short_help_is_accepted(lit_gen, command, trained):
    arguments, listed = [], ""
    for option in COMMANDS[command].options:
        if option.flag in ("--print_config", "--model.help", "--help_full", "--ckpt_path"):
            continue
        if not option.flag.startswith("--") or option.flag == "--evaluate":  # compare's own two
            continue
        value = VALUES.get(option.flag, ["7"] if option.value else [])
        arguments += value if option.flag.endswith(".KEY") else [option.flag, *value]
    if command == "compare":
        from lit_gen.commands import compare
        from lit_gen.commands.checkpointed import parse

        assert parse(compare._parser(), ["one", "two", *arguments]).run == ["one", "two"]
    elif command in ("sample", "translate", "evaluate"):
        from lit_gen.commands import evaluate, sample, translate
        from lit_gen.commands.checkpointed import parse
        from lit_gen.commands.classes import import_all

        import_all()
        parsers = {"evaluate": lambda: evaluate._parser()[0], "sample": sample._parser, "translate": translate._parser}
        parse(parsers[command](), [*arguments, "--ckpt_path", "last"])
    else:
        said = lit_gen(command, *arguments, "--ckpt_path", trained, "--print_config")
        assert said.status == 0, said.err
        listed = said.out
        assert "class_path: lit_gen.models.GAN" in listed


def test_the_long_help_lists_everything(lit_gen):
    said = lit_gen("fit", "--help_full")
    assert said.status == 0
    for key in ("--trainer.gradient_clip_val", "--ema.half_life", "--evaluation.extractor", "--checkpoint.monitor"):
        assert key in said.out
    assert "--model.n_critic" in lit_gen("fit", "--model.help", "GAN").out


def test_shipped_configurations_are_found_by_name_from_any_folder(lit_gen):
    from lit_gen.commands.shipped import resolve_config, shipped_names

    assert "gan/dcgan_digits" in shipped_names()
    names = ("gan/dcgan_digits.yaml", "configs/gan/dcgan_digits.yaml", "gan/dcgan_digits", "dcgan_digits")
    assert {resolve_config(name).name for name in names} == {"dcgan_digits.yaml"}
    Path("dcgan_digits.yaml").write_text("{}")
    assert resolve_config("dcgan_digits") == Path("dcgan_digits.yaml")
