// Links and hub caches; test names start with the row of the threat table (docs/threat-model.md).
#include "formats/model_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "formats/checkpoint.h"
#include "formats/lora.h"
#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/hf_folder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

namespace fs = std::filesystem;

using test::code_of;
using test::error_of;

// models--org--name with snapshots of links, as huggingface_hub lays it out.
class HubCache : public testing::Test {
 protected:
  HubCache() {
    const test::HfFolder model = test::tiny_hf("llama");
    add("abc123", "config.json", model.config.dump());
    add("abc123", "model.safetensors", safetensors_to_bytes(model.tensors, {{"format", "pt"}}));
    ref("abc123");
  }
  void add(const std::string& revision, const std::string& name, const std::string& bytes) {
    const std::string blob = "blob" + std::to_string(blobs_++);
    cache_.write("models--org--name/blobs/" + blob, bytes);
    const fs::path link = repository() + "/snapshots/" + revision + "/" + name;
    fs::create_directories(link.parent_path());
    const std::string up = name.find('/') == std::string::npos ? "../../" : "../../../";
    fs::create_symlink(up + "blobs/" + blob, link);
  }
  void ref(const std::string& revision) { cache_.write("models--org--name/refs/main", revision); }
  std::string repository() const { return cache_.path("models--org--name"); }
  std::string snapshot() const { return repository() + "/snapshots/abc123"; }

  test::TemporaryFolder cache_;
  int blobs_ = 0;
};

TEST_F(HubCache, X4_SnapshotOfLinksIsAModel) {
  EXPECT_EQ(code_of([&] { (void)Checkpoint::open(snapshot()); }), "no error");
  EXPECT_EQ(model_name(snapshot()), "org/name");
  EXPECT_EQ(model_name(snapshot() + "/"), "org/name");
  EXPECT_EQ(model_name("/models/plain"), "plain");
  EXPECT_EQ(model_name("/models/plain/"), "plain");
}

TEST_F(HubCache, RepositoryFolderStandsForTheSnapshotOfMain) {
  add("other", "config.json", "{}");
  EXPECT_EQ(resolve_model_path(repository()), snapshot());
  const auto model = Checkpoint::open(repository());
  EXPECT_EQ(model->path(), snapshot());
  EXPECT_EQ(model->weights_digest(), Checkpoint::open(snapshot())->weights_digest());
  EXPECT_EQ(resolve_model_path(snapshot()), snapshot());
  ref("abc123\n");
  EXPECT_EQ(resolve_model_path(repository()), snapshot());
}

