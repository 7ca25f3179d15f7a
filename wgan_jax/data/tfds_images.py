"""Any TFDS dataset with an image feature, read into memory without TensorFlow."""

import contextlib
import io
import logging
import os
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wgan_jax.data import cache
from wgan_jax.data.fitting import View, check_view, fit, is_enlarged
from wgan_jax.data.images import MAX_GIGABYTES, Images, UnknownDataset, collect
from wgan_jax.data.reading import NAME, TooSmall, about_path, decode, of_the_machine, open_file, quiet
from wgan_jax.text import listed, printable, reason

_LONGEST = 200  # characters of a name
_CHUNK = 1024  # examples per read: one call per example costs several times as much
# NAME, NAME/CONFIG, :VERSION or /VERSION, :SPLIT. What else TFDS takes can name other people's places, and look there.
_VERSION = r'(\d+|\*)(\.(\d+|\*)){2}'
_NAME = re.compile(
    rf'(?P<name>[A-Za-z_]\w*)(?P<config>/(?!{_VERSION}(:|$))[\w+.-]*[\w+-][\w+.-]*)?([:/](?P<version>{_VERSION}))?'
    r'(:(?P<split>[A-Za-z_][\w\[\]:%+-]*))?',
    re.ASCII,
)
# What it was called with, before the reason.
_PREAMBLE = re.compile(r'^(\w+: )?Failed to construct dataset "[^"]*", builder_kwargs "[^"]*": ')


def _tfds(name: str) -> Any:
    """The library, imported late: machines that train on the flags need not have it."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UnknownDataset(
            f"dataset {name!r} would have to be one of TFDS's, and tensorflow-datasets is not installed ({error})"
        ) from error
    return tensorflow_datasets


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever TFDS and the readers of its files raise, as a ValueError that begins with ``what``."""
    try:
        with quiet('absl'):
            yield
    except Exception as error:  # damaged descriptions and records raise all kinds
        if of_the_machine(error) or isinstance(error, UnknownDataset):
            raise
        raise ValueError(f'{what}: {_PREAMBLE.sub("", reason(error))}') from error


def _check_folder(name: str, data_dir: str | os.PathLike) -> str:
    """The folder, ``~`` replaced; opening a pipe in place of a description would never end."""
    with about_path('data_dir: no such folder:', data_dir):
        place = os.path.expanduser(data_dir)
        os.listdir(place)
    with about_path('cannot read the folder', data_dir):
        described = []
        for root, folders, files in os.walk(os.path.join(place, re.split('[/:]', name)[0]), onerror=_raise):
            described += [os.path.join(root, entry) for entry in (*folders, *files) if entry.endswith('.json')]
    for path in described:
        open_file(path).close()
    return place


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Without the advice that TFDS prints when a dataset needs what is not installed."""
    aside, nothing = io.StringIO(), logging.NullHandler()
    # Without any handler, logging would make one of its own, and everything that is logged later would go aside too.
    logging.root.addHandler(nothing)
    try:
        with contextlib.redirect_stdout(aside), contextlib.redirect_stderr(aside):
            yield
    finally:
        logging.root.removeHandler(nothing)


def _builder(tfds: Any, name: str, data_dir: str | os.PathLike | None) -> Any:
    """The dataset's builder; nothing is downloaded."""
    if name.split('/')[0].split(':')[0] == 'national_flags':
        from wgan_jax.data.flags import builder as _  # noqa: F401  registers the dataset
    told = _told(f'cannot use TFDS dataset {name!r}' + (f' in {printable(data_dir, NAME)}' if data_dir else ''))
    with told, _unheard():
        try:
            return tfds.builder(name, data_dir=data_dir)
        except tfds.core.DatasetNotFoundError as error:
            raise UnknownDataset(f'unknown dataset {name!r}') from error


