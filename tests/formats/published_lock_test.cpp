// Published locks (.safelock): rows P1 to P23 of docs/threat-model.md. What is right in them is numpy's to
// say (oracle/compare_safelock.py).
#include "formats/published_lock.h"

#include <gtest/gtest.h>

#include "support/damage.h"
#include "support/errors.h"
#include "support/safelock_builder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

namespace pkl = test::pkl;
using test::code_of;
using test::little;

std::vector<PublishedHead> read(const std::string& bytes) {
  return published_lock_from_bytes(bytes, "a.safelock");
}
std::string code_of_zip(const test::Zip& zip) {
  return code_of([&] { read(zip.build()); });
}
std::string code_of_pickle(const std::string& pickle) {
  return code_of([&] { read(test::safelock_zip(pickle).build()); });
}
/// The code for a pickle whose one value is `value`.
std::string code_of_value(const std::string& value) {
  return code_of_pickle(pkl::whole(value));
}
std::string code_of_rows(const std::string& rows) {
  return code_of_value(pkl::dict(pkl::key("3") + rows));
}

class PublishedZip : public testing::Test {
 protected:
  test::Zip zip_ = test::safelock_zip(pkl::sound());
  test::ZipPart& part(size_t i) { return zip_.parts.at(i); }
};

TEST_F(PublishedZip, SoundOnesAreRead) {
  const auto heads = read(zip_.build());
  ASSERT_EQ(heads.size(), 1U);
  EXPECT_EQ(heads[0].layer, 3);
  EXPECT_EQ(heads[0].head, 1);
  EXPECT_EQ(heads[0].direction, (std::vector<float>{1, 0}));
  EXPECT_EQ(heads[0].sigma, 0.5F);
  zip_.zip64 = false;
  EXPECT_EQ(code_of_zip(zip_), "no error");
  for (auto& p : zip_.parts) p.flags = 0;
  EXPECT_EQ(code_of_zip(zip_), "no error");
  part(0).extra = "FB" + little<std::uint16_t>(3) + "ZZZ";
  EXPECT_EQ(code_of_zip(zip_), "no error");
}

TEST_F(PublishedZip, P1_EndRecords) {
  const std::string sound = zip_.build();
  const auto code = [](const std::string& bytes) { return code_of([&] { read(bytes); }); };
  EXPECT_EQ(code("not an archive of any kind, but long enough to hold an end record"), "zip.structure");
  EXPECT_EQ(code("PK"), "zip.structure");
  EXPECT_EQ(code(sound.substr(0, sound.size() - 22)), "zip.structure");
  EXPECT_EQ(code(sound + "x"), "zip.structure");
  // A comment, and in it an end record of another archive.
  std::string commented = sound;
  commented[commented.size() - 2] = 22;
  EXPECT_EQ(code(commented + sound.substr(sound.size() - 22)), "zip.range");
  EXPECT_EQ(code(commented + std::string(22, ' ')), "zip.structure");
  EXPECT_EQ(code(commented), "zip.structure");
  EXPECT_EQ(code(sound + sound.substr(sound.size() - 22)), "zip.range");
  for (const size_t from_end : {18, 16, 14}) {  // this disk, the directory's disk, entries on this disk
    std::string disks = sound;
    disks[disks.size() - from_end] = 9;
    EXPECT_EQ(code(disks), "zip.structure") << from_end;
  }
  zip_.zip64_count_lie = 1;
  EXPECT_EQ(code_of_zip(zip_), "zip.structure");
  std::string locator = sound;
  locator[locator.size() - 22 - 4] = 2;  // two disks
  EXPECT_EQ(code(locator), "zip.structure");
}

