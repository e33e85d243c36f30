"""What training needs once for every model: stepping, seeding, checkpoints."""