def _image_feature(tfds: Any, builder: Any) -> tuple[str, Any]:
    """(name, feature) of the image: the one called 'image', else the first; there must be one."""
    features = builder.info.features
    found = {}
    if isinstance(features, tfds.features.FeaturesDict):
        found = {key: value for key, value in features.items() if type(value) is tfds.features.Image}
    if not found:
        raise ValueError('it has no image feature')
    key = 'image' if 'image' in found else min(found)
    return key, found[key]


def _label_feature(tfds: Any, builder: Any) -> tuple[str, tuple[str, ...]]:
    """(name, classes) of what says of which class an example is: the one called 'label', or the only one; else ''."""
    found = {
        key: tuple(value.names)
        for key, value in builder.info.features.items()
        if type(value) is tfds.features.ClassLabel
    }
    key = 'label' if 'label' in found else next(iter(found)) if len(found) == 1 else ''
    return key, found.get(key, ())


def _prepare_flags(data_dir: str | os.PathLike | None) -> str:
    """The command that prepares this package's own dataset, which takes no TensorFlow."""
    where = f'data_dir={os.fspath(data_dir)!r}' if data_dir else ''
    code = f'from wgan_jax.data.flags.builder import NationalFlags; NationalFlags({where}).download_and_prepare()'
    return printable(shlex.join(['python', '-c', code]))


def parse_name(name: str) -> tuple[str, str]:
    """('mnist:3.0.1', 'test') of 'mnist:3.0.1:test' or 'mnist/3.0.1:test'; the split is 'train' where none is named.

    Raises:
        UnknownDataset: for what cannot be the name of one.
    """
    parts = _NAME.fullmatch(name) if isinstance(name, str) and len(name) <= _LONGEST else None
    if parts is None:
        form = 'a TFDS name is NAME or NAME/CONFIG, and may go on with :VERSION such as :3.0.1 and :SPLIT such as :test'
        raise UnknownDataset(f"unknown dataset '{printable(name, 80)}' ({form})")
    version = f':{parts["version"]}' if parts['version'] else ''
    return f'{parts["name"]}{parts["config"] or ""}{version}', parts['split'] or 'train'


