#include "report/fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/number_text.h"
#include "safetylock/error.h"

namespace safetylock::report {
namespace {

constexpr std::int64_t kMostCounted = std::int64_t{1} << 53;
constexpr double kRounding = 1e-9;
// More than any command writes; a hostile file cannot blow the page up.
constexpr size_t kMostFields = 120;
constexpr size_t kMostFieldDepth = 3;

JsonObject element(const JsonObject& object, const std::string& key, size_t i) {
  return {object.at(key)[i], object.file(), object.pointer_to(key) + "/" + std::to_string(i)};
}

const Json& array(const JsonObject& object, const std::string& key) {
  const Json& value = object.at(key);
  if (!value.is_array())
    throw Error({"cfg.type", object.file(), object.pointer_to(key), "an array", describe_json(value), ""});
  return value;
}

bool inside(double value, double low, double high) {
  const double slack = kRounding * (1 + std::abs(value));
  return low <= value + slack && value <= high + slack;
}

std::string scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) return shortest(value.get<double>());
  return value.dump();
}

// Calls `found` with every value that is no container and not null, by dotted names.
void walk(const Json& value, const std::string& name, size_t depth,
          const std::function<void(const std::string&, const Json&)>& found) {
  if (value.is_object() && depth > 0) {
    for (const auto& [key, below] : value.items())
      walk(below, name.empty() ? key : name + "." + key, depth - 1, found);
  } else if (!value.is_structured() && !value.is_null()) {
    found(name, value);
  }
}

}  // namespace

void contradict(const JsonObject& object, const std::string& where, const std::string& rule,
                const std::string& found) {
  throw Error({"data.contradiction", object.file(), object.pointer_to(where), rule, found,
               "The file was changed by hand or is damaged; make it anew"});
}

void for_each(const JsonObject& object, const std::string& key,
              const std::function<void(const JsonObject&)>& read) {
  const size_t n = array(object, key).size();
  for (size_t i = 0; i < n; ++i) read(element(object, key, i));
}

std::vector<std::string> read_texts(const JsonObject& object, const std::string& key) {
  std::vector<std::string> texts;
  for (const Json& value : array(object, key)) {
    if (!value.is_string())
      throw Error({"cfg.type", object.file(), object.pointer_to(key), "texts", describe_json(value), ""});
    texts.push_back(value.get<std::string>());
  }
  return texts;
}

std::vector<double> read_numbers(const JsonObject& object, const std::string& key) {
  std::vector<double> numbers;
  for (const Json& value : array(object, key)) {
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      throw Error(
          {"cfg.type", object.file(), object.pointer_to(key), "finite numbers", describe_json(value), ""});
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

std::optional<std::string> optional_text(const JsonObject& object, const std::string& key) {
  return object.has(key) ? std::optional(object.string(key)) : std::nullopt;
}

std::optional<double> optional_number(const JsonObject& object, const std::string& key) {
  return object.has(key) ? std::optional(object.number(key)) : std::nullopt;
}

std::optional<std::int64_t> optional_count(const JsonObject& object, const std::string& key) {
  return object.has(key) ? std::optional(object.integer(key, 0, kMostCounted)) : std::nullopt;
}

std::optional<double> optional_seconds(const JsonObject& object, const std::string& key) {
  const auto seconds = optional_number(object, key);
  if (seconds && *seconds < 0) contradict(object, key, "0 or more seconds", shortest(*seconds));
  return seconds;
}

double read_share(const JsonObject& object, const std::string& key) {
  const double share = object.number(key);
  if (share < 0 || share > 1) contradict(object, key, "a share from 0 to 1", shortest(share));
  return share;
}

bool read_flag(const JsonObject& object, const std::string& key) {
  if (!object.at(key).is_boolean())
    throw Error({"cfg.type", object.file(), object.pointer_to(key), "true or false",
                 describe_json(object.at(key)), ""});
  return object.boolean_or(key, false);
}

Rate read_rate(const JsonObject& parent, const std::string& key) {
  const JsonObject object = parent.object(key);
  Rate rate;
  rate.n = object.integer("n", 0, kMostCounted);
  rate.count = object.integer("count", 0, kMostCounted);
  rate.value = read_share(object, "value");
  rate.low = read_share(object, "low");
  rate.high = read_share(object, "high");
  if (rate.count > rate.n)
    contradict(object, "count", "at most n = " + std::to_string(rate.n), std::to_string(rate.count));
  const double share = rate.n == 0 ? 0.0 : static_cast<double>(rate.count) / static_cast<double>(rate.n);
  if (std::abs(share - rate.value) > kRounding)
    contradict(object, "value", "count / n = " + shortest(share), shortest(rate.value));
  if (!inside(rate.value, rate.low, rate.high))
    contradict(object, "value", "a value inside [low, high]", shortest(rate.value));
  return rate;
}

std::optional<Rate> optional_rate(const JsonObject& object, const std::string& key) {
  if (!object.has(key)) return std::nullopt;
  const Rate rate = read_rate(object, key);
  return rate.n == 0 ? std::nullopt : std::optional(rate);
}

Mean read_mean(const JsonObject& parent, const std::string& key) {
  const JsonObject object = parent.object(key);
  const Mean mean{.n = object.integer("n", 0, kMostCounted),
                  .value = object.number("value"),
                  .low = object.number("low"),
                  .high = object.number("high")};
  if (mean.low > mean.high)
    contradict(object, "low", "low <= high = " + shortest(mean.high), shortest(mean.low));
  return mean;
}

std::optional<Mean> optional_mean(const JsonObject& object, const std::string& key) {
  if (!object.has(key)) return std::nullopt;
  const Mean mean = read_mean(object, key);
  return mean.n == 0 ? std::nullopt : std::optional(mean);
}

HeadPlace read_place(const JsonObject& object, std::int64_t layers, std::int64_t heads_per_layer) {
  return {object.integer("layer", 0, layers - 1), object.integer("head", 0, heads_per_layer - 1)};
}

LockName read_lock(const JsonObject& object) {
  return {.path = object.string("path"),
          .digest = object.string("digest"),
          .alpha = optional_number(object, "alpha"),
          .heads = optional_count(object, "heads")};
}

std::vector<NamedNumber> numbers_below(const JsonObject& object, const std::string& key) {
  std::vector<NamedNumber> numbers;
  if (!object.has(key)) return numbers;
  walk(object.object(key).value(), "", kMostFieldDepth, [&](const std::string& name, const Json& value) {
    if (value.is_number() && numbers.size() < kMostFields) numbers.push_back({name, value.get<double>()});
  });
  return numbers;
}

std::vector<std::pair<std::string, std::string>> plain_fields(const Json& root,
                                                              const std::vector<std::string_view>& skip) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& [key, value] : root.items()) {
    if (std::find(skip.begin(), skip.end(), key) != skip.end()) continue;
    walk(value, key, kMostFieldDepth, [&](const std::string& name, const Json& scalar) {
      if (fields.size() < kMostFields) fields.emplace_back(name, scalar_text(scalar));
    });
  }
  return fields;
}

}  // namespace safetylock::report
