"""What the scripts that write GGUF files share."""
import gguf


def copy_field(writer, name, field):
    """A metadata entry as a GGUFReader has it."""
    inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
    writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)


def finish(writer):
    """Writes all that was added."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
