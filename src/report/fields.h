// The parts that result files are made of, read strictly: numbers that cannot be true together are refused.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "report/results.h"

namespace safetylock::report {

/// Throws Error data.contradiction.
[[noreturn]] void contradict(const JsonObject& object, const std::string& where, const std::string& rule,
                             const std::string& found);

/// Calls `read` with each element, an object, of the array `key`. Throws cfg.missing, cfg.type.
void for_each(const JsonObject& object, const std::string& key,
              const std::function<void(const JsonObject&)>& read);

/// The array `key` as texts.
std::vector<std::string> read_texts(const JsonObject& object, const std::string& key);
/// The array `key` as finite numbers.
std::vector<double> read_numbers(const JsonObject& object, const std::string& key);

std::optional<std::string> optional_text(const JsonObject& object, const std::string& key);
std::optional<double> optional_number(const JsonObject& object, const std::string& key);
std::optional<std::int64_t> optional_count(const JsonObject& object, const std::string& key);

/// Not below 0.
std::optional<double> optional_seconds(const JsonObject& object, const std::string& key);
double read_share(const JsonObject& object, const std::string& key);  ///< in [0, 1]
bool read_flag(const JsonObject& object, const std::string& key);

/// 0 <= count <= n, value = count / n inside [low, high], all in [0, 1].
Rate read_rate(const JsonObject& object, const std::string& key);
/// Nothing where nothing was counted. The same below.
std::optional<Rate> optional_rate(const JsonObject& object, const std::string& key);
/// value inside [low, high].
Mean read_mean(const JsonObject& object, const std::string& key);
std::optional<Mean> optional_mean(const JsonObject& object, const std::string& key);

/// "layer" in [0, layers) and "head" in [0, heads_per_layer).
HeadPlace read_place(const JsonObject& object, std::int64_t layers, std::int64_t heads_per_layer);

/// {path, digest, alpha, heads}.
LockName read_lock(const JsonObject& object);

/// All numbers below `key`, by dotted names.
std::vector<NamedNumber> numbers_below(const JsonObject& object, const std::string& key);

/// What a file says of its making: its texts, numbers and flags by dotted names, without what lies below
/// `skip`.
std::vector<std::pair<std::string, std::string>> plain_fields(const Json& root,
                                                              const std::vector<std::string_view>& skip);

}  // namespace safetylock::report
