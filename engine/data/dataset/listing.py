"""List the images below folders, and count what is left out.

A file with the ending of an image format counts as an image. Files without a known ending are
looked into, and files in the HEIF format, which phones and clouds often leave truncated, too.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from engine.data.dataset import left_out
from engine.data.dataset.left_out import Tally
from engine.data.dataset.linked_folders import LinkedFolders
from engine.data.dataset.split_names import Split, find_splits
from engine.data.decoding import HEIF_ENDINGS, image_endings, looks_like_image
from engine.data.samples import Sample
from tl_tui.protocol.config import IMAGE_RULES

NAMES_PER_YIELD = 1000
"""The number of names to list between two yields."""
FILES_PER_YIELD = 100
"""The number of files to look into between two yields."""
LOOKED_INTO = 10_000
"""The largest number of files without a known ending that are all looked into; of more, a sample of
each ending decides."""
SAMPLED = 100
"""The number of files of an ending in that sample."""
OTHER_ENDINGS = frozenset(
    f".{ending}"
    for ending in (
        "txt csv tsv json jsonl ndjson xml yaml yml toml md rst html htm log ini cfg py ipynb sh "
        "m r c cpp h js css sql db sqlite parquet feather arrow npy npz mat pkl pickle pt pth ckpt "
        "safetensors onnx h5 hdf5 tfrecord tfrecords lmdb zip tar gz tgz bz2 xz 7z rar zst pdf doc "
        "docx xls xlsx ppt pptx odt rtf mp4 mov avi mkv webm m4v 3gp mts mpg mpeg mp3 wav flac m4a "
        "svg ai eps ps url lnk exe dll so md5 sha256 aae xmp thm cr2 cr3 nef arw dng orf rw2 raf "
        "pef srw raw dcm nii svs ndpi mrxs czi lif vsi scn mrc tmp"
    ).split()
)
"""Endings of files that are no images that Pillow reads whole: they are counted, not looked into.
Camera raw files and slides hold a small preview that Pillow would take for the image."""


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link to itself
        return False


def is_dead_link(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a link to a file or folder that is not there."""
    return entry.is_symlink() and not os.path.exists(entry.path)


def class_folders(root: Path, tally: Tally, rules: int = IMAGE_RULES) -> list[str]:
    """Return the names of the folders in a folder that may be classes, in alphabetical order.

    Args:
        root: The folder.
        tally: Counts the folders that cannot be classes.
        rules: See `RunConfig.image_rules`.
    """
    names = []
    with os.scandir(root) as entries:
        for entry in entries:
            if not is_folder(entry):
                continue
            kind = left_out.folder_kind(entry.name) if rules > 1 else ""
            if not kind and entry.name.startswith((".", "__")):
                kind = left_out.UNDERSCORED
            if kind:
                tally.add(kind, entry.path)
            elif not _links_upwards(entry, root):
                names.append(entry.name)
    return sorted(names)


def _links_upwards(entry: os.DirEntry[str], root: Path) -> bool:
    """Return whether an entry links to its own folder or to one above, and so to all classes."""
    return entry.is_symlink() and root.resolve().is_relative_to(Path(entry.path).resolve())


