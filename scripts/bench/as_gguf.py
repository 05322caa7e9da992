#!/usr/bin/env python3
"""Copies a GGUF file with its matrices widened to one type: what a speed is compared on at equal dtype.

    as_gguf.py SOURCE TARGET BF16|F32
"""
import pathlib
import sys

import gguf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gguf_writing  # noqa: E402


def main():
    source, target, kind = sys.argv[1:4]
    wanted = gguf.GGMLQuantizationType[kind]
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        gguf_writing.copy_field(writer, name, field)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        stored = wanted if values.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, stored), raw_dtype=stored)
    gguf_writing.finish(writer)


if __name__ == "__main__":
    main()
