"""Named datasets of pictures: where their files are, and how they are verified and read.

A dataset is searched in three places: as NAME.npz in the folder given by the environment variable PUSHFORWARD_DATA; as its
published files in the cache (PUSHFORWARD_CACHE, otherwise XDG_CACHE_HOME or ~/.cache, in the subfolder
pushforward/datasets/NAME); and on the network. A published file is used only if its SHA-256 equals the one given here,
wherever it comes from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileError, suggestion
from ..output import atomic_output, reason
from .picture_sets import PARTS, ImageSet, ImageSplit, read_arrays

TIMEOUT = 30.0
"""Time in seconds without an answer after which a download is aborted."""
CHUNK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """Published file of a dataset.

    Args:
        name: Name of the file, the same at all addresses.
        sha256: Hexadecimal SHA-256 of its bytes.
        size: Size in bytes.
    """

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Dataset:
    """Named dataset of pictures.

    Args:
        name: Name that `load_dataset` accepts.
        source: Authors of the dataset, and where it is described.
        reader: Function (dataset, files by name) that returns the split; None for a dataset that is read from `local` only.
        shape: Shape (C, H, W) of a picture.
        parts: Numbers of training, validation and test pictures.
        local: Name of the .npz file in the folder given by PUSHFORWARD_DATA.
        files: Published files.
        places: Addresses that have the files, in the order in which they are tried.
        levels: Number of values that a pixel can take.
        classes: Names of the labels 0, 1, ...
    """

    name: str
    source: str
    reader: Callable[[Dataset, Mapping[str, Path]], ImageSplit] | None
    shape: tuple[int, int, int]
    parts: tuple[int, int, int]
    local: str = ""
    files: tuple[RemoteFile, ...] = ()
    places: tuple[str, ...] = ()
    levels: int = 256
    classes: tuple[str, ...] = ()

    @property
    def cache(self) -> Path:
        """Folder of the published files on this machine."""
        base = os.environ.get("PUSHFORWARD_CACHE") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "pushforward"
        )
        return Path(base) / "datasets" / self.name

    def load(self) -> ImageSplit:
        """Return the training, validation and test pictures.

        Raises:
            FileError: A file is not on this machine and cannot be downloaded, or is not the published one.
            DataError: The file in the folder given by PUSHFORWARD_DATA has other contents.
        """
        folder = os.environ.get("PUSHFORWARD_DATA")
        if self.local and folder and (path := Path(folder) / self.local).is_file():
            return self._checked(read_arrays(path, levels=self.levels), f"{path}: ")
        if self.reader is None:
            raise FileError(
                f"expected {self.local} in the folder that PUSHFORWARD_DATA names, got {folder or 'no such variable'}; "
                f"set it to the folder that holds the file"
            )
        return self._checked(self.reader(self, {file.name: self.fetch(file) for file in self.files}), "")

    def _checked(self, split: ImageSplit, where: str) -> ImageSplit:
        """Return the split with the names of the dataset, after a check of its shape."""
        sets = [getattr(split, part) for part in PARTS]
        found = tuple(0 if part is None else len(part) for part in sets)
        if found != self.parts or split.train.shape != self.shape:
            raise DataError(
                f"{where}expected {self.name} with {self.parts} pictures of shape {self.shape} in {', '.join(PARTS)}, "
                f"got {found} of {split.train.shape}; remove or replace the file"
            )
        return ImageSplit(*(replace(part, name=self.name, classes=self.classes) for part in sets))

    def fetch(self, file: RemoteFile) -> Path:
        """Return the path of a published file on this machine, after a download if it is not there yet.

        Raises:
            FileError: No address has the file, or the downloaded file is not the published one.
        """
        target = self.cache / file.name
        if target.is_file() and target.stat().st_size == file.size and _digest(target) == file.sha256:
            return target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{target.parent} cannot be created: {reason(error)}; set PUSHFORWARD_CACHE") from None
        problems = []
        for place in self.places:
            address = place + file.name
            problem = _download(address, target, file)
            if problem is None:
                return target
            problems.append(f"{address}: {problem}")
        kept = " (the file there now is a different one)" if target.exists() else ""
        raise FileError(
            f"expected to download {file.name} of {self.name}, got {'; '.join(problems)}; "
            f"put the file with SHA-256 {file.sha256} into {target.parent} by hand{kept}"
        )


def load_dataset(name: str) -> ImageSplit:
    """Return the training, validation and test pictures of a named dataset.

    Args:
        name: Name of a dataset, one of `DATASETS`.

    Raises:
        FileError: The name is unknown, or the files are not on this machine and cannot be downloaded.
        DataError: The file in the folder given by PUSHFORWARD_DATA has other contents.
    """
    if name not in DATASETS:
        raise FileError(f"expected a known dataset, got {name!r}; {suggestion(name, DATASETS, 'the datasets are')}")
    return DATASETS[name].load()


def _digest(path: Path) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(address: str, target: Path, file: RemoteFile) -> str | None:
    """Download a file to `target`, complete and verified or not at all; return None, or a description of the problem."""
    import hashlib
    import http.client
    import urllib.error
    import urllib.request

    digest, length = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer, atomic_output(target) as temporary:
            with open(temporary, "wb") as output:
                for chunk in _chunks(answer):
                    length += len(chunk)
                    if length > file.size:
                        raise _WrongFileError(f"more than its {file.size} bytes")
                    digest.update(chunk)
                    output.write(chunk)
            if length < file.size:
                raise _WrongFileError(f"{length} of its {file.size} bytes")
            if digest.hexdigest() != file.sha256:
                raise _WrongFileError(f"another file, of SHA-256 {digest.hexdigest()}")
    except urllib.error.HTTPError as error:
        error.close()
        return f"answer {error.code} {error.reason}"
    except (_WrongFileError, FileError) as error:
        return str(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        return reason(cause) if isinstance(cause, OSError) else str(cause)
    return None


def _chunks(answer: Any) -> Iterator[bytes]:
    """Yield the bytes of an answer; a broken connection is reported as such and not as an error of the disk."""
    try:
        while chunk := answer.read(CHUNK):
            yield chunk
    except OSError as error:
        raise _WrongFileError(f"a connection that broke ({reason(error)})") from None


class _WrongFileError(Exception):
    """Error for an answer that is not the published file."""


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Return an array of bytes from a gzipped IDX file: 0 0 8 D, D big-endian lengths, then the values in C order.

    Raises:
        FileError: The file has another format.
    """
    import gzip
    import zlib

    try:
        with gzip.open(path) as file:
            head = file.read(4 + 4 * dimensions)
            shape = tuple(np.frombuffer(head[4:], dtype=">u4").tolist())
            if head[:4] == bytes((0, 0, 8, dimensions)) and len(shape) == dimensions:
                count = int(np.prod(shape, dtype=object))
                body = file.read(count + 1)
                if len(body) == count:
                    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
    except (OSError, EOFError, zlib.error, ValueError, OverflowError, MemoryError):
        pass
    raise FileError(f"{path}: expected a gzipped IDX file of bytes in {dimensions} dimensions, got another; remove it")


