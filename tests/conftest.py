"""Fixtures for the whole suite."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real data sets; a test that needs one is skipped where there is none, but not in CI."""
    root = os.environ.get("LIT_GEN_DATA")
    if not root and os.environ.get("CI") == "true":
        pytest.fail("CI must set LIT_GEN_DATA to the folder with the real data sets")
    if not root or not Path(root).is_dir():
        pytest.skip("LIT_GEN_DATA does not name a folder with real data sets")
    return Path(root)
