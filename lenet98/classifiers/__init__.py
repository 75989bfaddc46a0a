"""The classifiers with which the paper compares its networks (Section III.C)."""
