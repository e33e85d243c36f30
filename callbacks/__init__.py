"""Lightning callbacks shared by every model, imported as ``lit_gen.callbacks``."""
