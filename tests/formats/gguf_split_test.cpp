// Split models; test names start with the row of the threat table (docs/threat-model.md).
#include "formats/gguf_split.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "formats/checkpoint.h"
#include "support/errors.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::bytes_of;
using test::GgufBuilder;
using test::tiny_gguf;

// A tiny Llama in three parts.
class SplitGguf : public testing::Test {
 protected:
  SplitGguf() {
    whole_ = tiny_gguf("llama");
    parts_ = {tiny_gguf("llama"), GgufBuilder(), GgufBuilder()};
    parts_[0].tensors.clear();
    for (size_t i = 0; i < whole_.tensors.size(); ++i) parts_[i % 3].tensors.push_back(whole_.tensors[i]);
    for (size_t i = 0; i < 3; ++i) number(i, i, 3, whole_.tensors.size());
  }
  void number(size_t part, size_t no, size_t count, size_t tensors) {
    GgufBuilder& b = parts_[part].remove("split.no").remove("split.count").remove("split.tensors.count");
    b.raw("split.no", 2, bytes_of(static_cast<std::uint16_t>(no)));
    b.raw("split.count", 2, bytes_of(static_cast<std::uint16_t>(count)));
    b.raw("split.tensors.count", GgufBuilder::kI32, bytes_of(static_cast<std::int32_t>(tensors)));
  }
  static std::string name(size_t part) { return "m-0000" + std::to_string(part + 1) + "-of-00003.gguf"; }
  std::string write() {
    for (size_t i = 0; i < 3; ++i) folder_.write(name(i), parts_[i].build());
    return folder_.path(name(0));
  }
  std::optional<ErrorFields> error() {
    return test::error_of([&, path = write()] { (void)Checkpoint::open(path); });
  }
  std::string code() {
    const auto e = error();
    return e ? e->code : "no error";
  }

  test::TemporaryFolder folder_;
  GgufBuilder whole_;
  std::vector<GgufBuilder> parts_;
};

TEST_F(SplitGguf, IsTheModelThatOneFileIs) {
  const auto split = Checkpoint::open(write());
  const auto whole = Checkpoint::open(folder_.write("whole.gguf", whole_.build()));
  EXPECT_EQ(split->format(), "GGUF v3 in 3 parts");
  EXPECT_EQ(split->tensors().size(), whole->tensors().size());
  EXPECT_EQ(split->weights_digest(), whole->weights_digest());
  for (const CheckpointTensor& tensor : whole->tensors()) {
    const std::uint64_t rows = tensor.shape.front(), columns = tensor.shape.size() == 1 ? 1 : tensor.shape[1];
    std::vector<float> expected(rows * columns), found(rows * columns);
    whole->read_rows(tensor, 0, rows, expected);
    split->read_rows(*split->find(tensor.name), 0, rows, found);
    EXPECT_EQ(found, expected) << tensor.name;
  }
}

TEST_F(SplitGguf, FirstPartMayHoldMetadataOnly) {
  for (auto& tensor : parts_[0].tensors) parts_[1].tensors.push_back(tensor);
  parts_[0].tensors.clear();
  EXPECT_EQ(code(), "no error");
}

TEST_F(SplitGguf, OneOfOneIsAWholeFile) {
  whole_.raw("split.no", 2, bytes_of(std::uint16_t{0})).raw("split.count", 2, bytes_of(std::uint16_t{1}));
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder_.write("any.gguf", whole_.build())); }),
            "no error");
}

TEST_F(SplitGguf, G14_OtherPartThanTheFirst) {
  write();
  const auto e = test::error_of([&] { (void)Checkpoint::open(folder_.path(name(1))); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "gguf.split");
  EXPECT_EQ(e->found, "1 of 3 parts");
  EXPECT_EQ(e->hint, "Give the first part, whose name ends in 00001-of-00003.gguf");
}

TEST_F(SplitGguf, G14_MissingPart) {
  write();
  std::filesystem::remove(folder_.path(name(2)));
  const auto e = test::error_of([&] { (void)Checkpoint::open(folder_.path(name(0))); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "gguf.split");
  EXPECT_EQ(e->where, name(2));
  EXPECT_EQ(e->expected, "part 3 of 3");
}

TEST_F(SplitGguf, G14_OtherNameThanThePartsHave) {
  write();
  std::filesystem::rename(folder_.path(name(0)), folder_.path("model.gguf"));
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder_.path("model.gguf")); }), "gguf.split");
}

