// Hostile and sound safetensors bytes; test names start with the row of the threat table
// (docs/threat-model.md).
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/errors.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::bytes_of;
using test::bytes_of_all;
using test::code_of;
using test::error_of;

// A file of the given header text and data.
std::string file_of(const std::string& header, const std::string& data = "") {
  return bytes_of(std::uint64_t{header.size()}) + header + data;
}

std::optional<ErrorFields> error(const std::string& bytes, const SafetensorsLimits& limits = {}) {
  return error_of([&] { (void)SafetensorsFile::from_bytes(bytes, "f.safetensors", limits); });
}

std::string code(const std::string& bytes, const SafetensorsLimits& limits = {}) {
  const auto e = error(bytes, limits);
  return e ? e->code : "no error";
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

// One tensor "t" over `data` bytes of zeros.
std::string one(const std::string& e, size_t data) {
  return file_of("{\"t\":" + e + "}", std::string(data, '\0'));
}

std::string small() {
  return safetensors_to_bytes({SafetensorsEntry::f32("weights", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}),
                               SafetensorsEntry::i64("layers", {2}, std::vector<std::int64_t>{-1, 7})},
                              {{"format", "pt"}, {"who", "té\"st"}});
}

TEST(Safetensors, ReadsWhatWasWritten) {
  const auto f = SafetensorsFile::from_bytes(small(), "f", {.header_bytes = 1 << 20, .canonical_only = true});
  EXPECT_EQ(f.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"who", "té\"st"}}));
  ASSERT_EQ(f.tensors().size(), 2U);
  std::vector<float> values(4);
  f.read_floats(*f.find("weights"), 2, values);
  EXPECT_EQ(values, (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(f.read_integers(*f.find("layers")), (std::vector<std::int64_t>{-1, 7}));
  EXPECT_EQ(f.find("none"), nullptr);
}

TEST(Safetensors, FileAndBytesReadAlike) {
  const test::TemporaryFolder folder;
  const auto f = SafetensorsFile::open(folder.write("f.safetensors", small()));
  EXPECT_EQ(f.path(), folder.path("f.safetensors"));
  std::vector<float> values(6);
  f.read_floats(*f.find("weights"), 0, values);
  EXPECT_EQ(values.back(), 6.0F);
}

// Oracle: bytes written by the reference implementation (scripts/make_golden_formats.py).
TEST(Safetensors, WriterEqualsTheReference) {
  std::vector<SafetensorsEntry> tensors = {
      SafetensorsEntry::f32("b", {2, 3}, std::vector<float>{0, 1, 2, 3, 4, 5}),
      SafetensorsEntry::f32("a", {3}, std::vector<float>{-1, 0.5, 1e30F}),
      SafetensorsEntry::f32("é\n\"", {}, std::vector<float>{1}),
      SafetensorsEntry::i64("z", {2}, std::vector<std::int64_t>{5, -6}),
      {"k", "F16", {3}, bytes_of_all<std::uint16_t>({0x3C00, 0xC000, 0x7BFF})},
      {"u", "U8", {3}, std::string("\1\2\xFF")},
      {"t", "BOOL", {2}, std::string("\1\0", 2)},
      {"f", "F64", {1}, bytes_of(0.1)},
      {"e", "I32", {0, 4}, ""},
      {"i", "I32", {1}, bytes_of(std::int32_t{-9})},
  };
  const std::map<std::string, std::string> metadata = {{"a", "é\"\n\x01\x7f/\\"}, {"m", ""}, {"z", "1"}};
  const std::string want = test::golden("formats/reference.safetensors");
  EXPECT_EQ(safetensors_to_bytes(tensors, metadata), want);
  std::reverse(tensors.begin(), tensors.end());
  EXPECT_EQ(safetensors_to_bytes(tensors, metadata), want);
}

TEST(Safetensors, ReadsEveryDtype) {
  const auto f = SafetensorsFile::from_bytes(test::golden("formats/reference.safetensors"), "f",
                                             {.canonical_only = true});
  const auto floats = [&](const char* name) {
    std::vector<float> v(f.find(name)->count());
    f.read_floats(*f.find(name), 0, v);
    return v;
  };
  EXPECT_EQ(floats("a"), (std::vector<float>{-1, 0.5, 1e30F}));
  EXPECT_EQ(floats("é\n\""), (std::vector<float>{1}));
  EXPECT_EQ(floats("k"), (std::vector<float>{1, -2, 65504}));
  EXPECT_EQ(floats("f"), (std::vector<float>{0.1F}));
  EXPECT_EQ(f.read_integers(*f.find("u")), (std::vector<std::int64_t>{1, 2, 255}));
  EXPECT_EQ(f.read_integers(*f.find("t")), (std::vector<std::int64_t>{1, 0}));
  EXPECT_EQ(f.read_integers(*f.find("i")), (std::vector<std::int64_t>{-9}));
  EXPECT_EQ(f.read_integers(*f.find("e")), std::vector<std::int64_t>{});
  EXPECT_EQ(code_of([&] { (void)f.read_integers(*f.find("a")); }), "st.dtype_unsupported");
  EXPECT_EQ(code_of([&] { floats("u"); }), "st.dtype_unsupported");
}

TEST(Safetensors, BFloat16IsWidenedExactly) {
  const std::string bytes =
      safetensors_to_bytes({{"t", "BF16", {3}, bytes_of_all<std::uint16_t>({0x3F80, 0xC000, 0x0001})}}, {});
  const auto f = SafetensorsFile::from_bytes(bytes, "f");
  std::vector<float> v(3);
  f.read_floats(*f.find("t"), 0, v);
  EXPECT_EQ(v, (std::vector<float>{1.0F, -2.0F, std::ldexp(1.0F, -133)}));
}

TEST(Safetensors, RangesOutsideATensorAreRefused) {
  const auto f = SafetensorsFile::from_bytes(small(), "f");
  std::vector<float> v(4);
  EXPECT_EQ(code_of([&] { f.read_floats(*f.find("weights"), 3, v); }), "arg.shape");
  EXPECT_EQ(code_of([&] { f.read_floats(*f.find("weights"), 100, v); }), "arg.shape");
}

TEST(Safetensors, WriterRefusesWhatCouldNotBeRead) {
  const std::vector<float> v = {1, 2};
  const auto write = [](const std::vector<SafetensorsEntry>& t) {
    return code_of([&] { (void)safetensors_to_bytes(t, {}); });
  };
  EXPECT_EQ(write({SafetensorsEntry::f32("__metadata__", {2}, v)}), "st.metadata");
  EXPECT_EQ(write({SafetensorsEntry::f32("a", {2}, v), SafetensorsEntry::f32("a", {2}, v)}), "st.duplicate");
  EXPECT_EQ(write({SafetensorsEntry::f32("a", {3}, v)}), "st.size");
  EXPECT_EQ(write({SafetensorsEntry::f32("", {2}, v)}), "limit.name");
  EXPECT_EQ(write({SafetensorsEntry::f32("\xFF", {2}, v)}), "limit.name");
  EXPECT_EQ(write({{"a", "F8_E4M3", {2}, "xx"}}), "st.dtype_unsupported");
  EXPECT_EQ(code_of([&] { (void)safetensors_to_bytes({}, {{"k", "\xFF"}}); }), "st.metadata");
}

TEST(Safetensors, F5_EveryTruncationIsRefused) {
  const std::string whole = small();
  ASSERT_EQ(code(whole), "no error");
  for (size_t n = 0; n < whole.size(); ++n) ASSERT_NE(code(whole.substr(0, n)), "no error") << n;
}

TEST(Safetensors, EveryByteDamaged) {
  const std::string whole = small();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const char c : {'\0', '\1', '9', '"', '{', '\x80', '\xFF'}) {
      std::string damaged = whole;
      damaged[i] = c;
      (void)code(damaged);
    }
  }
}