TEST_F(PublishedZip, P2_NothingBetweenEntries) {
  part(0).before = "x";
  EXPECT_EQ(code_of_zip(zip_), "zip.structure");
  part(0).before = "";
  part(1).before = "PK\x03\x04 hidden";
  EXPECT_EQ(code_of_zip(zip_), "zip.layout");
  part(1).before = "";
  zip_.tail = "x";
  EXPECT_EQ(code_of_zip(zip_), "zip.layout");
  zip_.tail = "";
  part(1).offset_lie = -1;
  EXPECT_EQ(code_of_zip(zip_), "zip.layout");
  part(1).offset_lie =
      -static_cast<std::int64_t>(zip_.build().find("lock/byteorder") - 30);  // the first entry again
  EXPECT_EQ(code_of_zip(zip_), "zip.layout");
  part(1).offset_lie = 0;
  for (const std::string& extra :
       {"FB" + little<std::uint16_t>(3) + "ZZz", "FB" + little<std::uint16_t>(2) + "ZZZ",
        std::string("ZZ") + little<std::uint16_t>(1) + "Z", std::string("FB\x01")}) {
    part(0).extra = extra;
    EXPECT_EQ(code_of_zip(zip_), "zip.layout");
  }
}

TEST_F(PublishedZip, P3_HeadersThatDisagree) {
  const auto with = [&](auto change) {
    test::Zip changed = zip_;
    change(changed.parts[0]);
    return code_of_zip(changed);
  };
  EXPECT_EQ(with([](auto& p) { p.local_name = "lock/other.pk"; }), "zip.mismatch");
  EXPECT_EQ(with([](auto& p) { p.descriptor_lie = 1; }), "zip.mismatch");
  EXPECT_EQ(with([](auto& p) { p.local_flags_lie = 0x800; }), "zip.mismatch");
  EXPECT_EQ(with([](auto& p) { p.flags = 0, p.local_size_lie = 1; }), "zip.mismatch");
  EXPECT_EQ(with([](auto& p) { p.size_lie = -1; }), "zip.layout");
  EXPECT_EQ(with([](auto& p) { p.flags = 0, p.size_lie = -1; }), "zip.crc");
  std::string sizes = zip_.build();
  sizes[sizes.find("PK\x01\x02") + 20] ^= 1;  // the size as stored, not the size
  EXPECT_EQ(code_of([&] { read(sizes); }), "zip.mismatch");
}

TEST_F(PublishedZip, P4_P5_P6_OnlyStoredPlainFiles) {
  part(0).method = 8;
  EXPECT_EQ(code_of_zip(zip_), "zip.method");
  part(0).method = 0;
  for (const std::uint16_t flag : {0x1, 0x2, 0x20, 0x40, 0x2000}) {
    part(0).flags = static_cast<std::uint16_t>(0x808 | flag);
    EXPECT_EQ(code_of_zip(zip_), "zip.flags") << flag;
  }
  part(0).flags = 0x808;
  part(2).attributes = 0xA1FFU << 16U;  // a link
  EXPECT_EQ(code_of_zip(zip_), "zip.flags");
  part(2).attributes = 0x81A4U << 16U;  // rw-r--r--
  EXPECT_EQ(code_of_zip(zip_), "no error");
  part(2).crc_lie = 1;
  EXPECT_EQ(code_of_zip(zip_), "zip.crc");
}

