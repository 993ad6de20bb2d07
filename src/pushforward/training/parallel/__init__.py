"""Training by several processes: starting them, placing weights, and batch statistics over all of them."""
