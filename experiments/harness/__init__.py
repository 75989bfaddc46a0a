"""Runs experiments, keeps their results and shows them in tables; it knows no experiment."""
