#include "cli/help.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "safetylock/report.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::vector<std::string> files;
  ReportPaths paths;
  ReportOptions report;
};

int run_report(Session& session, const Options& options) {
  check_utf8("--title", options.report.title);
  for (const std::string* path : {&options.paths.html, &options.paths.json, &options.paths.csv})
    if (!path->empty()) check_can_write(*path);
  const Report report = make_report(options.files, options.report);
  write_report(report, options.paths);
  session.print(session.json() ? report.json : report.summary);
  session.note("Report: " + one_line(options.paths.html));
  return 0;
}

}  // namespace

void add_report_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command =
      app.add_subcommand("report", "Puts the results of the other commands on one page, with pictures");
  const auto options = std::make_shared<Options>();
  command
      ->add_option("FILES", options->files,
                   "JSON files of extract, evaluate, transfer and sweep, in any order")
      ->required()
      ->type_name("");
  command->add_option("-o,--output", options->paths.html, "The page to write, one HTML file")
      ->required()
      ->type_name("FILE");
  command->add_option("--data-json", options->paths.json, "Also write its numbers as JSON")
      ->type_name("FILE");
  command->add_option("--csv", options->paths.csv, "Also write its numbers as CSV")->type_name("FILE");
  command->add_option("--title", options->report.title, "The page's title")->type_name("TEXT");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock report extract.json evaluate.json transfer.json sweep.json -o report.html",
         "safetylock report base.json locked.json -o report.html --data-json report.json --csv report.csv"});
  command->callback(
      [options, &action] { action = [options](Session& session) { return run_report(session, *options); }; });
}

}  // namespace safetylock::cli
