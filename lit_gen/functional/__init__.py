"""Pure functions on tensors: losses, penalties, distances between distributions. Imports torch only."""