def load(
    name: str,
    view: View,
    *,
    data_dir: str | os.PathLike | None = None,
    max_gigabytes: float = MAX_GIGABYTES,
    on_progress: Callable[[int, int], object] = lambda done, of: None,
) -> Images:
    """A split of a TFDS dataset at one size; with channels left open 1 where the set declares one, else 3.

    By default each image is centre-cropped to the aspect ratio and resized; so MNIST's 28x28 at 32x32 are enlarged by
    8/7 (Lanczos), not padded: digits fill the same part of the picture at every size.

    Args:
        name: TFDS name, such as 'mnist', 'mnist:3.0.1', 'mnist:test' or 'mnist:train[:50%]': NAME or NAME/CONFIG, then
            :VERSION and :SPLIT or neither. The split is 'train' where none is named.
        view: how pictures are made into images; ``max_images`` are the first of the split.
        data_dir: the folder datasets are prepared in; None: TFDS's own default.
        max_gigabytes: refuse what would take more memory than this.
        on_progress: told how many images of how many have been looked at, now and then.

    Returns:
        ``Images`` without names, in the order of the files.

    Raises:
        ValueError: TFDS missing, an unknown dataset or split, no image feature, not prepared, damaged, too large for
            memory.
        OSError, MemoryError: for failures of the machine.
    """
    view = check_view(view)
    name, split = parse_name(name)
    tfds = _tfds(name)
    if data_dir is not None:
        data_dir = _check_folder(name, data_dir)
    builder = _builder(tfds, name, data_dir)
    this = f'TFDS dataset {name!r}'
    with _told(f'cannot use {this}'):
        key, feature = _image_feature(tfds, builder)
        labelled = _label_feature(tfds, builder)
        if view.channels == 'auto':
            view = view._replace(channels='1' if feature.shape[-1] == 1 else '3')
        prepared, place = builder.is_prepared(), printable(builder.data_path, NAME)
    where = f' --data_dir={printable(data_dir, NAME)}' if data_dir else ''
    prepare = f'tfds build {name} --file_format=array_record{where}'
    # Asked first: as it stands, data_source() would try to download.
    if not prepared and builder.name == 'national_flags':
        raise ValueError(f'{this} is not prepared in {place}; run: {_prepare_flags(data_dir)}')
    if not prepared:
        raise ValueError(f'{this} is not prepared in {place}; where TensorFlow is installed, run: {prepare}')
    damaged = f'{this} in {place} cannot be read, prepare it again'
    try:
        with quiet('absl'):
            info = builder.info.splits[split]
            examples, paths = int(info.num_examples), info.filepaths
    except Exception as error:  # TFDS raises several kinds for a split that it cannot parse or has not
        if of_the_machine(error):
            raise
        known = listed(builder.info.splits)
        raise ValueError(f"{this} has no split '{printable(split, 80)}'; it has {known}") from error
    if not examples:
        raise ValueError(f"{this} has no images in its split '{printable(split, 80)}'")
    taken = min(examples, view.max_images or examples)

    def read() -> tuple[Images, bool]:
        for path in paths:
            open_file(path).close()
        with _told(damaged):
            try:
                source = builder.as_data_source(split=split, decoders={key: tfds.decode.SkipDecoding()})
            except NotImplementedError:
                source = None
        if source is None:
            raise ValueError(
                f'{this} in {place} is not in array_record form, which is the one that can be read without TensorFlow; '
                f'prepare it in another folder: {prepare}'
            )
        pixels = cache.room(taken, view.height, view.width, view.num_channels, this, max_gigabytes)
        return _collected(this, damaged, (key, *labelled), source, view, pixels, examples, on_progress), True

    described = (os.path.join(builder.data_path, file) for file in ('dataset_info.json', 'features.json'))
    files = [(os.fspath(path), cache.state_of(path)) for path in (*described, *paths)]
    return cache.through((name, split, view, files, tfds.__version__), read, what=this, max_gigabytes=max_gigabytes)


def _collected(
    this: str,
    damaged: str,
    features: tuple[str, str, tuple[str, ...]],
    source: Any,
    view: View,
    pixels: np.ndarray,
    examples: int,
    on_progress: Callable[[int, int], object],
) -> Images:
    """The first examples of a source, as many as there is room for, as a view of them is.

    ``features`` are the names of the image and of the label, '' for none, and the classes.
    """
    taken, (key, label, classes) = len(pixels), features
    sizes: list[tuple[int, int]] = []
    labels: list[int] = []
    with _told(damaged), quiet('PIL'):
        for start in range(0, taken, _CHUNK):
            places = range(start, min(start + _CHUNK, taken))
            for number, example in zip(places, source.__getitems__(places), strict=True):
                used = len(sizes)
                with contextlib.suppress(TooSmall):
                    picture, its_height, its_width = decode(example[key], f'image {number}', view, upright=False)
                    pixels[used] = fit(picture, view)
                    sizes.append((its_height, its_width))
                    labels.append(int(example[label]) if label else -1)
            on_progress(places.stop, taken)
    if not sizes:
        raise ValueError(f'no image of {this} has sides of at least min_side={view.min_side} pixels')
    counts = {
        f'with a side below {view.min_side} pixels': taken - len(sizes),
        'enlarged': sum(is_enlarged(*size, view) for size in sizes),
        'not taken': examples - taken,
    }
    notes = tuple(f'{what}: {count}' for what, count in counts.items() if count)
    known = min(labels) >= 0  # parts of some datasets have none
    return collect(pixels[: len(sizes)])._replace(
        sizes=np.array(sizes),
        notes=notes,
        labels=np.array(labels, np.int32) if known else None,
        classes=classes if known else (),
    )
