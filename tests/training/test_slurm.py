"""The job for SLURM: its script, what its processes do with SLURM's environment and signals, and how it goes on."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment

from lit_gen.__main__ import main
from lit_gen.commands.launch import launch_settings
from lit_gen.errors import UserError

DOCS = Path(__file__).parent.parent.parent / "docs"
JOB, GUIDE = DOCS / "train.sbatch", DOCS / "cluster.md"
SETTINGS = {"num_nodes": 1, "devices": "auto", "plugins": None, "callbacks": None}
SLURM = {
    "SLURM_JOB_ID": "4242",
    "SLURM_JOB_NAME": "lit-gen",
    "SLURM_NNODES": "1",
    "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_CPUS_PER_TASK": "1",
}
CONFIG = """
trainer: {max_steps: 10000000, accelerator: cpu, limit_val_batches: 0}
model:
  class_path: GAN
  init_args:
    generator: {class_path: DCGANGenerator, init_args: {features: 4}}
    discriminator: {class_path: DCGANDiscriminator, init_args: {features: 4}}
    latent_dim: 8
data: {class_path: Digits, init_args: {image_size: null, batch_size: 16}}
samples: {every_n_steps: 0, first: false}
evaluation: {metrics: []}
checkpoint: {every_n_train_steps: 100}
"""
# Stand-ins for SLURM's commands.
SRUN = """#!{python}
import os, signal, subprocess, sys
words = [word for word in sys.argv[1:] if not word.startswith(("--kill", "--wait"))]
tasks = []
for i in range(2):
    place = {{"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i), "SLURM_NODEID": "0"}}
    tasks.append(subprocess.Popen(words, env={{**os.environ, **place}}))
signal.signal(signal.SIGUSR1, lambda *_: [task.send_signal(signal.SIGUSR1) for task in tasks])
open("srun.pid.part", "w").write(str(os.getpid()))
os.rename("srun.pid.part", "srun.pid")
sys.exit(max(code if code >= 0 else 128 - code for code in [task.wait() for task in tasks]))
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then echo "   JobState=${STATE:-RUNNING} Reason=None"; else echo "$@" >> scontrol.log; fi
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def srun_command() -> list[str]:
    joined = JOB.read_text().replace("\\\n", " ")
    (line,) = (line for line in joined.splitlines() if line.startswith("srun "))
    return shlex.split(line.replace("$SLURM_JOB_ID", SLURM["SLURM_JOB_ID"]))


def lit_gen_arguments(words: list[str]) -> list[str]:
    return words[words.index("lit_gen") + 1 :]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the job, tiny, and with stand-ins for SLURM's commands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    bin = tmp_path / "bin"
    bin.mkdir()
    executable(bin / "srun", SRUN.format(python=sys.executable))
    executable(bin / "scontrol", SCONTROL)
    executable(bin / "python", f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    (tmp_path / "job").write_text(
        JOB.read_text().replace("gan/dcgan_fashion_mnist", "tiny.yaml").replace("500000", "10000000")
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name, value in {**SLURM, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_job_is_bash_and_its_command_parses(capsys):
    subprocess.run(["bash", "-n", str(JOB)], check=True)
    arguments = lit_gen_arguments(srun_command())
    assert main([*arguments, "--print_config"]) == 0
    printed = capsys.readouterr().out
    assert "max_steps: 500000" in printed
    assert "ckpt_path: last" in printed


def test_the_guide_s_commands_parse(capsys):
    text = GUIDE.read_text()
    commands = [line.strip() for line in text.splitlines() if re.match(r"    (lit-gen|torchrun) ", line)]
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(command)
        if words[0] == "torchrun":
            from torch.distributed.run import get_args_parser

            options = get_args_parser().parse_args(words[1:])
            assert options.module
            assert options.training_script == "lit_gen"
            arguments = options.training_script_args
        else:
            arguments = words[1:]
        # A user's own model is stood for by one that there is.
        arguments = ["gan/dcgan_digits" if word == "own.yaml" else word for word in arguments]
        assert main([*arguments, "--print_config"]) == 0, command
    capsys.readouterr()


@pytest.mark.parametrize(
    ("status", "state", "requeued"),
    [(75, "RUNNING", True), (75, "CANCELLED", False), (0, "RUNNING", False), (1, "RUNNING", False)],
)
def test_the_job_is_requeued_only_when_it_can_go_on(place, monkeypatch, status, state, requeued):
    executable(place / "bin" / "srun", f"#!/bin/bash\nexit {status}\n")
    monkeypatch.setenv("STATE", state)
    assert subprocess.run(["bash", "job"]).returncode == status
    log = place / "scontrol.log"
    assert (log.read_text() == "requeue 4242\n") if requeued else not log.exists()


def test_a_job_that_is_warned_stops_and_goes_on(place, monkeypatch, capsys):
    with (place / "log").open("w") as log:
        job = subprocess.Popen(["bash", "job"], stdout=log, stderr=log, start_new_session=True)
    last = place / "runs" / "4242" / "tiny" / "version_0" / "checkpoints" / "last.ckpt"
    try:
        deadline = time.monotonic() + 200
        while not last.is_file():
            assert job.poll() is None, (place / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(int((place / "srun.pid").read_text()), signal.SIGUSR1)
        assert job.wait(60) == 75, (place / "log").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
    said = (place / "log").read_text()
    assert "MEMBER: 2/2" in said
    assert (place / "scontrol.log").read_text() == "requeue 4242\n", "Lightning would have requeued it once more"
    for name in SLURM:
        monkeypatch.delenv(name)
    command = lit_gen_arguments(srun_command())
    step = torch.load(last, weights_only=True)["global_step"]
    words = ["tiny.yaml" if word.startswith("gan/") else word for word in command[:-1]]
    assert main([*words, str(step + 2)]) == 0
    assert f"from step {step}" in capsys.readouterr().out
    assert [path.name for path in last.parent.parent.parent.iterdir()] == ["version_0"]


def test_lightning_does_not_requeue(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    settings = launch_settings(SETTINGS)
    (environment,) = (plugin for plugin in settings["plugins"] if isinstance(plugin, SLURMEnvironment))
    assert not environment.auto_requeue
    assert (settings["num_nodes"], settings["devices"]) == (1, 2)
    given = LightningEnvironment()
    assert not any(
        isinstance(plugin, SLURMEnvironment) for plugin in launch_settings({**SETTINGS, "plugins": given})["plugins"]
    )
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert launch_settings(SETTINGS)["devices"] == "auto"


def test_tasks_without_a_number_per_node_are_a_line(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(UserError, match="--ntasks-per-node"):
        launch_settings(SETTINGS)


def test_torchrun_within_a_job_decides(monkeypatch):
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "GROUP_WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "4"}
    for name, value in {**SLURM, **torchrun}.items():
        monkeypatch.setenv(name, value)
    settings = launch_settings(SETTINGS)
    assert (settings["num_nodes"], settings["devices"]) == (3, 4)
    assert not any(isinstance(plugin, SLURMEnvironment) for plugin in settings["plugins"])
