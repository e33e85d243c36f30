"""The shipped YAML configurations, importable as ``lit_gen.configs`` so that a wheel carries them."""
