"""Probes for shortcuts: change what should not matter, or what should, and see what is answered."""