TEST_F(PublishedZip, P7_Entries) {
  for (const char* name : {"lock/data/0", "lock/../data.pkl", "/etc/passwd", "data.pkl", "other/data.pkl",
                           "lock/code.py", "lock/data.pkl"}) {
    test::Zip more = zip_;
    more.parts.push_back({.name = name, .data = "x"});
    EXPECT_EQ(code_of_zip(more), "zip.entry") << name;
  }
  for (const size_t missing : {0, 2}) {  // data.pkl, version
    test::Zip less = zip_;
    less.parts.erase(less.parts.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_EQ(code_of_zip(less), "zip.entry") << missing;
  }
  part(0).comment = "c";
  EXPECT_EQ(code_of_zip(zip_), "zip.structure");
}

TEST_F(PublishedZip, P8_SizesAndOffsets) {
  const auto with = [&](auto change) {
    test::Zip changed = zip_;
    change(changed.parts.back());
    return code_of_zip(changed);
  };
  EXPECT_EQ(with([](auto& p) { p.size_lie = 1'000'000; }), "zip.range");
  EXPECT_EQ(with([](auto& p) { p.size_lie = 0xFFFFFFFFLL - static_cast<std::int64_t>(p.data.size()); }),
            "zip.range");
  EXPECT_EQ(with([](auto& p) { p.offset_lie = 1'000'000; }), "zip.range");
  const std::string sound = zip_.build();
  const size_t end64 = sound.find("PK\x06\x06");
  for (const size_t field : {40, 48}) {  // size and place of the directory
    std::string huge = sound;
    huge.replace(end64 + field, 8, little(std::uint64_t{1} << 63U));
    EXPECT_EQ(code_of([&] { read(huge); }), "zip.mismatch") << field;
    // With the narrow field deferring to it.
    huge.replace(sound.size() - 22 + (field == 40 ? 12 : 16), 4, little<std::uint32_t>(0xFFFFFFFF));
    EXPECT_EQ(code_of([&] { read(huge); }), "zip.range") << field;
  }
}

TEST_F(PublishedZip, P9_OtherVersions) {
  part(1).data = "big";
  EXPECT_EQ(code_of_zip(zip_), "zip.version");
  part(1).data = "little";
  part(2).data = "4\n";
  EXPECT_EQ(code_of_zip(zip_), "zip.version");
}

TEST(PublishedPickle, P10_EveryOtherOpcode) {
  const std::string allowed = "(.JKMNRX]abcehjqrstu}\x85\x86\x87\x88\x89";
  size_t refused = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const auto opcode = static_cast<char>(byte);
    if (allowed.find(opcode) != std::string::npos) continue;
    ++refused;
    const auto error =
        test::error_of([&] { read(test::safelock_zip(pkl::whole(std::string(1, opcode))).build()); });
    ASSERT_TRUE(error) << byte;
    EXPECT_EQ(error->code, "pkl.opcode") << byte;
    EXPECT_EQ(error->where, "data.pkl, byte 2");
  }
  EXPECT_EQ(refused, 256U - 26U);
  const auto error = test::error_of([&] { read(test::safelock_zip(pkl::whole("\x93")).build()); });
  EXPECT_EQ(error->found, "STACK_GLOBAL (0x93)");
}

TEST(PublishedPickle, P11_OtherGlobals) {
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"builtins", "eval"},
                                                        {"__builtin__", "eval"},
                                                        {"torch", "load"},
                                                        {"numpy", "load"},
                                                        {"numpy ", "dtype"},
                                                        {"numpy", "dtype "},
                                                        {"numpy.core", "multiarray.scalar"},
                                                        {"numpy.core.multiarray", "scalar.__class__"},
                                                        {"_codecs", "decode"},
                                                        {"", "numpy dtype"},
                                                        {"numpy.\xD1\x81ore.multiarray", "scalar"},
                                                        {"numpy dtype", ""},
                                                        {"numpy.core.multiarray _reconstruct", ""}}) {
    const auto error = test::error_of([&] {
      read(test::safelock_zip(pkl::whole(pkl::global(module, name) + pkl::text("id") + "\x85R")).build());
    });
    ASSERT_TRUE(error) << module;
    EXPECT_EQ(error->code, "pkl.global");
  }
  const auto error =
      test::error_of([] { read(test::safelock_zip(pkl::whole(pkl::global("os", "system"))).build()); });
  EXPECT_NE(error->found.find("os system"), std::string::npos) << error->found;
}

TEST(PublishedPickle, P12_OtherCalls) {
  const std::string ndarray = pkl::global("numpy", "ndarray"), dtype = pkl::global("numpy", "dtype"),
                    scalar = pkl::global("numpy.core.multiarray", "scalar"),
                    reconstruct = pkl::global("numpy.core.multiarray", "_reconstruct"),
                    encode = pkl::global("_codecs", "encode");
  EXPECT_EQ(code_of_value("R"), "pkl.stack");
  EXPECT_EQ(code_of_value(ndarray + "(tR"), "pkl.reduce");
  for (const std::string& call :
       {ndarray + pkl::integer(4) + "\x85R", dtype + pkl::text("f4") + "\x85R",
        dtype + pkl::text("f4") + "\x88\x88\x87R", dtype + "N\x89\x88\x87R",
        encode + pkl::text("a") + "\x85R", encode + "NN\x86R", encode + pkl::text("a") + "R",
        pkl::text("a") + "(tR", pkl::bytes("a") + "(tR",
        scalar + pkl::dtype("f4") + pkl::bytes("123") + "\x86R",
        scalar + pkl::bytes("1234") + pkl::dtype("f4") + "\x86R", scalar + pkl::dtype("f4") + "\x85R",
        reconstruct + ndarray + pkl::integer(1) + "\x85" + pkl::bytes("b") + "\x87R",
        reconstruct + dtype + pkl::integer(0) + "\x85" + pkl::bytes("b") + "\x87R",
        reconstruct + ndarray + pkl::integer(0) + "\x85" + pkl::bytes("c") + "\x87R",
        reconstruct + ndarray + "(t" + pkl::bytes("b") + "\x87R"}) {
    EXPECT_EQ(code_of_value(call), "pkl.reduce") << call;
  }
}

