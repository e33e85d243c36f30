"""The commands beside LightningCLI's: sample, translate, evaluate, compare, diagnose."""
