"""LightningModules, one method per file."""
