"""Probes for shortcuts: change part of each image, and compare the answers."""
