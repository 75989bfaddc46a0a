"""`python -m experiments`: run experiments, show what there is, make tables, publish.

Exit status: 0 done, 1 a run failed or a page is stale, 2 wrong arguments or nothing to show, interrupted: 128
and the number of the signal.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import Any, get_args

from experiments.harness import (
    documents,
    golden,
    plan,
    predictions,
    registry,
    rows,
    runner,
    shards,
    store,
    tables,
    together,
    verify,
)
from experiments.harness.files import load as load_file
from experiments.harness.identity import Identity, Json, counts_as, of_record
from experiments.harness.loader import Loader, NoResults, sources
from experiments.modern import ladder
from experiments.paper import comparison, published
from experiments.paper import numbers as paper
from lenet98.command import Parser, mute, open_outputs
from lenet98.data import mnist
from lenet98.devices import Device, devices
from lenet98.files import atomic

SPEAKER = "experiments"
"""In whose name mistakes are told."""

NAMES = "an experiment, a glob such as 'readings/*', or a group: fig9 or modern"
EACH = f"experiments, each {NAMES}"

WIDTH = 100
"""Columns of a list of experiments."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    open_outputs()
    chosen = _parser().parse_args(arguments)
    if getattr(chosen, "data_dir", None):
        os.environ[mnist.ENVIRONMENT] = str(chosen.data_dir)  # for all that looks at digits, here and in workers
    if getattr(chosen, "device", "") is None:
        chosen.device = "cuda" if chosen.replicas else "cpu"
    try:
        with runner.terminable():
            status = int(chosen.command(chosen))
            sys.stdout.flush()
            return status
    except BrokenPipeError:
        mute()
        return 0
    except (ValueError, OSError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    except runner.Terminated as end:
        print(f"experiments: ended by {end.signal.name}", file=sys.stderr)
        return 128 + end.signal
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = Parser(speaker=SPEAKER, prog="python -m experiments", description="Experiments, their results and tables.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help, speaker=SPEAKER)
        sub.set_defaults(command=function)
        sub.add_argument("--results", type=Path, default=Path("results"), help="folder of results")
        sub.add_argument("--reference", type=Path, default=Path("reference"), help="folder of published results")
        sub.add_argument(
            "--module", type=_argument(load_file), action="append", metavar="FILE", help="experiments of your own"
        )
        return sub

    def device(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--device", choices=get_args(Device), help="where mini-batches and replicas are computed")

    def replicas(sub: argparse.ArgumentParser, help: str) -> None:
        sub.add_argument("--replicas", action="store_true", help=help)

    for name, function, help in (
        ("run", _run, "make the runs whose results are not there"),
        ("plan", _plan, "say what `run` would do"),
        ("reproduce", _reproduce, "run, with the main table rewritten after every run and the tables at the end"),
    ):
        sub = command(name, function, help)
        sub.add_argument("names", nargs="+", metavar="NAME", help=NAMES)
        sub.add_argument("--seeds", type=_argument(plan.parse_seeds), help="0-9, 0,3,5 or 4; else each one's own")
        sub.add_argument("--jobs", type=_argument(_jobs), default=1, help="runs side by side, one core each")
        sub.add_argument("--force", action="store_true", help="run again what is there")
        sub.add_argument("--shard", type=_argument(shards.parse), metavar="I/N", help="only the I-th of N shares")
        sub.set_defaults(dask=None)
        if name != "plan":
            sub.add_argument(
                "--dask", metavar="CLUSTER", help="address or scheduler file of a Dask cluster that runs them"
            )
        sub.add_argument("--data-dir", type=Path, help="folder of MNIST's files")
        device(sub)
        if name == "reproduce":
            sub.set_defaults(replicas=False)
        else:
            replicas(sub, "the seeds of an experiment at once, on a GPU unless --device is cpu")
    sub = command("list", _list, "list the experiments and tables")
    sub.add_argument("names", nargs="*", metavar="NAME", help=NAMES)
    command("show", _show, "print an experiment's configuration and where its results are").add_argument("name")
    sub = command("table", _table, "print a table, or the rows of any experiments")
    sub.add_argument("names", nargs="+", metavar="NAME", help=f"a table, of those that `list` names; or {EACH}")
    sub.add_argument("--against", metavar="NAME", help="experiment that the others are compared with: change, p, seeds")
    sub.add_argument("--format", choices=tables.FORMATS, default="md")
    sub.add_argument("--source", choices=("reference", "results", "both"), default="reference")
    sub.add_argument("--output", type=Path, help="file to write instead")
    device(sub)
    replicas(sub, "of runs that were made with --replicas")
    sub = command("publish", _publish, "copy results into the reference, beside published ones of the same identity")
    sub.add_argument("names", nargs="+", metavar="NAME", help=f"{NAMES}; of several, those that have results")
    sub.add_argument("--seeds", type=_argument(plan.parse_seeds), help="seeds that must be there then")
    sub.add_argument("--weights", type=_argument(plan.parse_seeds), default=(), help="seeds to publish weights of")
    sub.add_argument("--force", action="store_true", help="even if incomplete or not of a clean checkout")
    sub = command("readme", _readme, "write the tables into README.md and docs/")
    sub.add_argument("--check", action="store_true", help="write nothing; exit 1 if one of them is stale")
    sub = command("weights", _weights, "write the trained networks that come with the package, from published results")
    sub.add_argument("--check", action="store_true", help="write nothing; exit 1 if one of them is stale")
    sub = command("compare", _compare, "compare predictions made elsewhere with the runs of an experiment")
    sub.add_argument("file", type=Path, metavar="FILE", help=".npy of classes, or text with one digit a line")
    sub.add_argument("--against", default=paper.LENET5, metavar="NAME", help="experiment (default: %(default)s)")
    sub.add_argument("--source", choices=("reference", "results"), default="reference")
    command("verify", _verify, "check every published record against its experiment and its predictions")
    sub = command("golden", _golden, "compare small runs with the golden files")
    sub.add_argument("names", nargs="*", metavar="CASE", help="cases; all unless named")
    sub.add_argument("--write", action="store_true", help="write the golden files instead, of those cases")
    sub = command("neutral", _neutral, "tell whether other code computes the same bits in small runs")
    sub.add_argument("names", nargs="*", metavar="CASE", help="cases; all unless named")
    sub.add_argument("--against", required=True, metavar="REV", help="commit whose code to compare with")
    return parser


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """`parse` with its own message instead of argparse's."""

    def typed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a number of runs; it must be 1 or more")
    return int(text)


def _made_plan(chosen: argparse.Namespace) -> plan.Plan:
    if chosen.device not in devices():
        if chosen.replicas:
            raise ValueError("--replicas need a GPU, and PyTorch finds none here; --device cpu puts them on the CPU")
        raise ValueError(f"--device is {chosen.device!r}; this machine has {', '.join(devices())}")
    experiments = comparison.experiments(chosen.names)
    if chosen.replicas:
        if chosen.jobs > 1 or chosen.dask:
            raise ValueError("--replicas are one process here; leave --jobs and --dask out")
        experiments = [registry.as_replicas(found) for found in experiments]
    experiments = [registry.on_device(found, chosen.device) for found in experiments]
    for experiment in experiments:
        if experiment.deterministic and chosen.seeds not in (None, (0,)):
            print(f"{experiment.name} does not depend on the seed: seed 0 is all there is")
    made = plan.plan(
        experiments,
        chosen.seeds,
        chosen.results,
        reference=chosen.reference,
        force=chosen.force,
        first=comparison.HEADLINE,
        shard=chosen.shard,
    )
    for line in made.lines():
        print(line, flush=True)
    if not chosen.replicas and not (made.jobs and chosen.dask):  # estimates are of runs one by one
        print(made.total(chosen.jobs), flush=True)
    return made


def _plan(chosen: argparse.Namespace) -> int:
    _made_plan(chosen)
    return 0


def _run(chosen: argparse.Namespace, after: Callable[[], str] | None = None) -> int:
    made = _made_plan(chosen)
    if not made.jobs:
        return 0
    if chosen.replicas:
        summary = together.execute(made.jobs, chosen.data_dir)
    elif chosen.dask:

        def announce(workers: int) -> str:
            return made.total(workers, f"on {workers} workers of {chosen.dask}")

        summary = runner.execute_on(chosen.dask, made.jobs, chosen.data_dir, after=after, announce=announce)
    else:
        summary = runner.execute(made.jobs, chosen.jobs, chosen.data_dir, after=after)
    if summary.interrupted:
        how = "interrupted" if summary.interrupted == signal.SIGINT else f"ended by {summary.interrupted.name}"
        goes_on = "makes the others" if chosen.dask else "resumes each run from its last completed pass"
        print(f"{how}; the same command {goes_on}", file=sys.stderr)
        return 128 + summary.interrupted
    return 1 if summary.failed else 0


def _reproduce(chosen: argparse.Namespace) -> int:
    status = _run(chosen, lambda: _refresh(chosen))
    if status > 1:
        return status
    print(_refresh(chosen))
    for names, source in _reproduced(chosen):
        try:
            print(f"\n{_made(names, _loader(chosen, source)).render('md')}", end="")
        except NoResults as error:
            print(f"\n{' '.join(names)}: {error}", file=sys.stderr)
    return status


def _reproduced(chosen: argparse.Namespace) -> list[tuple[list[str], str]]:
    """The tables of what is reproduced, and their sources; the first is rewritten after every run."""
    if chosen.names == [ladder.GROUP]:
        return [([name], "results") for name in ladder.TABLES]
    shown: list[tuple[list[str], str]] = []
    rest = {experiment.name for experiment in comparison.experiments(chosen.names)}
    if not rest.isdisjoint(row.experiment for row in paper.ROWS):
        shown += [(["fig9"], "results"), (["fig5"], "results"), (["lenet5"], "both")]
    if not rest <= {row.experiment for row in paper.ROWS}:
        shown.append((chosen.names, "both"))
    return shown


def _made(names: list[str], load: Loader, against: str | None = None) -> tables.Table:
    """The table of that name, or that of the experiments of those names, compared with the one that is named."""
    registry.load()  # modules of experiments may bring tables
    is_table = len(names) == 1 and names[0] in tables.TABLES
    if is_table and against:
        raise ValueError(f"--against goes with experiments, and {names[0]} is a table; name its experiments instead")
    return rows.with_spread(tables.TABLES[names[0]](load) if is_table else rows.table(names, load, against), load)


def _refresh(chosen: argparse.Namespace) -> str:
    """Write the first table of the results that there are; a line that says so, or why not."""
    names, source = _reproduced(chosen)[0]
    known = {"fig9": comparison.status, ladder.TABLES[0]: ladder.status}
    name = names[0] if names[0] in known else "rows"
    path = chosen.results / "tables" / f"{name}.md"
    loader = _loader(chosen, source)
    try:
        store.write_text(path, _made(names, loader).render("md"))
        return f"{known[name](loader) if name in known else 'The rows'} in {path}"
    except (ValueError, OSError) as error:  # the runs go on
        return f"{path} is not written: {error}"


def _list(chosen: argparse.Namespace) -> int:
    found = {experiment.name: experiment for name in chosen.names or ["**"] for experiment in registry.members(name)}
    for folder, group in groupby(sorted(found, key=_parts), lambda name: _parts(name)[0]):
        names = list(group)
        width = max(len(folder), *(len(_parts(name)[-1]) + 2 for name in names))
        line = f"{{:{width}}}  {{:5}}  {{:>7}}  {{:>8}}  {{}}".format
        print(line(f"{folder}/", "seeds", "minutes", "paper, %", "row"))
        for name in names:
            e = found[name]
            theirs = "" if e.paper_error is None else e.paper_error
            shown = [f"  {_parts(name)[-1]}", plan.format_seeds(e.seeds), f"{e.minutes:g}", theirs]
            text = line(*shown, e.title)
            if len(text) > WIDTH:
                title = fill(e.title, WIDTH, initial_indent=8 * " ", subsequent_indent=8 * " ", break_on_hyphens=False)
                text = f"{line(*shown, '').rstrip()}\n{title}"
            print(text)
    if not chosen.names:
        print(fill(f"tables: {', '.join(tables.TABLES)}", WIDTH, initial_indent="\n", break_on_hyphens=False))
    return 0


def _parts(name: str) -> tuple[str, str, str]:
    """Folder, slash and last part of a name."""
    return name.rpartition("/")


def _show(chosen: argparse.Namespace) -> int:
    experiment = registry.named(chosen.name)
    identity = experiment.identity()
    here = store.latest(experiment.name, identity, chosen.results)
    published = store.published(experiment.name, chosen.reference)
    shown = {
        "experiment": experiment.name,
        "title": experiment.title,
        "config": identity.config,
        "data": identity.data,
        "family": identity.family,
        "numerics": identity.numerics,
        "key": identity.key,
        "results": _where(here, identity),
        "reference": _where(published, identity),
    }
    print(json.dumps(shown, indent=1))
    return 0


def _where(runs: store.Runs, identity: Identity) -> Json:
    stated = [of_record(result.record) for result in runs.results]
    return {
        "folder": str(runs.folder),
        "seeds": plan.format_seeds(result.seed for result in runs.results),
        "of the present key": all(one == identity for one in stated),
        "of the present key or vouched for": all(counts_as(one, identity) for one in stated),
    }


def _loader(chosen: argparse.Namespace, source: str) -> Loader:
    device = getattr(chosen, "device", "cpu")
    return Loader(sources(source), chosen.results, chosen.reference, device, getattr(chosen, "replicas", False))


def _table(chosen: argparse.Namespace) -> int:
    if chosen.replicas and chosen.source != "results":
        raise ValueError("published results are of runs one by one; --replicas needs --source results")
    if chosen.device != "cpu" and chosen.source != "results":
        raise ValueError(f"published results are of the cpu; --device {chosen.device} needs --source results")
    text = _made(chosen.names, _loader(chosen, chosen.source), chosen.against).render(chosen.format)
    if chosen.output:
        store.write_text(chosen.output, text)
    else:
        print(text, end="")
    return 0


def _compare(chosen: argparse.Namespace) -> int:
    print("\n".join(predictions.compared(chosen.file, chosen.against, _loader(chosen, chosen.source))))
    return 0


def _publish(chosen: argparse.Namespace) -> int:
    named = {name: registry.members(name) for name in chosen.names}
    wanted = {one.name: one for members in named.values() for one in members}
    found = {name: store.latest(name, one.identity(), chosen.results) for name, one in wanted.items()}
    for name, members in named.items():
        if not any(found[one.name].results for one in members):
            raise NoResults(f"no results of {name} yet; `python -m experiments run {name}` makes them")
    there = {name: runs for name, runs in found.items() if runs.results}
    families = {} if chosen.force else {wanted[name].family: name for name in there}
    for family, name in families.items():
        if changed := golden.departures(golden.cases_of(family)):
            raise ValueError(
                f"{name} is not published: golden cases of its family have changed ({', '.join(changed)}); "
                "see `python -m experiments golden`"
            )
    for name, runs in there.items():
        folder = store.publish(
            runs,
            wanted[name].identity(),
            chosen.seeds or wanted[name].seeds,
            chosen.reference,
            scores=wanted[name].paper_error is not None,  # Fig. 10 reads those of the paper's rows
            weights=chosen.weights,
            force=chosen.force,
        )
        print(f"{name} seeds {plan.format_seeds(r.seed for r in runs.results)} published in {folder}")
    return 0


def _verify(chosen: argparse.Namespace) -> int:
    found = verify.verify(chosen.reference)
    print("\n".join(found.lines))
    return 1 if found.problems or found.orphans else 0


def _golden(chosen: argparse.Namespace) -> int:
    if chosen.write:
        print("\n".join(f"{path} written" for path in golden.write(chosen.names)))
        return 0
    names = chosen.names or golden.cases()
    changed = golden.departures(names)
    bits = "to the bit" if golden.here() is not None else "within rounding, on a machine of which no bits are known"
    print(
        "\n".join([*(f"{name} has changed" for name in changed), f"{len(names) - len(changed)} cases as before {bits}"])
    )
    return 1 if changed else 0


def _neutral(chosen: argparse.Namespace) -> int:
    verdicts = golden.neutral(chosen.against, chosen.names)
    print("\n".join(verdict.line for verdict in verdicts))
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _readme(chosen: argparse.Namespace) -> int:
    wanted = {path: text.encode() for path, text in documents.generated(_loader(chosen, "reference"))}
    return _rewritten(wanted, "make tables", check=chosen.check)


def _weights(chosen: argparse.Namespace) -> int:
    status = _rewritten(dict(published.files(chosen.reference)), published.COMMAND, check=chosen.check)
    for path in published.strays():
        print(f"{path} belongs to no name in lenet98.published; delete it", file=sys.stderr)
        status = 1
    return status


def _rewritten(wanted: dict[Path, bytes], remedy: str, *, check: bool) -> int:
    """Write the files that are not as wanted, or only name them with the command that would; the exit status."""
    stale = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    if check:
        for path in stale:
            print(f"{path} is stale; `{remedy}` rewrites it", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        with atomic(path) as file:
            file.write(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