def _read_mnist(dataset: Dataset, files: Mapping[str, Path]) -> ImageSplit:
    """Return the split of two pairs of IDX files; the validation pictures are the last ones of the training file."""
    both = []
    for part in ("train", "t10k"):
        images = _read_idx(files[f"{part}-images-idx3-ubyte.gz"], 3)[:, None]
        labels = _read_idx(files[f"{part}-labels-idx1-ubyte.gz"], 1)
        both.append(ImageSet(images, dataset.levels, {"label": labels}))
    return _with_valid(dataset, *both)


def _read_cifar(dataset: Dataset, files: Mapping[str, Path]) -> ImageSplit:
    """Return the split of the binary version, records of a label and 3 x 32 x 32 bytes; it is not unpacked to disk."""
    import tarfile
    import zlib

    (path,) = files.values()
    length = 1 + int(np.prod(dataset.shape))
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    batches: dict[str, np.ndarray] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("cifar-10-batches-bin/")
                file = archive.extractfile(member) if name in names and member.isfile() else None
                if file is not None and member.size <= sum(dataset.parts) * length:
                    batches[name] = np.frombuffer(file.read(), dtype=np.uint8).reshape(-1, length)
    except (OSError, EOFError, zlib.error, ValueError, tarfile.TarError):
        batches = {}
    if set(batches) != set(names):
        raise FileError(f"{path}: expected the binary version of CIFAR-10 with its six batches, got another file")
    both = []
    for chosen in (names[:5], names[5:]):
        records = np.concatenate([batches[name] for name in chosen])
        images = records[:, 1:].reshape(-1, *dataset.shape)
        both.append(ImageSet(images, dataset.levels, {"label": records[:, 0]}))
    return _with_valid(dataset, *both)


