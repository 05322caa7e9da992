// Shards and their index; test names start with the row of the threat table (docs/threat-model.md).
#include "formats/shards.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "formats/checkpoint.h"
#include "support/errors.h"
#include "support/hf_folder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::HfFolder;
using test::tiny_hf;

// A tiny Llama in two shards, and ways to break its index.
class Shards : public testing::Test {
 protected:
  Shards() {
    HfFolder f = tiny_hf("llama");
    folder_.write("config.json", f.config.dump());
    std::vector<SafetensorsEntry> parts[2];
    std::uint64_t total = 0;
    for (size_t i = 0; i < f.tensors.size(); ++i) {
      index_["weight_map"][f.tensors[i].name] = name(i % 2);
      total += f.tensors[i].bytes.size();
      parts[i % 2].push_back(f.tensors[i]);
    }
    index_["metadata"]["total_size"] = total;
    for (size_t i = 0; i < 2; ++i) folder_.write(name(i), safetensors_to_bytes(parts[i], {}));
  }
  static std::string name(size_t i) { return "model-0000" + std::to_string(i + 1) + "-of-00002.safetensors"; }

  std::string code() {
    folder_.write("model.safetensors.index.json", index_.dump());
    return test::code_of([&] { (void)Checkpoint::open(folder_.path()); });
  }
  std::string with_file(const Json& file) {
    index_["weight_map"]["model.norm.weight"] = file;
    return code();
  }

  test::TemporaryFolder folder_;
  Json index_;
};

TEST_F(Shards, AreReadAsOneModel) {
  ASSERT_EQ(code(), "no error");
  const auto sharded = Checkpoint::open(folder_.path());
  const test::TemporaryFolder whole_folder;
  tiny_hf("llama").write(whole_folder);
  const auto whole = Checkpoint::open(whole_folder.path());
  EXPECT_EQ(sharded->tensors().size(), whole->tensors().size());
  EXPECT_EQ(sharded->weights_digest(), whole->weights_digest());
}

TEST_F(Shards, X1_Index) {
  for (const Json& map : {Json(nullptr), Json::object(), Json::array({1}), Json("x")}) {
    index_["weight_map"] = map;
    EXPECT_EQ(code(), "shard.index") << map.dump();
  }
}

TEST_F(Shards, X1_ValueThatIsNoString) {
  EXPECT_EQ(with_file(7), "shard.index");
}

TEST_F(Shards, X2_X3_OnlyPlainFileNames) {
  for (const char* bad : {"../model.safetensors", "a/../../x.safetensors", "/etc/x.safetensors",
                          "C:\\x.safetensors", "a\\b.safetensors", "", ".hidden.safetensors", "x.bin",
                          "a\u202E.safetensors", "a\n.safetensors", "sub/x.safetensors"}) {
    EXPECT_EQ(with_file(bad), "shard.path") << bad;
  }
  EXPECT_EQ(with_file(std::string("a\0.safetensors", 14)), "shard.path");
}

TEST_F(Shards, X4_LinksMayNotLeaveTheFolder) {
  const test::TemporaryFolder other;
  std::filesystem::rename(folder_.path(name(0)), other.path("blob"));
  std::filesystem::create_symlink(other.path("blob"), folder_.path(name(0)));
  EXPECT_EQ(code(), "shard.path");
}

TEST_F(Shards, X4_LinksOfAHubCacheAreFollowed) {
  const test::TemporaryFolder cache;
  const std::filesystem::path root = std::filesystem::path(cache.path()) / "models--a--b";
  std::filesystem::create_directories(root / "blobs");
  std::filesystem::create_directories(root / "snapshots" / "rev");
  ASSERT_EQ(code(), "no error");
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    const auto blob = root / "blobs" / ("blob-" + entry.path().filename().string());
    std::filesystem::copy_file(entry.path(), blob);
    std::filesystem::create_symlink("../../blobs/" + blob.filename().string(),
                                    root / "snapshots" / "rev" / entry.path().filename());
  }
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open((root / "snapshots" / "rev").string()); }),
            "no error");
}

TEST_F(Shards, X5_MissingShardNamesATensor) {
  std::filesystem::remove(folder_.path(name(1)));
  folder_.write("model.safetensors.index.json", index_.dump());
  const auto e = test::error_of([&] { (void)Checkpoint::open(folder_.path()); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "shard.missing");
  EXPECT_EQ(e->where, name(1));
  EXPECT_NE(e->expected.find("tensor \"model.layers.0.input_layernorm.weight\""), std::string::npos);
}

TEST_F(Shards, X6_TensorElsewhereThanTheIndexSays) {
  index_["weight_map"]["model.embed_tokens.weight"] = name(1);
  EXPECT_EQ(code(), "shard.mapping");
}

TEST_F(Shards, X6_TensorTheIndexDoesNotName) {
  index_["weight_map"].erase("model.embed_tokens.weight");
  EXPECT_EQ(code(), "shard.mapping");
}

TEST_F(Shards, X7_TensorInTwoShards) {
  folder_.write("model-00003.safetensors",
                safetensors_to_bytes({tiny_hf("llama").at("model.norm.weight"),
                                      SafetensorsEntry::f32("x", {1}, std::vector<float>{1})},
                                     {}));
  index_["weight_map"]["x"] = "model-00003.safetensors";
  EXPECT_EQ(code(), "shard.duplicate");
}

TEST_F(Shards, X7_UnlistedShardIsNotRead) {
  folder_.write("model-00009.safetensors", "not a safetensors file");
  EXPECT_EQ(code(), "no error");
}

TEST_F(Shards, X8_TotalSize) {
  index_["metadata"]["total_size"] = 1;
  EXPECT_EQ(code(), "shard.total_size");
  index_.erase("metadata");
  EXPECT_EQ(code(), "no error");
}

TEST_F(Shards, X9_IndexBesideSingleFile) {
  folder_.write("model.safetensors", "x");
  EXPECT_EQ(code(), "shard.ambiguous");
}

TEST_F(Shards, X10_TooManyShards) {
  for (int i = 0; i < 1000; ++i)
    index_["weight_map"]["t" + std::to_string(i)] = "s" + std::to_string(i) + ".safetensors";
  EXPECT_EQ(code(), "limit.shards");
}

}  // namespace
}  // namespace safetylock
