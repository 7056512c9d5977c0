"""What sites train: data, networks, losses, the training loop, metrics. MONAI lives here alone."""
