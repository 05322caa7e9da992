// Shards and their index; test names start with the row of the threat table (docs/threat-model.md).
#include "formats/shards.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <thread>

#include "formats/checkpoint.h"
#include "safetylock/log.h"
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
  index_.erase("weight_map");
  EXPECT_EQ(code(), "shard.index");
  index_ = Json::array();
  EXPECT_EQ(code(), "shard.index");
  folder_.write("model.safetensors.index.json", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder_.path()); }), "io.wrong_format");  // F12
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
  index_["weight_map"]["model.norm.weight"] = "a\u202E.safetensors";
  folder_.write("model.safetensors.index.json", index_.dump());
  const auto e = test::error_of([&] { (void)Checkpoint::open(folder_.path()); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->where, "/weight_map/model.norm.weight");
  EXPECT_EQ(e->found, "\"a\\u{202E}.safetensors\"");
}

TEST_F(Shards, X4_LinksMayNotLeaveTheFolder) {
  const test::TemporaryFolder other;
  std::filesystem::rename(folder_.path(name(0)), other.path("blob"));
  std::filesystem::create_symlink(other.path("blob"), folder_.path(name(0)));
  EXPECT_EQ(code(), "io.link");
  std::filesystem::remove(folder_.path(name(0)));
  std::filesystem::rename(other.path("blob"), folder_.path("blob"));
  std::filesystem::create_symlink("blob", folder_.path(name(0)));
  EXPECT_EQ(code(), "no error");
}

TEST_F(Shards, X5_LinkToNothing) {
  std::filesystem::remove(folder_.path(name(0)));
  std::filesystem::create_symlink("nothing", folder_.path(name(0)));
  EXPECT_EQ(code(), "shard.missing");
}

TEST_F(Shards, X5_FolderInPlaceOfAShard) {
  std::filesystem::remove(folder_.path(name(0)));
  std::filesystem::create_directory(folder_.path(name(0)));
  EXPECT_EQ(code(), "shard.missing");
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

TEST_F(Shards, X6_TensorThatIsNowhere) {
  index_["weight_map"]["model.more.weight"] = name(1);
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
  std::string notes;
  set_log_sink(LogLevel::info, [&](LogLevel, std::string_view line) { notes += line; });
  EXPECT_EQ(code(), "no error");
  set_log_sink(LogLevel::warning, nullptr);
  EXPECT_NE(notes.find("model-00009.safetensors is not in the index and is not read"), std::string::npos)
      << notes;
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

// A Llama of 100 shards, one tensor each.
void write_many_shards(const test::TemporaryFolder& folder) {
  HfFolder f = tiny_hf("llama", false, false, {.layers = 11});
  ASSERT_GE(f.tensors.size(), 100U);
  folder.write("config.json", f.config.dump());
  Json index;
  for (size_t i = 0; i < f.tensors.size(); ++i) {
    const std::string name = "shard-" + std::to_string(i) + ".safetensors";
    index["weight_map"][f.tensors[i].name] = name;
    folder.write(name, safetensors_to_bytes({f.tensors[i]}, {}));
  }
  folder.write("model.safetensors.index.json", index.dump());
}

// Lowers the number of descriptors that the process may have.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const struct rlimit lowered { limit, before_.rlim_max };
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  struct rlimit before_ {};
};

TEST(ManyShards, X10_AreReadWithFewDescriptors) {
  const test::TemporaryFolder folder, whole_folder;
  write_many_shards(folder);
  tiny_hf("llama", false, false, {.layers = 11}).write(whole_folder);
  const std::string digest = Checkpoint::open(whole_folder.path())->weights_digest();

  const DescriptorLimit limit(32);
  const auto sharded = Checkpoint::open(folder.path());
  EXPECT_EQ(sharded->weights_digest(), digest);
  const auto read_all = [&] {
    for (const CheckpointTensor& t : sharded->tensors()) {
      std::vector<float> row(t.shape.size() == 1 ? 1 : t.shape[1]);
      sharded->read_rows(t, 0, 1, row);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(read_all);
  for (std::thread& thread : threads) thread.join();
}

TEST(ManyShards, X6_OneShardOfManyTensorsIsCheckedInLinearTime) {
  const test::TemporaryFolder folder;
  folder.write("config.json", tiny_hf("llama").config.dump());
  std::vector<SafetensorsEntry> entries;
  std::string text = R"({"weight_map": {)";
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = "t" + std::to_string(i);
    entries.push_back(SafetensorsEntry::f32(name, {1}, std::vector<float>{1}));
    text += (i == 0 ? "\"" : ", \"") + name + R"(": "s.safetensors")";
  }
  folder.write("s.safetensors", safetensors_to_bytes(entries, {}));
  folder.write("model.safetensors.index.json", text + "}}");
  EXPECT_EQ(open_weight_files(folder.path()).front().tensors().size(), 20'000U);
}

}  // namespace
}  // namespace safetylock