TEST(Safetensors, F12_WrongFormatSaysWhatItLooksLike) {
  const auto e = error("<!DOCTYPE html><html>");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.wrong_format");
  EXPECT_EQ(e->found, "an HTML page");
  EXPECT_EQ(code("version https://git-lfs.github.com/spec/v1\n"), "io.wrong_format");
  EXPECT_EQ(code("PK\x03\x04 and more of it"), "io.wrong_format");
}

TEST(Safetensors, S1_S2_HeaderLength) {
  EXPECT_EQ(code("1234567"), "st.header_small");
  EXPECT_EQ(code(bytes_of(std::uint64_t{100'000'001}) + "{}"), "st.header_large");
  EXPECT_EQ(code(bytes_of(std::uint64_t{100'000'000}) + "{}"), "st.header_length");
  EXPECT_EQ(code(bytes_of(UINT64_MAX) + "{}"), "st.header_large");
  EXPECT_EQ(code(bytes_of(std::uint64_t{3}) + "{}"), "st.header_length");
  const std::string padded = "{" + std::string(62, ' ') + "}";
  EXPECT_EQ(code(file_of(padded), {.header_bytes = 64}), "no error");
  EXPECT_EQ(code(file_of(padded), {.header_bytes = 63}), "st.header_large");
}

