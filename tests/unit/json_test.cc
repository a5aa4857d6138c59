#include "base/json.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace bailey::json {
namespace {

std::string error_of(std::string_view text, Comments comments = Comments::refuse) {
  const auto value = parse(text, "f", comments);
  return value ? "" : value.error().message;
}

TEST(Json, RefusesEachKindOfBadDocumentWithLineAndPath) {
  const struct {
    const char* text;
    const char* starts_with;
  } kCases[] = {
      {"", "f:1: $: "},
      {"[1] x", "f:1: $: "},
      {"[1]\n[2]", "f:2: $: "},
      {"nul", "f:1: $: "},
      {"01", "f:1: $: "},
      {"{'a':1}", "f:1: $: "},
      {"{\"a\":1,}", "f:1: $: "},
      {"{\"a\":\n\n}", "f:3: $.a: "},
      {"[1,\n2,\n\n}", "f:4: $[2]: "},
      {"{\"a\":[1,\n\"x", "f:2: $.a[1]: "},
      {"{\"a\":{\"b\":1e999}}", "f:1: $.a.b: number overflow"},
      {"{\"a\":1,\n\"b\":{\"k.k\":1,\n\"c\":2,\n\"k.k\":3}}", "f:4: $.b[\"k.k\"]: is there twice, first on line 2"},
      {"{\"\":1,\"\":2}", "f:1: $[\"\"]: is there twice"},
      {"\"\xff\"", "f:1: $: "},
      {"{\"\xc3\x28\":1}", "f:1: $: "},
      {"[\"a\\u0000b\"]", "f:1: $[0]: holds \\u0000"},
      {"{\"a\\u0000b\":1}", "f:1: $[\"a\\u0000b\"]: holds \\u0000"},
      {"\"\\ud800\"", "f:1: $: "},
      {"[1] // no", "f:1: $: "},
  };
  for (const auto& c : kCases) EXPECT_TRUE(error_of(c.text).starts_with(c.starts_with)) << c.text << "\n" << error_of(c.text);
}

TEST(Json, KeepsSyntaxErrorsShort) { EXPECT_LT(error_of("\"" + std::string(100'000, 'x')).size(), 400u); }

TEST(Json, TakesCommentsOnlyOnRequest) {
  const char* text = "// policy\n{ /* two\nlines */ \"a\": 1 // one\n}";
  EXPECT_NE(error_of(text), "");
  const auto value = parse(text, "f", Comments::allow);
  ASSERT_TRUE(value);
  EXPECT_EQ(value->as<Object>()->find("a")->line, 3);
}

TEST(Json, CountsLinesOfEveryKindOfValue) {
  const auto value = parse("\n[1\n,-2\n,3.5\n,\"s\"\n,true\n,null\n,[\n]\n,{\n}\n,4]", "f");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->line, 2);
  const int kLines[] = {2, 3, 4, 5, 6, 7, 8, 10, 12};
  const Array& elements = *value->as<Array>();
  ASSERT_EQ(elements.size(), std::size(kLines));
  for (size_t i = 0; i < elements.size(); ++i) EXPECT_EQ(elements[i].line, kLines[i]) << i;
  EXPECT_EQ(parse("7\n", "f")->line, 1);
  EXPECT_EQ(parse("7", "f")->line, 1);
}

TEST(Json, LimitsDepthTo64) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(error_of(nested(64)), "");
  EXPECT_NE(error_of(nested(65)).find("nested over 64 levels"), std::string::npos);
  EXPECT_NE(error_of(std::string(1'000'000, '[')), "");
}

TEST(Json, ReadsAnObjectOfManyKeysInReasonableTime) {  // quadratic work would take minutes
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"" + std::to_string(i) + "\":0,";
  text += "\"x\":0}";
  const auto value = parse(text, "f");
  ASSERT_TRUE(value);
  EXPECT_EQ(write(*value), text);
  Decoder decoder(UnknownKeys::refuse);
  size_t seen = 0;
  decoder.object(*value, [&](ObjectView& o) { o.each([&](const std::string&, const Value&) { ++seen; }); });
  EXPECT_EQ(seen, 200'001u);
}

TEST(Json, WritesWhatItReads) {
  for (const char* text : {"null", "true", "-9223372036854775808", "18446744073709551615", "0.5", "\"\"", "[]", "{}",
                           "{\"b\":1,\"a\":[1,\"\\u0001\\n\\\"\\\\\",\"\xc3\xa4\"]}"}) {
    const auto value = parse(text, "f");
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(write(*value), text);
    EXPECT_EQ(write(*parse(write(*value, Layout::indented), "f")), text);
  }
}

TEST(Json, WritesBytesThatAreNoUtf8AsReplacementCharacters) {
  EXPECT_EQ(write("a\xff"
                  "b"),
            "\"a\xef\xbf\xbd"
            "b\"");
  EXPECT_EQ(write(std::string("\x1b[31m\x7f", 6)), "\"\\u001b[31m\\u007f\"");
}

TEST(Json, FindsWhatItWouldChange) {
  Object inner;
  inner.set("good", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
  Array list{Value(1), Value(std::move(inner))};
  Object document;
  document.set("list", std::move(list));
  EXPECT_EQ(find_not_utf8(document), "");
  document.set("bad", Array{Value("x"), Value("a\xe9")});
  EXPECT_EQ(find_not_utf8(document), "$.bad[1]");
  for (const char* text : {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "a\x80"})
    EXPECT_FALSE(utf8::is_valid(text)) << text;
}

TEST(Json, QuotesPathPartsThatAreNoIdentifiers) {
  EXPECT_EQ(member_path("$", "a-b_1"), "$.a-b_1");
  EXPECT_EQ(member_path("$", "dev.bailey"), "$[\"dev.bailey\"]");
  EXPECT_EQ(member_path("$", "\x1b"), "$[\"\\u001b\"]");
  EXPECT_EQ(element_path("$.a", 3), "$.a[3]");
}

struct Everything {
  bool yes = false;
  int64_t i64 = 0;
  uint64_t u64 = 0;
  int32_t i32 = 0;
  uint32_t u32 = 0;
  uint16_t u16 = 0;
  double real = 0;
  std::string text;
  std::vector<std::string> texts;
  std::vector<uint32_t> ids;
  std::map<std::string, std::string> map;
  std::optional<int64_t> present, missing;
};

Result<> decode(std::string_view document, Everything& e, UnknownKeys unknown = UnknownKeys::refuse) {
  const Value value = TRY(parse(document, "f"));
  Decoder decoder(unknown);
  decoder.object(value, [&](ObjectView& o) {
    o.get("yes", e.yes);
    o.get("i64", e.i64);
    o.get("u64", e.u64);
    o.get("i32", e.i32);
    o.get("u32", e.u32);
    o.get("u16", e.u16);
    o.get("real", e.real);
    o.get("text", e.text);
    o.get("texts", e.texts);
    o.get("ids", e.ids);
    o.get("map", e.map);
    o.get("present", e.present);
    o.get("missing", e.missing);
  });
  return decoder.finish("f");
}

TEST(Decoder, ReadsEveryType) {
  Everything e;
  const auto result = decode(R"({"yes":true,"i64":-9223372036854775808,"u64":18446744073709551615,"i32":-2147483648,
    "u32":4294967295,"u16":65535,"real":3,"text":"t","texts":["a","b"],"ids":[1,2],"map":{"k":"v"},"present":5})",
                             e);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(e.yes);
  EXPECT_EQ(e.i64, INT64_MIN);
  EXPECT_EQ(e.u64, UINT64_MAX);
  EXPECT_EQ(e.i32, INT32_MIN);
  EXPECT_EQ(e.u32, UINT32_MAX);
  EXPECT_EQ(e.u16, UINT16_MAX);
  EXPECT_EQ(e.real, 3.0);
  EXPECT_EQ(e.text, "t");
  EXPECT_EQ(e.texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(e.ids, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(e.map, (std::map<std::string, std::string>{{"k", "v"}}));
  EXPECT_EQ(e.present, 5);
  EXPECT_FALSE(e.missing);
}

TEST(Decoder, NamesTheFaultAndLeavesTheValueAlone) {
  const struct {
    const char* document;
    const char* message;
  } kCases[] = {
      {"[]", "f:1: $: expected an object, found an array"},
      {R"({"yes":1})", "f:1: $.yes: expected a boolean, found a number"},
      {R"({"text":null})", "f:1: $.text: expected a string, found null"},
      {R"({"texts":"a"})", "f:1: $.texts: expected an array, found a string"},
      {"{\"texts\":[\"a\",\n2]}", "f:2: $.texts[1]: expected a string, found a number"},
      {R"({"map":{"a.b":[]}})", "f:1: $.map[\"a.b\"]: expected a string, found an array"},
      {R"({"u64":-1})", "f:1: $.u64: -1 is out of range; it must be 0 to 18446744073709551615"},
      {R"({"i64":9223372036854775808})",
       "f:1: $.i64: 9223372036854775808 is out of range; it must be -9223372036854775808 to "
       "9223372036854775807"},
      {R"({"u16":65536})", "f:1: $.u16: 65536 is out of range; it must be 0 to 65535"},
      {R"({"u64":18446744073709551616})", "f:1: $.u64: 1.8446744073709552e+19 is no whole number of 64 bits"},
      {R"({"u32":1.0})", "f:1: $.u32: 1.0 is no whole number of 64 bits"},
      {R"({"u32":"1"})", "f:1: $.u32: expected a whole number, found a string"},
  };
  for (const auto& c : kCases) {
    Everything e;
    const auto result = decode(c.document, e);
    ASSERT_FALSE(result) << c.document;
    EXPECT_EQ(result.error().message, c.message);
    EXPECT_EQ(result.error().fault, bailey::Fault::bad_input);
    EXPECT_TRUE(e.texts.empty() && e.map.empty() && e.u64 == 0 && e.u32 == 0);
  }
}

TEST(Decoder, CollectsAllFaultsInTheOrderOfTheText) {
  Everything e;
  const auto result = decode("{\"zz\":1,\n\"u16\":-1,\n\"text\":2}", e);
  ASSERT_FALSE(result);
  const std::string& message = result.error().message;
  EXPECT_TRUE(message.starts_with("f:1: $.zz: is not a known key; known here are: yes, i64, ")) << message;
  EXPECT_NE(message.find("\nf:2: $.u16: "), std::string::npos) << message;
  EXPECT_NE(message.find("\nf:3: $.text: "), std::string::npos) << message;
}

TEST(Decoder, CountsTheFaultsThatNobodyWouldRead) {
  std::string document = "{\"texts\":[0";
  for (int i = 0; i < 1000; ++i) document += ",0";
  Everything e;
  const auto result = decode(document + "]}", e);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.ends_with("$.texts[49]: expected a string, found a number\nand 951 more"));
}

TEST(Decoder, TakesUnknownKeysAndNullsForAbsentInOciDocuments) {
  Everything e;
  e.text = "as it was";
  const auto result = decode(R"({"zz":1,"text":null,"texts":null,"map":{"a":null,"b":"c"}})", e, UnknownKeys::ignore);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(e.text, "as it was");
  EXPECT_EQ(e.map, (std::map<std::string, std::string>{{"b", "c"}}));
}

TEST(Decoder, WalksNestedObjectsAndArrays) {
  const auto value = parse("{\"o\":{\"list\":[{\"n\":1},\n{\"n\":2,\"x\":0},\n3]}}", "f");
  ASSERT_TRUE(value);
  Decoder decoder(UnknownKeys::refuse);
  std::vector<int64_t> numbers;
  decoder.object(*value, [&](ObjectView& root) {
    root.object("o", [&](ObjectView& o) {
      o.array("list", [&](ObjectView& element) {
        int64_t n = 0;
        if (element.require("n", n)) numbers.push_back(n);
      });
    });
    EXPECT_FALSE(root.object("absent", [](ObjectView&) { FAIL(); }));
    std::string text;
    EXPECT_FALSE(root.require("needed", text));
  });
  EXPECT_EQ(numbers, (std::vector<int64_t>{1, 2}));
  const auto result = decoder.finish("f");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message,
            "f:1: $.needed: is missing\n"
            "f:2: $.o.list[1].x: is not a known key; known here are: n\n"
            "f:3: $.o.list[2]: expected an object, found a number");
}

TEST(Decoder, ListsTheNamesOfAnEnumeration) {
  enum class Color { red, blue };
  const std::pair<std::string_view, Color> kColors[] = {{"red", Color::red}, {"blue", Color::blue}};
  const auto value = parse(R"({"a":"blue","b":"green"})", "f");
  ASSERT_TRUE(value);
  Decoder decoder(UnknownKeys::refuse);
  Color a = Color::red, b = Color::red;
  decoder.object(*value, [&](ObjectView& o) {
    EXPECT_TRUE(o.get_enum("a", a, kColors));
    EXPECT_FALSE(o.get_enum("b", b, kColors));
  });
  EXPECT_EQ(a, Color::blue);
  EXPECT_EQ(decoder.finish("f").error().message, "f:1: $.b: 'green' is not known; known are: red, blue");
}

// Whatever a terminal could take for a command; what only begins like it stays.
TEST(Json, WritesNoControlCharacters) {
  const std::string text = "\x1b[m\x7f|\xc2\x80|\xc2\x9b|\xc2\xa0|\xc3\x9b|\xc2";
  EXPECT_EQ(write(Value(text)), "\"\\u001b[m\\u007f|\\u0080|\\u009b|\xc2\xa0|\xc3\x9b|\xef\xbf\xbd\"");
  const auto again = parse(write(Value(std::string("\xc2\x9b\x7f"))), "text");
  ASSERT_TRUE(again);
  EXPECT_EQ(*again->as<std::string>(), "\xc2\x9b\x7f");
}

}  // namespace
}  // namespace bailey::json
