"""Networks and layers: plain torch, no Lightning."""
