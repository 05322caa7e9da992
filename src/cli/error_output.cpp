#include "cli/error_output.h"

#include <cstdio>
#include <new>

#include "cli/json_output.h"
#include "cli/printable.h"
#include "cli/terminal.h"

namespace safetylock::cli {
namespace {

Json error_object(const Error& error) {
  const ErrorFields& f = error.fields();
  return {{"schema", "safetylock.error/1"}, {"code", f.code},   {"file", f.file}, {"where", f.where},
          {"expected", f.expected},         {"found", f.found}, {"hint", f.hint}, {"message", error.what()},
          {"exit_code", exit_code(error)}};
}

}  // namespace

int report_error(const Error& error, bool json) {
  const Terminal terminal;
  const std::string line =
      terminal.styled(Stream::err, Style::red, "error:") + " " + one_line(error.what()) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  if (json) {
    const std::string text = json_text(error_object(error));
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return exit_code(error);
}

int report_exception(std::exception_ptr error, bool json) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return report_error(e, json);
  } catch (const std::bad_alloc&) {
    return report_error(
        Error({.code = "resource.memory", .expected = "enough memory", .found = "an allocation failed"}),
        json);
  } catch (const std::exception& e) {
    return report_error(Error({.code = "run.internal", .found = escape_untrusted(e.what(), 500)}), json);
  }
}

}  // namespace safetylock::cli