TEST_F(SplitGguf, G14_PartsThatSayOtherNumbers) {
  number(1, 2, 3, whole_.tensors.size());
  EXPECT_EQ(code(), "gguf.split");
  number(1, 1, 4, whole_.tensors.size());
  EXPECT_EQ(code(), "gguf.split");
  number(1, 1, 3, whole_.tensors.size() + 1);
  EXPECT_EQ(code(), "gguf.split");
  for (size_t i = 0; i < 3; ++i) number(i, i, 3, whole_.tensors.size() - 1);
  EXPECT_EQ(code(), "gguf.split");
  for (size_t i = 0; i < 3; ++i) number(i, i, 3, whole_.tensors.size());
  EXPECT_EQ(code(), "no error");
  parts_[1].remove("split.no");
  EXPECT_EQ(code(), "gguf.split");
  parts_[1].string("split.no", "1");
  EXPECT_EQ(code(), "gguf.split");
}

TEST_F(SplitGguf, G14_PartOfAnotherModel) {
  parts_[2].string("general.name", "another");
  EXPECT_EQ(code(), "gguf.split");
  parts_[0].string("general.name", "one");
  EXPECT_EQ(code(), "gguf.split");
  parts_[2].remove("general.name").string("general.name", "one");
  EXPECT_EQ(code(), "no error");
}

TEST_F(SplitGguf, G6_TensorInTwoParts) {
  parts_[2].tensors.push_back(whole_.tensors[0]);
  for (size_t i = 0; i < 3; ++i) number(i, i, 3, whole_.tensors.size() + 1);
  EXPECT_EQ(code(), "gguf.duplicate");
}

TEST_F(SplitGguf, G16_TensorInNoPart) {
  parts_[2].remove_tensor("output_norm.weight").remove_tensor("blk.1.attn_v.weight");
  size_t left = 0;
  for (const GgufBuilder& part : parts_) left += part.tensors.size();
  for (size_t i = 0; i < 3; ++i) number(i, i, 3, left);
  EXPECT_EQ(code(), "model.tensor_missing");
}

TEST_F(SplitGguf, X10_TooManyParts) {
  number(0, 0, 60'000, whole_.tensors.size());
  EXPECT_EQ(code(), "limit.shards");
}

TEST_F(SplitGguf, X4_PartThatIsALinkOutOfTheFolder) {
  const test::TemporaryFolder other;
  write();
  std::filesystem::rename(folder_.path(name(1)), other.path("part"));
  std::filesystem::create_symlink(other.path("part"), folder_.path(name(1)));
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder_.path(name(0))); }), "io.link");
}

TEST_F(SplitGguf, F6_PartThatChangesAfterOpening) {
  const auto split = Checkpoint::open(write());
  const CheckpointTensor* norm = split->find("model.layers.0.input_layernorm.weight");
  std::vector<float> out(8);
  split->read_rows(*norm, 0, 8, out);
  folder_.write(name(1), parts_[1].build() + "x");
  EXPECT_EQ(test::code_of([&] { split->read_rows(*norm, 0, 8, out); }), "io.changed");
}

TEST_F(SplitGguf, F5_EveryTruncationOfAPartIsRefused) {
  write();
  const std::string bytes = parts_[1].build();
  for (size_t size = 0; size < bytes.size(); size += 7) {
    folder_.write(name(1), bytes.substr(0, size));
    EXPECT_NE(test::code_of([&] { (void)Checkpoint::open(folder_.path(name(0))); }), "no error") << size;
  }
}

}  // namespace
}  // namespace safetylock
