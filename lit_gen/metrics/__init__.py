"""Scores of generated images, the feature extractors they stand on, and the protocol that makes them comparable."""
