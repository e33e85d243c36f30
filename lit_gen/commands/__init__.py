"""The commands beside LightningCLI's: sample, evaluate, diagnose."""
