"""The squashing function f(a) = A tanh(S a), App. A."""

A = 1.7159
"""Amplitude."""
S = 2 / 3
"""Slope at the origin, in units of A; f(1) = 1 and f(-1) = -1."""