class Lister:
    """Lists images and counts them over several folders."""

    def __init__(self, root: str, rules: int = IMAGE_RULES) -> None:
        """
        Args:
            root: The folder that the examples of what is left out are relative to.
            rules: See `RunConfig.image_rules`.
        """
        self.images = 0
        """The number of images found so far."""
        self.tally = Tally(root)
        self.subfolders: dict[str, list[str]] = {}
        """The names of the folders in a class folder, by its path, where there are several."""
        self.inner_split: tuple[str, list[Split]] | None = None
        """A folder below a class folder that holds a split, with the parts of it."""
        self._links = LinkedFolders()
        self._names_seen = 0
        self._rules = rules
        self._endings = image_endings() if rules > 1 else image_endings() - HEIF_ENDINGS
        self._doubtful: list[str] = []
        """The files of the current class that have to be looked into."""

    def list_classes(
        self, root: Path, folders: Sequence[tuple[str, int]]
    ) -> Generator[int, None, list[Sample]]:
        """List class folders in a folder.

        Args:
            root: The folder.
            folders: The names of the class folders with their labels.

        Yields:
            The number of images found so far.

        Returns:
            The samples by label, then by path.
        """
        samples: dict[int, list[Sample]] = {}
        doubtful: list[Sample] = []
        if self._rules > 1:
            self._links.add_classes((os.path.join(root, name), label) for name, label in folders)
        for name, label in folders:
            class_samples = samples.setdefault(label, [])
            for path in self.walk(os.path.join(root, name), label):
                self._names_seen += 1
                if path is not None:
                    class_samples.append(Sample(path, label))
                    self.images += 1
                if self._names_seen % NAMES_PER_YIELD == 0:
                    yield self.images
            doubtful += (Sample(path, label) for path in self._doubtful)
            self._doubtful.clear()
        for sample in (yield from self.images_among(doubtful)):
            samples[sample.label].append(sample)
        for class_samples in samples.values():
            class_samples.sort(key=itemgetter(0))
        yield self.images
        return [sample for label in sorted(samples) for sample in samples[label]]

    def walk(self, folder: str, label: int | None = None) -> Iterator[str | None]:
        """Yield the path of each image below a folder, and None for any other name.

        Symbolic links are followed, but not to a folder above or to another class. Each folder is
        listed once, so a circle of links ends.

        Args:
            folder: The folder.
            label: The class of its images, if it is a class folder.
        """
        pending, seen = [folder], set()
        while pending:
            current = pending.pop()
            try:
                status = os.stat(current)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                subfolders = []
                with os.scandir(current) as entries:
                    for entry in entries:
                        name = entry.name
                        hidden = name.startswith(".")
                        if not hidden and is_folder(entry):
                            if self._rules > 1 and left_out.is_system_folder(name):
                                self.tally.add(left_out.SYSTEM, entry.path)
                            elif (
                                self._rules > 1
                                and entry.is_symlink()
                                and (kind := self._links.wrong_kind(entry.path, label))
                            ):
                                self.tally.add(kind, entry.path, left_out.NOT_FOLLOWED)
                            else:
                                subfolders.append(entry.path)
                            yield None
                            continue
                        ending = os.path.splitext(name)[1].lower()
                        if hidden or ending not in self._endings:
                            self._leave_out(entry, hidden, ending)
                            yield None
                        elif ending in HEIF_ENDINGS:
                            self._doubtful.append(entry.path)
                            yield None
                        else:
                            yield entry.path
                if len(subfolders) > 1:
                    self._note_subfolders(folder, current, subfolders)
                # Sorted, so that of two links to a folder the same one is always followed.
                pending += sorted(subfolders, reverse=True)
            except FileNotFoundError:
                continue  # the folder was removed while it was being listed

    def _note_subfolders(self, folder: str, current: str, subfolders: list[str]) -> None:
        """Keep what the folders in a folder tell about the layout of the dataset."""
        names = [os.path.basename(path) for path in subfolders]
        if current == folder:
            self.subfolders[folder] = sorted(names)
        if self.inner_split is None:
            parts = find_splits(names)
            if len({part.role for part in parts}) > 1:
                self.inner_split = current, sorted(parts, key=lambda part: part.order)

    def take_doubtful(self) -> list[Sample]:
        """Return the files that `walk` could not judge by their names, and forget them."""
        doubtful = [Sample(path, 0) for path in self._doubtful]
        self._doubtful.clear()
        return doubtful

    def images_among(self, doubtful: list[Sample]) -> Generator[int, None, list[Sample]]:
        """Look into files, or into a sample of them if there are many.

        Args:
            doubtful: Files without a known ending, and files in the HEIF format.

        Yields:
            The number of images found so far.

        Returns:
            Those that are images; the others are counted.
        """
        groups: dict[str, list[Sample]] = defaultdict(list)
        for sample in sorted(doubtful):
            groups[os.path.splitext(sample.path)[1].lower()].append(sample)
        every = len(doubtful) <= LOOKED_INTO
        images: list[Sample] = []
        looked = 0
        for ending, group in sorted(groups.items()):
            heif = ending in HEIF_ENDINGS
            good = []
            for sample in group if every else group[:: -(-len(group) // SAMPLED)]:
                if looks_like_image(sample.path):
                    good.append(sample)
                    self.images += every
                elif every:
                    kind = ending if heif else left_out.UNKNOWN
                    reason = left_out.TRUNCATED if heif else left_out.NO_IMAGE
                    self.tally.add(kind, sample.path, reason)
                looked += 1
                if looked % FILES_PER_YIELD == 0:
                    yield self.images
            if every:
                images += good
            elif heif or len(good) == len(group[:: -(-len(group) // SAMPLED)]):
                images += group  # one that cannot be read is skipped when it is
                self.images += len(group)
            else:
                kind = ending or left_out.UNKNOWN
                self.tally.add(kind, group[0].path, left_out.TOO_MANY, len(group))
        return images

    def _leave_out(self, entry: os.DirEntry[str], hidden: bool, ending: str) -> None:
        """Count a hidden entry or a file without the ending of an image, or look into it later."""
        if hidden and is_folder(entry):
            kind = left_out.folder_kind(entry.name) or left_out.HIDDEN_FOLDERS
            self.tally.add(kind, entry.path)
            return
        if self._rules > 1 and is_dead_link(entry):
            self.tally.add(left_out.DEAD_LINKS, entry.path, left_out.MISSING)
            return
        known = hidden or ending in OTHER_ENDINGS or left_out.is_system_file(entry.name)
        if known or self._rules == 1:
            self.tally.add_file(entry.name, entry.path)
        else:
            self._doubtful.append(entry.path)
