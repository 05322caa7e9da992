#include "lock/lock_fields.h"

#include <charconv>

#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string out = " [";
  for (const std::uint64_t extent : shape) out += (out.size() > 2 ? ", " : "") + std::to_string(extent);
  return out + "]";
}

}  // namespace

std::string number_text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

void LockFields::fail(const char* code, const std::string& where, const std::string& expected,
                      const std::string& found, const std::string& hint) const {
  throw Error({code, file_, where, expected, found, hint});
}

std::int64_t LockFields::integer(const std::string& key, const char* code) const {
  const std::string& s = text(key);
  std::int64_t value = 0;
  std::from_chars(s.data(), s.data() + s.size(), value);
  if (std::to_string(value) != s)
    fail(code, "metadata key \"" + key + "\"", "an integer", "\"" + escape_untrusted(s, 40) + "\"");
  return value;
}

double LockFields::number(const std::string& key, const char* code) const {
  const std::string& s = text(key);
  double value = 0;
  std::from_chars(s.data(), s.data() + s.size(), value);
  if (number_text(value) != s)
    fail(code, "metadata key \"" + key + "\"", "a number", "\"" + escape_untrusted(s, 40) + "\"");
  return value;
}

const SafetensorsTensor& LockFields::tensor(const std::string& name) const {
  const SafetensorsTensor* found = safetensors_.find(name);
  if (found == nullptr) fail("lock.tensor", "tensor \"" + name + "\"", "to be there", "no such tensor");
  return *found;
}

void LockFields::check_tensor(const std::string& name, const char* code, const char* dtype,
                              const std::vector<std::uint64_t>& shape) const {
  const SafetensorsTensor& t = tensor(name);
  if (t.dtype == dtype && t.shape == shape) return;
  fail(code, "tensor \"" + name + "\"", dtype + shape_text(shape), t.dtype + shape_text(t.shape));
}

std::vector<float> LockFields::floats(const std::string& name) const {
  std::vector<float> values(tensor(name).count());
  safetensors_.read_floats(tensor(name), 0, values);
  return values;
}

std::vector<std::int64_t> LockFields::integers(const std::string& name) const {
  return safetensors_.read_integers(tensor(name));
}

}  // namespace safetylock
