"""Maps the repository's top folders into the one importable package `lit_gen`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'^__version__ = "(.+)"', (here / "lit_gen" / "__init__.py").read_text("utf-8"), re.M)[1]
mapped = {"lit_gen.datamodules": "datamodules", "lit_gen.callbacks": "callbacks", "lit_gen.configs": "configs"}

test = ["pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6"]

setup(
    name="lit-gen",
    version=version,
    description="Deep generative models on one PyTorch Lightning frame",
    long_description=(here / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["lit_gen", "lit_gen.*"]) + list(mapped),
    package_dir=mapped,
    package_data={"lit_gen": ["py.typed"], "lit_gen.configs": ["**/*.yaml"]},
    install_requires=[
        "torch>=2.11",
        "torchvision>=0.26",
        "pytorch-lightning>=2.6.6,<2.7",
        "torchmetrics>=1.9,<1.10",
        "torch-fidelity>=0.4,<0.5",
        "tensorboard>=2.19",
        "jsonargparse[signatures]>=4.53,<4.60",
        "rich>=13.9",
        "numpy>=1.26",
        "pillow>=10.3",
        "matplotlib>=3.10",
        "pyyaml>=6.0",
        "typing_extensions>=4.12",
        "scikit-learn>=1.5",
        "scipy>=1.11,<1.18",
    ],
    extras_require={"test": test, "dev": [*test, "ruff>=0.17,<0.18", "mypy>=2.4,<2.5", "build>=1.2"]},
    entry_points={"console_scripts": ["lit-gen=lit_gen.__main__:main"]},
    classifiers=[
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
