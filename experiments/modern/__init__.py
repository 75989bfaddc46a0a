"""Experiments of what came after 1998; none of them is in the paper."""