TEST_F(HubCache, WithoutMainOnlyASingleSnapshotIsTaken) {
  fs::remove_all(repository() + "/refs");
  EXPECT_EQ(resolve_model_path(repository()), snapshot());
  add("other", "config.json", "{}");
  const auto e = error_of([&] { (void)Checkpoint::open(repository()); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "hub.revision");
  EXPECT_EQ(e->found, "no refs/main and 2 snapshots");
  EXPECT_EQ(e->hint,
            "Give the folder of a snapshot: " + snapshot() + ", " + repository() + "/snapshots/other");
}

TEST_F(HubCache, X2_RevisionIsAPlainNameOfASnapshot) {
  for (const char* bad : {"../../elsewhere", "/etc", "..", ".hidden", "a b", "\n", "gone", "a\nb"}) {
    ref(bad);
    EXPECT_EQ(code_of([&] { (void)Checkpoint::open(repository()); }), "hub.revision") << bad;
  }
  ref(std::string(1000, 'a'));
  EXPECT_EQ(code_of([&] { (void)Checkpoint::open(repository()); }), "limit.file_size");
}

TEST_F(HubCache, X4_LinksIntoAnotherRepositoryAreNotFollowed) {
  cache_.write("models--org--private/blobs/secret", "secret");
  fs::create_symlink("../../../models--org--private/blobs/secret", snapshot() + "/tokenizer.json");
  const auto e = error_of([&] { (void)Tokenizer::from_pretrained(snapshot()); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.link");
  EXPECT_EQ(e->where, "tokenizer.json");
  EXPECT_NE(e->found.find("models--org--private/blobs/secret"), std::string::npos);
}

TEST_F(HubCache, F1_HalfFetchedSnapshotIsNotPassedOver) {
  fs::create_symlink("../../blobs/not-yet-there", snapshot() + "/generation_config.json");
  const auto e = error_of([&] { (void)Checkpoint::open(snapshot()); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.open");
  EXPECT_EQ(e->file, snapshot() + "/generation_config.json");
}

TEST(ModelFolder, X4_EveryFileOfAFolderObeysTheRule) {
  const test::TemporaryFolder folder, outside;
  const test::HfFolder model = test::tiny_hf("llama");
  for (const char* name : {"config.json", "generation_config.json", "model.safetensors"}) {
    model.write(folder);
    folder.write("generation_config.json", "{}");
    ASSERT_EQ(code_of([&] { (void)Checkpoint::open(folder.path()); }), "no error");
    fs::rename(folder.path(name), outside.path(name));
    fs::create_symlink(outside.path(name), folder.path(name));
    EXPECT_EQ(code_of([&] { (void)Checkpoint::open(folder.path()); }), "io.link") << name;
    fs::remove(folder.path(name));
  }
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    const test::TemporaryFolder adapter;
    adapter.write("adapter_config.json", R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1})");
    outside.write(name, "x");
    fs::remove(adapter.path(name));
    fs::create_symlink(outside.path(name), adapter.path(name));
    EXPECT_EQ(code_of([&] { (void)load_lora(adapter.path()); }), "io.link") << name;
  }
}

// Each a hole of a terabyte.
TEST(ModelFolder, F8_EveryFileOfAFolderHasALimit) {
  const test::TemporaryFolder folder, adapter;
  test::tiny_hf("llama").write(folder);
  fs::remove(folder.path("model.safetensors"));
  const auto code_with = [](const test::TemporaryFolder& f, const char* name, auto read) {
    const std::string path = f.write(name, "{");
    fs::resize_file(path, std::uint64_t{1} << 40);
    return code_of([&] { (void)read(f.path()); });
  };
  EXPECT_EQ(code_with(folder, "model.safetensors.index.json", &Checkpoint::open), "limit.file_size");
  EXPECT_EQ(code_with(folder, "generation_config.json", &Checkpoint::open), "limit.file_size");
  EXPECT_EQ(code_with(folder, "config.json", &Checkpoint::open), "limit.file_size");
  EXPECT_EQ(code_with(adapter, "adapter_config.json", &load_lora), "limit.file_size");
}

TEST(ModelFolder, X4_FolderInsideThatIsALink) {
  const test::TemporaryFolder folder, outside;
  outside.write("x.jinja", "secret");
  fs::create_directory_symlink(outside.path(), folder.path("inner"));
  EXPECT_EQ(code_of([&] { (void)read_model_file(folder.path(), "inner/x.jinja", 10); }), "io.link");
  folder.write("real/x.jinja", "text");
  EXPECT_EQ(read_model_file(folder.path(), "real/x.jinja", 10), "text");
}

TEST(ModelFolder, F3_FolderThatTheUserNamesMayBeALink) {
  const test::TemporaryFolder folder, links;
  test::tiny_hf("llama").write(folder);
  fs::create_directory_symlink(folder.path(), links.path("model"));
  EXPECT_EQ(code_of([&] { (void)Checkpoint::open(links.path("model")); }), "no error");
}

TEST(ModelFolder, FolderOfGgufFilesIsNamed) {
  const test::TemporaryFolder folder;
  folder.write("b.gguf", "x");
  folder.write("a.gguf", "x");
  const auto e = error_of([&] { (void)Checkpoint::open(folder.path()); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.wrong_format");
  EXPECT_EQ(e->hint, "Give one of the files: " + folder.path("a.gguf"));
}

}  // namespace
}  // namespace safetylock
