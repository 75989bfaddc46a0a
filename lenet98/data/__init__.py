"""MNIST, and what is done to it before a network sees it (Section III.A)."""
