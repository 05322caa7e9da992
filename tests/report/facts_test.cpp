#include "report/facts.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "base/json.h"
#include "sample.h"

namespace safetylock::report {
namespace {

ReportData all_files() {
  std::vector<ResultFile> files;
  for (const Json& json : {test::evaluation(), test::extraction(), test::sweep(), test::transfer()})
    files.push_back(test::read(json, json["schema"].get<std::string>()));
  return arrange(std::move(files));
}

std::vector<Fact> all_facts(const ReportData& data) {
  return facts(data, summarise(data));
}

const Fact& find(const std::vector<Fact>& all, const std::string& section, const std::string& item,
                 const std::string& metric) {
  for (const Fact& fact : all)
    if (fact.section == section && fact.item == item && fact.metric == metric) return fact;
  throw std::runtime_error("no " + section + "/" + item + "/" + metric);
}

TEST(Facts, HoldTheNumbersOfTheFiles) {
  const ReportData data = all_files();
  const std::vector<Fact> all = all_facts(data);
  const Fact& answered = find(all, "effect", "locked harmful", "answered");
  EXPECT_EQ(answered.value, 0.1);
  EXPECT_EQ(answered.n, 100);
  EXPECT_NEAR(*answered.low, 0.0552, 1e-4);  // Wilson by hand
  EXPECT_NEAR(*answered.high, 0.1744, 1e-4);
  EXPECT_EQ(find(all, "answers", "unlocked harmful 91", "outcome").text, "refused");
  EXPECT_EQ(find(all, "heads", "layer 2 head 0", "accuracy").value, 0.9);
  EXPECT_EQ(find(all, "heads", "layer 2 head 1", "rank in the lock").value, 1);
  EXPECT_EQ(find(all, "transfer", "layer 1 head 1", "cosine").value, 0.8 + 3 / 50.0);
  EXPECT_EQ(find(all, "transfer", "layer 2 head 1 base grid 1", "density safe").value, 1);
  EXPECT_EQ(find(all, "transfer", "layer 2 head 1 base grid 1", "projection").value, 0);
  EXPECT_EQ(find(all, "sweep", "cell 1 harmful", "degenerate").value, 0.1);
  EXPECT_EQ(find(all, "sweep", "cell 1 lookalikes", "refused").value, 0.25);
  EXPECT_EQ(find(all, "sweep", "limits", "max_answered").value, 0.25);
  EXPECT_EQ(find(all, "costs", "Evaluate, locked", "tokens/s").value, 25);
  EXPECT_EQ(find(all, "costs", "Apply the lock", "seconds").value, 0.002);
  EXPECT_EQ(find(all, "provenance", "safetylock.evaluate/2", "settings.max_new_tokens").text, "48");
}

TEST(Facts, NoRowTwice) {
  const ReportData data = all_files();
  std::map<std::string, int> seen;
  for (const Fact& fact : all_facts(data)) {
    if (fact.metric == "note" || fact.metric == "warning") continue;
    EXPECT_EQ(++seen[fact.section + "|" + fact.item + "|" + fact.metric], 1)
        << fact.item << " " << fact.metric;
  }
}

TEST(Facts, JsonAndCsvHoldTheSameRows) {
  const ReportData data = all_files();
  const std::vector<Fact> all = all_facts(data);
  const Json json = parse_json(facts_json(all, data, summarise(data), "A title"), "facts.json");
  EXPECT_EQ(json["schema"], "safetylock.report/1");
  EXPECT_EQ(json["inputs"].size(), 4U);
  ASSERT_EQ(json["facts"].size(), all.size());
  std::istringstream csv(facts_csv(all));
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "section,item,metric,value,low,high,n");
  size_t lines = 0;
  while (std::getline(csv, line)) ++lines;
  EXPECT_EQ(lines, all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i].value) continue;
    EXPECT_EQ(json["facts"][i]["value"].get<double>(), *all[i].value);
  }
}

TEST(Facts, NoCellOfTheCsvIsAFormula) {
  std::vector<Fact> rows;
  for (const char* text :
       {"=1+1", "+x", "-x", "@x", " =x", "\tx", "\r=x", "a,b", "say \"a\"\nb", "plain", "a=b", "\xFF"}) {
    Fact fact;
    fact.section = "s";
    fact.item = text;
    fact.metric = "m";
    fact.text = text;
    rows.push_back(fact);
  }
  Fact negative;
  negative.section = "s";
  negative.item = "i";
  negative.metric = "m";
  negative.value = -2.5;
  rows.push_back(negative);
  EXPECT_EQ(facts_csv(rows),
            "section,item,metric,value,low,high,n\n"
            "s,'=1+1,m,'=1+1,,,\n"
            "s,'+x,m,'+x,,,\n"
            "s,'-x,m,'-x,,,\n"
            "s,'@x,m,'@x,,,\n"
            "s,' =x,m,' =x,,,\n"
            "s,'\tx,m,'\tx,,,\n"
            "s,\"'\r=x\",m,\"'\r=x\",,,\n"
            "s,\"a,b\",m,\"a,b\",,,\n"
            "s,\"say \"\"a\"\"\nb\",m,\"say \"\"a\"\"\nb\",,,\n"
            "s,plain,m,plain,,,\n"
            "s,a=b,m,a=b,,,\n"
            "s,\xEF\xBF\xBD,m,\xEF\xBF\xBD,,,\n"
            "s,i,m,-2.5,,,\n");
}

}  // namespace
}  // namespace safetylock::report
