// The files users bring: safe/unsafe reply pairs, plain prompts and labelled ones, as JSONL, JSON or CSV;
// multiple choice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

/// One harmful request with a safe and an unsafe reply.
struct PromptPair {
  std::string prompt;
  std::string safe;
  std::string unsafe;
};

/// Reads pairs from JSONL (an object a line), a JSON array, or CSV with a header. Columns `prompt`, `safe`,
/// `unsafe`, or the published names `question`, `answer_matching_behavior`, `answer_not_matching_behavior`.
/// Throws Error io.*, data.empty, data.json (line, column), data.field (line, field, found type),
/// data.no_contrast (line; equal replies), data.utf8 (line, byte offset), limit.row.
std::vector<PromptPair> load_prompt_pairs(const std::string& path);

/// Reads prompts from JSONL or JSON (strings, or objects with `prompt`, `goal`, `question` or `instruction`),
/// CSV with such a header, or CSV of one column without a header (as the published AdvBench copy), or plain
/// text, one a line (.txt).
std::vector<std::string> load_prompts(const std::string& path);

/// SHA-256 over all pairs in order, independent of the file's format: the lock's `pairs_digest`.
std::string digest_of(const std::vector<PromptPair>& pairs);

/// A request with what a gate is to say of it.
struct GatePrompt {
  std::string prompt;
  bool harmful = false;
  std::string topic;  ///< prompts of one topic are never split between training and judging
};

/// Reads a column of prompts as load_prompts does, `harmful` (true or false, 1 or 0) and, where it is there,
/// `topic` (else each prompt is a topic of its own). Throws io.*, data.empty, data.json, data.field (line,
/// field, found), data.utf8, data.single_class, limit.row.
std::vector<GatePrompt> load_gate_prompts(const std::string& path);

/// SHA-256 over all of them in order, independent of the file's format.
std::string digest_of(const std::vector<GatePrompt>& prompts);

/// One question with its answers, of which one is right.
struct ChoiceQuestion {
  std::string prompt;
  std::vector<std::string> choices;  ///< 2 to 26
  std::size_t answer = 0;            ///< index of the right one
};

/// JSONL or JSON: `prompt` (or `question`), `choices` (texts) and `answer` (index from 0, or a letter from
/// A). Throws io.*, data.empty, data.json, data.field (line, field, found), data.utf8, limit.row.
std::vector<ChoiceQuestion> load_choices(const std::string& path);

}  // namespace safetylock
