"""Experiments: what is run, kept and tabulated."""