TEST(PublishedPickle, P13_Stack) {
  const std::string zero(1, '\0'), text = pkl::text("a");
  const std::vector<std::string> values = {"t",
                                           "e",
                                           "u",
                                           "a",
                                           "s",
                                           "\x85",
                                           "q" + zero,
                                           "b",
                                           "",
                                           "NN",
                                           "(N",
                                           "N(a",
                                           "(e",
                                           "N(" + text + "e",
                                           text + "Na",
                                           "](N",
                                           "N" + text + "Ns",
                                           "]Nb",
                                           text + "Nb",
                                           "](N\x85",
                                           "]N(a"};
  for (const std::string& value : values) EXPECT_EQ(code_of_value(value), "pkl.stack") << value;
  // A second state for an array.
  EXPECT_EQ(code_of_value(pkl::array("f4", 1, little(1.0F)) + "Nb"), "pkl.stack");
}

TEST(PublishedPickle, P14_Memo) {
  const auto put = [](unsigned char n) { return std::string("q") + static_cast<char>(n); };
  const auto get = [](unsigned char n) { return std::string("h") + static_cast<char>(n); };
  EXPECT_EQ(code_of_value(get(0)), "pkl.memo");
  EXPECT_EQ(code_of_value("N" + put(1)), "pkl.memo");
  EXPECT_EQ(code_of_value("N" + put(0) + put(0)), "pkl.memo");
  EXPECT_EQ(code_of_value("Nr" + little<std::uint32_t>(0xFFFFFFFF)), "pkl.memo");
  EXPECT_EQ(code_of_value("Nj" + little<std::uint32_t>(0xFFFFFFFF)), "pkl.memo");
  const auto places = [](std::uint32_t count) {
    std::string text = "N";
    for (std::uint32_t i = 0; i < count; ++i) text += "r" + little(i);
    return text;
  };
  EXPECT_EQ(code_of_value(places(4096)), "pkl.shape");
  EXPECT_EQ(code_of_value(places(4097)), "pkl.memo");
}

TEST(PublishedPickle, P15_DepthAndSharedContainers) {
  const auto nested = [](size_t levels) { return "N" + std::string(levels, '\x85'); };
  EXPECT_EQ(code_of_value(nested(16)), "pkl.shape");
  EXPECT_EQ(code_of_value(nested(17)), "pkl.depth");
  EXPECT_EQ(code_of_value(nested(3'000'000)), "pkl.depth");
  const std::string itself = std::string("]q") + '\0' + "h" + '\0' + "a";
  EXPECT_EQ(code_of_value(itself), "pkl.memo");
  EXPECT_EQ(code_of_value(std::string("}q") + '\0' + pkl::text("a") + "h" + '\0' + "s"), "pkl.memo");
  EXPECT_EQ(code_of_value(pkl::array("f4", 1, little(1.0F)) + std::string("q") + '\0' + "h" + '\0'),
            "pkl.memo");
}

