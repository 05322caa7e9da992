#include "report/read_results.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "report/report_data.h"
#include "sample.h"
#include "support/errors.h"

namespace safetylock::report {
namespace {

using safetylock::test::code_of;
using safetylock::test::error_of;
using test::read;

std::string code(const Json& json) {
  return code_of([&] { (void)read(json); });
}

TEST(ReadResults, SoundFilesAreRead) {
  for (const Json& json : {test::evaluation(), test::extraction(), test::sweep(), test::transfer()})
    EXPECT_EQ(code(json), "no error") << json["schema"];
}

// Every file of evaluate and sweep that the project has published, made by the real commands. Other studies
// in the folder are no results of a lock on a model.
TEST(ReadResults, PublishedFilesAreRead) {
  size_t n = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(SAFETYLOCK_SOURCE_DIR) + "/docs/results")) {
    const std::string name = entry.path().filename().string();
    if (name.find("-score-") == std::string::npos && name.find("-choose-") == std::string::npos) continue;
    EXPECT_EQ(code_of([&] { (void)read_result_file(entry.path().string()); }), "no error") << entry.path();
    ++n;
  }
  EXPECT_GE(n, 4U);
}

// One run a file, its sets and its lock at the top.
TEST(ReadResults, EvaluateVersion1) {
  Json json = {{"schema", "safetylock.evaluate/1"},
               {"model", "m"},
               {"adapter", "a"},
               {"lock", "base.lock.safetensors"},
               {"lock_digest", "d1"},
               {"alpha", 10.0},
               {"apply_seconds", 0.001},
               {"max_new_tokens", 48},
               {"harmful", test::prompt_set(14, 86, 0)},
               {"benign", nullptr}};
  const auto locked = std::get<Evaluation>(read(json));
  ASSERT_TRUE(locked.locked);
  EXPECT_FALSE(locked.unlocked);
  EXPECT_EQ(locked.locked->sets[Kind::harmful]->answered.count, 14);
  EXPECT_FALSE(locked.locked->sets[Kind::benign]);
  EXPECT_EQ(locked.lock->alpha, 10.0);
  json["lock"] = json["lock_digest"] = nullptr;
  json["alpha"] = 0.0;
  EXPECT_TRUE(std::get<Evaluation>(read(json)).unlocked);
}

TEST(ReadResults, ExtractVersion1ScoresTheLocksHeadsAlone) {
  Json json = test::extraction();
  json["schema"] = "safetylock.extract/1";
  for (const char* key : {"layers", "heads_per_layer", "ranking"}) json.erase(key);
  const auto extraction = std::get<Extraction>(read(json));
  EXPECT_EQ(extraction.layers, 0);
  EXPECT_EQ(extraction.ranking.size(), 2U);
}

TEST(ReadResults, AnotherSchemaIsRefusedWithThoseThatAreAccepted) {
  for (const char* schema : {"safetylock.generate/1", "safetylock.evaluate/3", "", "SAFETYLOCK.EVALUATE/2"}) {
    const auto e = error_of([&] { (void)read({{"schema", schema}}); });
    ASSERT_TRUE(e) << schema;
    EXPECT_EQ(e->code, "data.schema");
    for (const char* accepted : {"extract/1", "evaluate/1", "transfer/1", "sweep/1"})
      EXPECT_NE(e->expected.find(std::string("safetylock.") + accepted), std::string::npos);
  }
  EXPECT_EQ(code(Json::array()), "data.schema");
  EXPECT_EQ(code(Json::object()), "data.schema");
  EXPECT_EQ(code({{"schema", 2}}), "cfg.type");
  EXPECT_EQ(code_of([] { (void)parse_result("<!doctype html>", "f", "f"); }), "json.syntax");
}

// Changes one value of a sound file, at a JSON pointer.
std::string changed(Json json, const std::string& pointer, const Json& value) {
  json[Json::json_pointer(pointer)] = value;
  return code(json);
}

