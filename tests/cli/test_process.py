"""What only a process of its own shows: exit status, signals, and that nothing of Lightning's reaches the screen."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "lit_gen", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_mistake_in_a_process(lit_gen):
    process = start("fit", "--model", "GANN", "--data", "Digits")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err == "lit-gen: model names no class 'GANN'; did you mean 'GAN'?\n"


def test_an_interrupted_run_can_be_gone_on_with(lit_gen):
    process = start("fit", "--config", "tiny.yaml", "--trainer.max_steps", 10**7, "--evaluation.metrics", "[]")
    last = Path("runs/tiny/version_0/checkpoints/last.ckpt")
    deadline = time.monotonic() + 120
    while not last.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75
    assert err.splitlines()[-1] == f"lit-gen: stopped by SIGINT; go on from {last}"
    assert lit_gen("sample", "--ckpt_path", "last", "--output", "x.png").status == 0
