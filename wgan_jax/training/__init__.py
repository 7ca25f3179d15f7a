"""Training: what is trained (gan), what changes (state), the step, the devices, the loop, and the run on disk."""