TEST(ReadResults, CountsThatCannotBe) {
  const std::string set = "/runs/locked/sets/harmful/";
  const Json good = test::evaluation();
  EXPECT_EQ(changed(good, set + "answered/count", 11), "data.contradiction");  // value is 0.1
  EXPECT_EQ(changed(good, set + "answered/count", 101), "data.contradiction");
  EXPECT_EQ(changed(good, set + "answered/count", -1), "cfg.range");
  EXPECT_EQ(changed(good, set + "answered/value", 0.5), "data.contradiction");
  EXPECT_EQ(changed(good, set + "answered/value", 1.5), "data.contradiction");
  EXPECT_EQ(changed(good, set + "answered/low", 0.2), "data.contradiction");
  EXPECT_EQ(changed(good, set + "answered/high", 0.05), "data.contradiction");
  EXPECT_EQ(changed(good, set + "answered", test::rate(11, 100)), "data.contradiction");  // 11 + 90 + 0
  EXPECT_EQ(changed(good, set + "refused", test::rate(9, 10)), "data.contradiction");
  Json none = test::rate(0, 0);
  EXPECT_EQ(changed(good, set + "early_end", none), "no error");
  none["count"] = 5;
  EXPECT_EQ(changed(good, set + "early_end", none), "data.contradiction");
  EXPECT_EQ(changed(good, set + "results/0/outcome", "refused"), "data.contradiction");
  EXPECT_EQ(changed(good, set + "results/0/outcome", "helped"), "cfg.range");
  EXPECT_EQ(changed(good, set + "results/0/refusal_margin", 9.0), "data.contradiction");
  EXPECT_EQ(changed(good, set + "refusal_margin/low", 2.0), "data.contradiction");
  // Margins alone, and a server that tells none: what is missing is no contradiction.
  Json margins = good;
  Json& first = margins["runs"]["locked"]["sets"]["harmful"];
  for (const char* key : {"answered", "refused", "degenerate"}) first[key] = test::rate(0, 0);
  for (Json& result : first["results"]) result["outcome"] = nullptr;
  EXPECT_EQ(code(margins), "no error");
  for (Json& result : first["results"]) result["refusal_margin"] = nullptr;
  EXPECT_EQ(code(margins), "data.contradiction");
  first["refusal_margin"] = {{"n", 0}, {"value", 0.0}, {"low", 0.0}, {"high", 0.0}};
  EXPECT_EQ(code(margins), "no error");
  Json shorter = good;
  shorter["runs"]["locked"]["sets"]["harmful"]["results"].erase(0);
  EXPECT_EQ(code(shorter), "data.contradiction");
  EXPECT_EQ(changed(good, "/runs/locked/seconds", -1.0), "data.contradiction");
  EXPECT_EQ(changed(good, "/lock", nullptr), "data.contradiction");
  EXPECT_EQ(changed(good, "/runs", Json::object()), "data.contradiction");
}

TEST(ReadResults, C1_C4_NumbersThatAreNone) {
  const Json good = test::evaluation();
  const std::string set = "/runs/locked/sets/harmful/";
  for (const Json& bad : {Json(nullptr), Json("1"), Json(true), Json::array({1})}) {
    EXPECT_EQ(changed(good, set + "answered/value", bad), "cfg.type") << bad;
    EXPECT_EQ(changed(good, set + "results/0/refusal_margin", bad),
              bad.is_null() ? "data.contradiction" : "cfg.type");
    EXPECT_EQ(changed(test::extraction(), "/ranking/0/accuracy", bad), "cfg.type") << bad;
    EXPECT_EQ(changed(test::transfer(), "/densities/0/base/safe/1", bad), "cfg.type") << bad;
  }
  EXPECT_EQ(code_of([] { (void)parse_result(R"({"schema": "safetylock.sweep/2", "x": NaN})", "f", "f"); }),
            "json.syntax");
  EXPECT_EQ(code_of([] { (void)parse_result(R"({"schema": "safetylock.sweep/2", "x": 1e999})", "f", "f"); }),
            "json.syntax");
  const auto e = error_of([&] {
    Json json = good;
    json[Json::json_pointer(set + "results/0/refusal_margin")] = "1";
    (void)read(json);
  });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->where, set + "results/0/refusal_margin");
}

TEST(ReadResults, HeadsThatCannotBe) {
  const Json good = test::extraction();
  EXPECT_EQ(changed(good, "/ranking/0/layer", 3), "cfg.range");
  EXPECT_EQ(changed(good, "/ranking/0/head", 0), "data.contradiction");  // 2.0 twice
  EXPECT_EQ(changed(good, "/layers", 4), "data.contradiction");
  EXPECT_EQ(changed(good, "/layers", 1 << 20), "cfg.range");
  EXPECT_EQ(changed(good, "/heads", Json::array()), "data.contradiction");
  EXPECT_EQ(changed(good, "/ranking/0/accuracy", 1.01), "data.contradiction");
  EXPECT_EQ(changed(good, "/ranking/0/ci_low", 2), "data.contradiction");
  EXPECT_EQ(changed(test::transfer(), "/heads/0/cosine", 1.5), "data.contradiction");
  EXPECT_EQ(changed(test::transfer(), "/heads/0/layer", 2), "data.contradiction");
}

