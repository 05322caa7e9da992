"""Writes a lock's file from Python, for tests that need one that is wrong on purpose."""
import json
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "python"))
from safetylock_file import content_digest  # noqa: E402

TYPES = {"int64": ("I64", 8), "float32": ("F32", 4)}


def write_lock(path, metadata, tensors):
    """In the one form that readers accept: metadata sorted (the safetensors package writes them in any order), tensors by falling
    alignment, then name. The digest is made anew."""
    metadata = dict(sorted((metadata | {"content_digest": content_digest(metadata, tensors)}).items()))
    header, data = {"__metadata__": metadata}, b""
    for name in sorted(tensors, key=lambda n: (-TYPES[tensors[n].dtype.name][1], n)):
        values = tensors[name].tobytes()
        header[name] = {"dtype": TYPES[tensors[name].dtype.name][0], "shape": list(tensors[name].shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)
