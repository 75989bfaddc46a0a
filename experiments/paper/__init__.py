"""The experiments of the paper: its figures, the points that it leaves open, and its other classifiers."""
