"""Training with several processes: starting them, placing the weights, and batch statistics over all of them."""