TEST(ReadResults, DensitiesAndVerdictsThatCannotBe) {
  const Json good = test::transfer();
  EXPECT_EQ(changed(good, "/densities/0/base/safe", {0.1, 0.2}), "data.contradiction");
  EXPECT_EQ(changed(good, "/densities/0/base/safe/0", -0.1), "data.contradiction");
  EXPECT_EQ(changed(good, "/densities/0/to", -1.0), "data.contradiction");
  EXPECT_EQ(changed(good, "/densities/0/locked", nullptr), "no error");
  EXPECT_EQ(changed(good, "/verdict", "fine"), "cfg.range");
  EXPECT_EQ(changed(good, "/reasons", "none"), "cfg.type");
}

TEST(ReadResults, SweepsThatCannotBe) {
  const Json good = test::sweep();
  EXPECT_EQ(changed(good, "/chosen", 2), "cfg.range");
  EXPECT_EQ(changed(good, "/chosen", 0), "data.contradiction");  // does not meet the limits
  EXPECT_EQ(changed(good, "/chosen", nullptr), "no error");
  EXPECT_EQ(changed(good, "/limits/max_answered", 20), "data.contradiction");
  EXPECT_EQ(changed(good, "/cells/0/alpha", -4), "data.contradiction");
  // Without replies to compare with, the three shares must still add up.
  Json counts_alone = good;
  counts_alone["cells"][0]["harmful"].erase("results");
  EXPECT_EQ(code(counts_alone), "no error");
  EXPECT_EQ(changed(counts_alone, "/cells/0/harmful/answered", test::rate(6, 10)), "data.contradiction");
}

ReportData arranged(std::vector<Json> files) {
  std::vector<ResultFile> read_files;
  for (size_t i = 0; i < files.size(); ++i) read_files.push_back(read(files[i], std::to_string(i) + ".json"));
  return arrange(std::move(read_files));
}

Json without_lock(const char* model) {
  Json json = test::evaluation();
  json["model"] = model;
  json["lock"] = nullptr;
  json["runs"].erase("locked");
  return json;
}

TEST(Arrange, EachEvaluationFindsItsPlace) {
  const ReportData both = arranged({without_lock("models/base"), test::evaluation()});
  ASSERT_EQ(columns(both).size(), 3U);
  EXPECT_STREQ(columns(both)[0].name, "base");
  EXPECT_EQ(both.base->model, "models/base");
  Json locked_only = test::evaluation();
  locked_only["runs"].erase("unlocked");
  const ReportData three = arranged({locked_only, without_lock("models/tuned"), without_lock("models/base")});
  EXPECT_EQ(three.unlocked->source.file, "1.json");
  EXPECT_EQ(three.base->source.file, "2.json");
  EXPECT_EQ(columns(three).size(), 3U);
}

TEST(Arrange, TwoFilesForOnePlace) {
  const auto arrange_code = [](std::vector<Json> files) { return code_of([&] { (void)arranged(files); }); };
  EXPECT_EQ(arrange_code({test::sweep(), test::sweep()}), "data.conflict");
  EXPECT_EQ(arrange_code({test::evaluation(), test::evaluation()}), "data.conflict");
  EXPECT_EQ(arrange_code({test::evaluation(), without_lock("models/tuned")}), "data.conflict");
  EXPECT_EQ(arrange_code({test::evaluation(), without_lock("a"), without_lock("b")}), "data.conflict");
}

TEST(Arrange, FilesThatDoNotBelongTogetherAreSaid) {
  EXPECT_TRUE(arranged({test::evaluation(), test::extraction(), test::transfer()}).warnings.empty());
  Json other = test::extraction();
  other["lock_digest"] = "another";
  EXPECT_EQ(arranged({test::evaluation(), other}).warnings.size(), 1U);
  Json base = without_lock("models/base");
  base["runs"]["unlocked"]["sets"]["benign"]["results"][0]["prompt"] = "something else";
  EXPECT_EQ(arranged({test::evaluation(), base}).warnings.size(), 1U);
}

}  // namespace
}  // namespace safetylock::report