TEST(Safetensors, S3_HeaderJson) {
  for (const char* header : {"", "[]", "7", "{", "{}x", "{\"a\"}", "\xFF\xFE", "{\"t\":NaN}"}) {
    EXPECT_EQ(code(file_of(header)), "st.header_json") << header;
  }
  EXPECT_EQ(code(file_of("{\"t\":" + std::string(100, '[') + std::string(100, ']') + "}")), "st.header_json");
  EXPECT_EQ(error(file_of("{\n\"a\"}"))->where, "header, line 2, column 4");
}

TEST(Safetensors, S4_BlanksAndOrderAreForThirdPartiesOnly) {
  const SafetensorsLimits strict{.canonical_only = true};
  EXPECT_EQ(code(file_of("  {}    ")), "no error");
  EXPECT_EQ(code(file_of("  {}    "), strict), "st.canonical");
  EXPECT_EQ(code(file_of("{}      "), strict), "no error");
  EXPECT_EQ(code(file_of("{}"), strict), "st.canonical");                // not padded
  EXPECT_EQ(code(file_of("{}              "), strict), "st.canonical");  // padded too far
  const std::string unsorted =
      "{\"b\":" + entry("U8", "[1]", "[0,1]") + ",\"a\":" + entry("U8", "[1]", "[1,2]") + "}";
  EXPECT_EQ(code(file_of(unsorted, "xx")), "no error");
  EXPECT_EQ(code(file_of(unsorted + std::string(8 - unsorted.size() % 8, ' '), "xx"), strict),
            "st.canonical");
}

TEST(Safetensors, S5_Duplicates) {
  const std::string e = entry("U8", "[1]", "[0,1]");
  EXPECT_EQ(code(file_of("{\"t\":" + e + ",\"t\":" + e + "}", "x")), "st.duplicate");
  EXPECT_EQ(code(file_of("{\"t\":" + e + ",\"\\u0074\":" + e + "}", "x")), "st.duplicate");
}

TEST(Safetensors, S6_Metadata) {
  EXPECT_EQ(code(file_of(R"({"__metadata__":{"a":"b"}})")), "no error");
  for (const char* m : {"[]", "\"x\"", "null", R"({"a":1})", R"({"a":null})", R"({"a":{"b":"c"}})"}) {
    EXPECT_EQ(code(file_of("{\"__metadata__\":" + std::string(m) + "}")), "st.metadata") << m;
  }
  EXPECT_EQ(code(file_of("{\"__metadata__\":" + entry("U8", "[1]", "[0,1]") + "}", "x")), "st.metadata");
}

TEST(Safetensors, S7_Entries) {
  for (const char* e :
       {"7", "{}", R"({"dtype":"U8","shape":[1]})", R"({"dtype":"U8","data_offsets":[0,1]})",
        R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"extra":1})",
        R"({"dtype":"U8","shape":[1],"data_offsets":[0]})",
        R"({"dtype":"U8","shape":[1],"data_offsets":[0,1,2]})",
        R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})", R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})",
        R"({"dtype":"U8","shape":[1],"data_offsets":"01"})"}) {
    EXPECT_EQ(code(one(e, 1)), "st.entry") << e;
  }
}

TEST(Safetensors, S8_Numbers) {
  for (const char* n :
       {"-1", "1.0", "1e3", "\"1\"", "true", "null", "281474976710656", "18446744073709551616", "-0"}) {
    const std::string number = n;
    EXPECT_EQ(code(one(entry("U8", "[" + number + "]", "[0,1]"), 1)), "st.number") << n;
    EXPECT_EQ(code(one(entry("U8", "[1]", "[" + number + ",1]"), 1)), "st.number") << n;
    EXPECT_EQ(code(one(entry("U8", "[1]", "[0," + number + "]"), 1)), "st.number") << n;
  }
}

TEST(Safetensors, S9_Offsets) {
  EXPECT_EQ(code(one(entry("U8", "[1]", "[1,0]"), 1)), "st.offset");
  EXPECT_EQ(code(one(entry("U8", "[2]", "[0,2]"), 1)), "st.offset");
  EXPECT_EQ(code(one(entry("U8", "[1]", "[281474976710655,281474976710655]"), 1)), "st.offset");
}

TEST(Safetensors, S10_Overlap) {
  const std::string header =
      "{\"a\":" + entry("U8", "[2]", "[0,2]") + ",\"b\":" + entry("U8", "[2]", "[1,3]") + "}";
  const auto e = error(file_of(header, "xyz"));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "st.overlap");
  EXPECT_NE(e->where.find("\"b\""), std::string::npos);
  EXPECT_NE(e->expected.find("\"a\""), std::string::npos);
  std::string bomb = "{";
  for (int i = 0; i < 100'000; ++i)
    bomb += (i ? ",\"t" : "\"t") + std::to_string(i) + "\":" + entry("U8", "[8]", "[0,8]");
  EXPECT_EQ(code(file_of(bomb + "}", "12345678")), "st.overlap");
}

