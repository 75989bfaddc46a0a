"""Trains a network on another form of the database than the regular one (Sections III.A and III.C)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from experiments.networks import train_network
from experiments.registry import Context, Outcome
from lenet98.data.mnist import MNIST
from lenet98.data.preprocessing import FORMS, in_form
from lenet98.training import Config


@dataclass(frozen=True)
class FormConfig(Config):
    """A training run on one form of the database.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    form: str = "28x28"
    """A name of `lenet98.data.preprocessing.FORMS`; images smaller than the network's input stand in its middle."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in FORMS:
            raise ValueError(f"FormConfig.form is {self.form!r}; it must be one of {', '.join(FORMS)}")
        if self.distortions and self.form != "28x28":
            raise ValueError(f"FormConfig.distortions need the form '28x28', not {self.form!r}; set them to None")


@dataclass(frozen=True)
class InForm(Context):
    """What a run is given, its digits in another form."""

    of: Context | None = None
    form: str = "28x28"

    @cached_property
    def mnist(self) -> MNIST:
        assert self.of is not None
        return in_form(self.of.mnist, self.form)


def train_on_form(config: FormConfig, seed: int, context: Context) -> Outcome:
    """One training run on MNIST in the form that `config` names."""
    formed = InForm(context.progress, context.checkpoint, context.data_dir, context.threads, context, config.form)
    return train_network(config, seed, formed)