def _with_valid(dataset: Dataset, train: ImageSet, test: ImageSet) -> ImageSplit:
    """Return the published training and test pictures as three parts, with validation pictures from the training ones."""
    n = max(0, len(train) - dataset.parts[1])
    return ImageSplit(train.take(slice(n)), train.take(slice(n, None)), test)


def _read_digits(dataset: Dataset, files: Mapping[str, Path]) -> ImageSplit:
    """Return the digits of scikit-learn, permuted by a fixed seed."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise FileError("digits need scikit-learn; install it with pip install 'pushforward[sklearn]'") from None
    bunch: Any = load_digits()
    images = bunch.images.astype(np.uint8)[:, None]
    order = np.random.RandomState(0).permutation(len(images))
    whole = ImageSet(images, dataset.levels, {"label": bunch.target}).take(order)
    first, second = dataset.parts[0], sum(dataset.parts[:2])
    return ImageSplit(whole.take(slice(first)), whole.take(slice(first, second)), whole.take(slice(second, None)))


DIGITS = tuple("0123456789")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _files(names: tuple[str, ...], *digests_and_sizes: tuple[str, int]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name, *known) for name, known in zip(names, digests_and_sizes, strict=True))


DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="mnist",
            source="LeCun, Cortes and Burges 1998, The MNIST database of handwritten digits",
            reader=_read_mnist,
            shape=(1, 28, 28),
            parts=(50_000, 10_000, 10_000),
            local="mnist.npz",
            files=_files(
                IDX,
                ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
                ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
                ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
                ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
            ),
            # The authors' page no longer has the files; these are the mirrors of PyTorch and TensorFlow.
            places=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            classes=DIGITS,
        ),
        Dataset(
            name="fashion-mnist",
            source="Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747, https://github.com/zalandoresearch/fashion-mnist",
            reader=_read_mnist,
            shape=(1, 28, 28),
            parts=(50_000, 10_000, 10_000),
            local="fashion-mnist.npz",
            files=_files(
                IDX,
                ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
                ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
                ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
                ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
            ),
            places=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            classes=CLOTHES,
        ),
        Dataset(
            name="cifar10",
            source="Krizhevsky 2009, Learning multiple layers of features from tiny images; "
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            reader=_read_cifar,
            shape=(3, 32, 32),
            parts=(45_000, 5_000, 10_000),
            local="cifar10.npz",
            files=(
                RemoteFile(
                    "cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    170_052_171,
                ),
            ),
            places=("https://www.cs.toronto.edu/~kriz/",),
            classes=CIFAR,
        ),
        Dataset(
            name="cifar10-4k",
            source="the first 4000 pictures of CIFAR-10's first batch, for trials; no published number is on them",
            reader=None,
            shape=(3, 32, 32),
            parts=(3_000, 500, 500),
            local="cifar10_lossless4k.npz",
            classes=CIFAR,
        ),
        Dataset(
            name="digits",
            source="Alpaydin and Kaynak 1998, Optical recognition of handwritten digits (UCI), as in scikit-learn",
            reader=_read_digits,
            shape=(1, 8, 8),
            parts=(1_200, 300, 297),
            levels=17,
            classes=DIGITS,
        ),
    )
}
"""Datasets by name."""