TEST(Safetensors, S11_HolesAndTrailingBytes) {
  EXPECT_EQ(code(one(entry("U8", "[1]", "[1,2]"), 2)), "st.hole");
  EXPECT_EQ(
      code(file_of("{\"a\":" + entry("U8", "[1]", "[0,1]") + ",\"b\":" + entry("U8", "[1]", "[2,3]") + "}",
                   "xyz")),
      "st.hole");
  EXPECT_EQ(code(one(entry("U8", "[1]", "[0,1]"), 2)), "st.trailing");
  EXPECT_EQ(code(file_of("{}", "x")), "st.trailing");
}

TEST(Safetensors, S12_Overflow) {
  const std::string big = "281474976710655";
  EXPECT_EQ(code(one(entry("U8", "[" + big + "," + big + "]", "[0,1]"), 1)), "st.overflow");
  EXPECT_EQ(code(one(entry("U8", "[0," + big + "," + big + "]", "[0,0]"), 0)), "st.overflow");
  EXPECT_EQ(code(one(entry("F64", "[" + big + ",65536]", "[0,1]"), 1)), "st.overflow");
}

TEST(Safetensors, S13_SizeDiffersFromShape) {
  const auto e = error(one(entry("F32", "[2,2]", "[0,12]"), 12));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "st.size");
  EXPECT_NE(e->where.find("\"t\""), std::string::npos);
  EXPECT_NE(e->expected.find("16 bytes"), std::string::npos);
  EXPECT_NE(e->found.find("12 bytes"), std::string::npos);
}

TEST(Safetensors, S14_S17_Dtypes) {
  EXPECT_EQ(code(one(entry("F33", "[1]", "[0,4]"), 4)), "st.dtype_unknown");
  EXPECT_EQ(code(one(entry("f32", "[1]", "[0,4]"), 4)), "st.dtype_unknown");
  EXPECT_EQ(code(one(entry("F8_E4M3", "[1]", "[0,1]"), 1)), "st.dtype_unsupported");
  EXPECT_EQ(code(one(entry("F4", "[2]", "[0,1]"), 1)), "st.dtype_unsupported");
  EXPECT_EQ(code(one(entry("F4", "[3]", "[0,2]"), 2)), "st.misaligned");
}

TEST(Safetensors, S15_Limits) {
  EXPECT_EQ(code(one(entry("U8", "[1,1,1,1,1,1,1,1]", "[0,1]"), 1)), "no error");
  EXPECT_EQ(code(one(entry("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1)), "limit.rank");
  const auto named = [](const std::string& name) {
    return file_of("{\"" + name + "\":" + entry("U8", "[1]", "[0,1]") + "}", "x");
  };
  EXPECT_EQ(code(named("")), "limit.name");
  EXPECT_EQ(code(named(std::string(1024, 'n'))), "no error");
  EXPECT_EQ(code(named(std::string(1025, 'n'))), "limit.name");
  std::string many = "{";
  for (int i = 0; i < 262'145; ++i)
    many += (i ? ",\"t" : "\"t") + std::to_string(i) + "\":" + entry("U8", "[0]", "[0,0]");
  EXPECT_EQ(code(file_of(many + "}")), "limit.tensors");
}

TEST(Safetensors, S16_EmptyAndScalarTensors) {
  EXPECT_EQ(code(one(entry("F32", "[]", "[0,4]"), 4)), "no error");
  EXPECT_EQ(code(one(entry("F32", "[3,0]", "[0,0]"), 0)), "no error");
}

// Values at odd addresses: a cast pointer would be undefined behaviour (checked by UBSan).
TEST(Safetensors, S18_UnalignedData) {
  const std::string header = "{\"a\":" + entry("U8", "[1]", "[0,1]") +
                             ",\"b\":" + entry("F64", "[1]", "[1,9]") +
                             ",\"c\":" + entry("I64", "[1]", "[9,17]") + "}";
  const auto f =
      SafetensorsFile::from_bytes(file_of(header, "x" + bytes_of(2.5) + bytes_of(std::int64_t{-3})), "f");
  std::vector<float> v(1);
  f.read_floats(*f.find("b"), 0, v);
  EXPECT_EQ(v[0], 2.5F);
  EXPECT_EQ(f.read_integers(*f.find("c"))[0], -3);
}

}  // namespace
}  // namespace safetylock