TEST(PublishedPickle, P16_StepsAndDecodedBytes) {
  std::string many = "]";
  for (size_t i = 0; i < 40'000; ++i) many += "Na";
  EXPECT_EQ(code_of_value(many), "limit.nodes");
  // The same text decoded again and again: 64 KiB become 16 MiB.
  std::string laughs = "](" + pkl::text(std::string(1 << 16, 'a')) + std::string("q") + '\0' +
                       pkl::text("latin1") + "q\x01" + pkl::global("_codecs", "encode") + "q\x02";
  for (size_t i = 0; i < 256; ++i) laughs += std::string("h\x02h") + '\0' + "h\x01\x86R";
  EXPECT_EQ(code_of_value(laughs + "e"), "limit.nodes");
}

TEST(PublishedPickle, P17_ProtocolAndEnd) {
  const std::string sound = pkl::sound();
  EXPECT_EQ(code_of_pickle(sound), "no error");
  for (const char protocol : {'\0', '\1', '\3', '\4', '\5'}) {
    std::string other = sound;
    other[1] = protocol;
    EXPECT_EQ(code_of_pickle(other), "pkl.protocol");
  }
  EXPECT_EQ(code_of_pickle(sound.substr(2)), "pkl.protocol");
  EXPECT_EQ(code_of_pickle(sound + "."), "pkl.trailing");
  EXPECT_EQ(code_of_value("X" + little<std::uint32_t>(100) + "short"), "pkl.truncated");
  EXPECT_EQ(code_of_value("cnumpy\nno end of line"), "pkl.truncated");
  for (size_t size = 0; size < sound.size(); ++size) {
    EXPECT_EQ(code_of_pickle(sound.substr(0, size)), "pkl.truncated") << size;
  }
}

TEST(PublishedPickle, P18_Dtypes) {
  for (const char* type :
       {"O8", "O", "V8", "U1", "S4", "i4", "u8", "b1", "c8", "f16", ">f2", "<f2", "f3", ""}) {
    EXPECT_EQ(code_of_value(pkl::dtype(type)), "pkl.dtype") << type;
  }
  for (const char* order : {">", "=", "|", ""}) {
    EXPECT_EQ(code_of_value(pkl::dtype("f2", order)), "pkl.dtype") << order;
  }
  const std::string structured = pkl::global("numpy", "dtype") + pkl::text("f2") + "\x89\x88\x87R" +
                                 pkl::tuple(pkl::integer(3) + pkl::text("<") + "N(t(t" + pkl::integer(-1) +
                                            pkl::integer(-1) + pkl::integer(0)) +
                                 "b";
  EXPECT_EQ(code_of_value(structured), "pkl.dtype");
}

TEST(PublishedPickle, P19_Arrays) {
  const auto state = [](const std::string& shape, const std::string& fortran, const std::string& values) {
    return pkl::global("numpy.core.multiarray", "_reconstruct") + pkl::global("numpy", "ndarray") +
           pkl::integer(0) + "\x85" + pkl::bytes("b") + "\x87R" +
           pkl::tuple(pkl::integer(1) + shape + pkl::dtype("f4") + fortran + pkl::bytes(values)) + "b";
  };
  const std::string two = pkl::integer(2) + "\x85", eight(8, 'x');
  EXPECT_EQ(code_of_value(state(two, "\x89", eight)), "pkl.shape");  // an array, but no lock
  EXPECT_EQ(code_of_value(state("(t", "\x89", eight)), "pkl.array");
  EXPECT_EQ(code_of_value(state(pkl::integer(1) + pkl::integer(2) + "\x86", "\x89", eight)), "pkl.array");
  EXPECT_EQ(code_of_value(state(pkl::integer(-2) + "\x85", "\x89", eight)), "pkl.array");
  EXPECT_EQ(code_of_value(state(pkl::integer(2147483647) + "\x85", "\x89", eight)), "pkl.array");
  EXPECT_EQ(code_of_value(state(two, "\x88", eight)), "pkl.array");
  EXPECT_EQ(code_of_value(state(two, "\x89", eight + "x")), "pkl.array");
  EXPECT_EQ(code_of_value(state(two, "\x89", "")), "pkl.array");
  // An array without a state.
  const std::string empty = pkl::global("numpy.core.multiarray", "_reconstruct") +
                            pkl::global("numpy", "ndarray") + pkl::integer(0) + "\x85" + pkl::bytes("b") +
                            "\x87R";
  EXPECT_EQ(code_of_rows(pkl::list(pkl::tuple(pkl::head(1) + empty + pkl::scalar("f4", little(0.5F))))),
            "pkl.shape");
}

TEST(PublishedPickle, P20_Encode) {
  EXPECT_EQ(code_of_value(pkl::bytes("a", "utf8")), "pkl.encode");
  EXPECT_EQ(code_of_value(pkl::bytes("a", "rot13")), "pkl.encode");
  EXPECT_EQ(
      code_of_value(pkl::global("_codecs", "encode") + pkl::text("\xC4\x80") + pkl::text("latin1") + "\x86R"),
      "pkl.encode");
  EXPECT_EQ(code_of_value(pkl::text("\xFF")), "pkl.encode");
}

TEST(PublishedPickle, P21_Keys) {
  const std::string rows = pkl::list(pkl::row(1));
  EXPECT_EQ(code_of_value(pkl::dict(pkl::key("3"))), "pkl.key");
  EXPECT_EQ(code_of_value(pkl::dict(pkl::integer(3) + rows)), "pkl.key");
  EXPECT_EQ(code_of_value(pkl::dict(pkl::key("3") + rows + pkl::key("3") + rows)), "pkl.key");
  for (const char* layer :
       {"007", "", "-1", "+1", " 1", "1 ", "1.0", "1e1", "1000000000000000000000000000000", "1048576", "٣"}) {
    EXPECT_EQ(code_of_value(pkl::dict(pkl::key(layer) + rows)), "pkl.key") << layer;
  }
  for (const char* key : {"model.layers.3.self_attn.head_out.x", "xmodel.layers.3.self_attn.head_out",
                          "model.layers.self_attn.head_out", "layers.3", ""}) {
    EXPECT_EQ(code_of_value(pkl::dict(pkl::text(key) + rows)), "pkl.key") << key;
  }
  EXPECT_EQ(code_of_value(pkl::dict(pkl::key("1048575") + rows)), "no error");
}

TEST(PublishedPickle, P22_Rows) {
  for (const std::int64_t head : {std::int64_t{-1}, std::int64_t{1048576}, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(code_of_rows(pkl::list(pkl::row(head))), "lock.head") << head;
  }
  const std::string direction = pkl::array("f4", 2, little(1.0F) + little(0.0F)),
                    sigma = pkl::scalar("f4", little(0.5F));
  for (const std::string& row :
       {pkl::tuple(pkl::head(1) + direction), pkl::tuple(pkl::head(1) + direction + sigma + sigma),
        std::string("N"), pkl::tuple(pkl::integer(1) + direction + sigma),
        pkl::tuple(pkl::scalar("f8", little(1.0)) + direction + sigma),
        pkl::tuple(pkl::head(1) + sigma + direction), pkl::tuple(pkl::head(1) + direction + pkl::head(1)),
        pkl::tuple(pkl::head(1) + pkl::array("i8", 1, little<std::int64_t>(1)) + sigma),
        "(t" + std::string()}) {
    EXPECT_EQ(code_of_rows(pkl::list(row)), "pkl.shape") << row;
  }
  EXPECT_EQ(code_of_rows("]"), "pkl.shape");
  EXPECT_EQ(code_of_rows("N"), "pkl.shape");
  EXPECT_EQ(code_of_rows(pkl::tuple(pkl::row(1))), "pkl.shape");
  EXPECT_EQ(code_of_value("}"), "pkl.shape");
  EXPECT_EQ(code_of_value("]"), "pkl.shape");
}

// A pickle without its archive, in any protocol, is no lock: there is no second way in.
TEST(PublishedPickle, P23_NoOtherReaderTakesOver) {
  const auto code = [](const std::string& bytes) { return code_of([&] { read(bytes); }); };
  EXPECT_EQ(code(pkl::sound()), "io.wrong_format");
  EXPECT_EQ(code("\x80\x04" + pkl::sound().substr(2) + std::string(64, ' ')), "zip.structure");
  EXPECT_EQ(code("cos\nsystem\n(S'id'\ntR." + std::string(64, ' ')), "zip.structure");
  EXPECT_EQ(code("<!doctype html>" + std::string(64, ' ')), "io.wrong_format");
}

TEST(PublishedLock, F5_EveryByteDamagedAndEveryCut) {
  test::damage_everywhere(test::golden("formats/published.safelock"), test::Cut::must_be_refused,
                          [](const std::string& bytes) { read(bytes); });
}

TEST(PublishedLock, F8_TooLarge) {
  const test::TemporaryFolder folder;
  const std::string big = folder.write("big.safelock", std::string((std::size_t{4} << 20) + 1, 'P'));
  EXPECT_EQ(code_of([&] { read_published_lock(big); }), "limit.file_size");
}

}  // namespace
}  // namespace safetylock
