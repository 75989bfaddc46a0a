"""Ratios against other ways to do the same work."""
