"""LightningDataModules, one data source per file, imported as ``lit_gen.datamodules``."""
