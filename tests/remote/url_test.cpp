#include "remote/url.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;

TEST(Url, PartsOfAnAddress) {
  const Url url = parse_endpoint_url("https://api.example.org:8443/openai/v1/");
  EXPECT_TRUE(url.tls);
  EXPECT_EQ(url.host, "api.example.org");
  EXPECT_EQ(url.port, 8443);
  EXPECT_EQ(url.path, "/openai/v1");
  EXPECT_FALSE(url.loopback());
  EXPECT_EQ(url.text(), "https://api.example.org:8443/openai/v1");
}

TEST(Url, WithoutPortAndPath) {
  EXPECT_EQ(parse_endpoint_url("http://localhost").text(), "http://localhost/v1");
  EXPECT_EQ(parse_endpoint_url("http://localhost/").port, 80);
  EXPECT_EQ(parse_endpoint_url("https://a").port, 443);
  EXPECT_TRUE(parse_endpoint_url("http://127.0.0.2:1").loopback());
  for (const char* host : {"127.0.0.1.example.org", "127.a", "1127.0.0.1", "localhost.example.org", "[::2]"})
    EXPECT_FALSE(parse_endpoint_url(std::string("http://") + host).loopback()) << host;
}

TEST(Url, AddressOfVersion6) {
  const Url url = parse_endpoint_url("http://[::1]:8000/v1");
  EXPECT_EQ(url.host, "::1");
  EXPECT_TRUE(url.loopback());
  EXPECT_EQ(url.text(), "http://[::1]:8000/v1");
}

TEST(Url, RefusesWhatIsNoBaseAddress) {
  for (const std::string text :
       {"", "localhost:8000", "ftp://a/v1", "http://", "http:///v1", "http://user:key@a/v1",
        "http://a/v1?key=1", "http://a/#v1", "http://a b/v1", "http://a\r\nX: y/v1", "http://a:0/v1",
        "http://a:65536/v1", "http://a:/v1", "http://a:8x/v1", "http://[::1/v1", "http://[::1]x/v1",
        "http://[x]/v1", "http://\xC3\xA9/v1"}) {
    EXPECT_EQ(code_of([&] { parse_endpoint_url(text); }), "arg.endpoint") << text;
  }
  EXPECT_EQ(code_of([] { parse_endpoint_url("http://a/" + std::string(2039, 'b')); }), "no error");
  EXPECT_EQ(code_of([] { parse_endpoint_url("http://a/" + std::string(2040, 'b')); }), "arg.endpoint");
}

}  // namespace
}  // namespace safetylock
