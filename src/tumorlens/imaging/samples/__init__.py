"""What the values of an image mean, and images whose values mean something else."""
