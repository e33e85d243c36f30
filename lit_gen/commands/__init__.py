"""The commands beside LightningCLI's: sample, evaluate, compare, diagnose."""
