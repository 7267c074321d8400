"""Fetch a file once, check what came, and never leave half of it."""

import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from gptlib._files import atomic_path


def download(url: str, path: Path, sha256: str, timeout: float = 30) -> Path:
    """Fetch `url` into `path`, unless a file is there already.

    `sha256` is the checksum that the bytes must have; `timeout` is how many seconds the server may be silent.
    No answer is a `FileNotFoundError`, other bytes than the right ones are a `ValueError`, and neither leaves a file.
    """
    if path.exists():
        return path
    by_hand = f"put the file at {path} by hand, or choose another text"
    try:
        with urlopen(url, timeout=timeout) as response:
            content = response.read()
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise FileNotFoundError(f"{url} could not be downloaded ({reason}): {by_hand}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"what came from {url} has the SHA-256 {found}, expected was {sha256}: {by_hand}")
    try:
        with atomic_path(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise FileNotFoundError(f"{path} cannot be written ({error.strerror}): {by_hand}") from error
    return path
