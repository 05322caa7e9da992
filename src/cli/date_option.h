// --date: the day that a chat template takes for today.
#pragma once

#include <CLI/CLI.hpp>

#include "safetylock/chat_template.h"

namespace safetylock::cli {

/// Sets `clock` when the option is given. Throws Error arg.date for what is no day of the calendar.
void add_date_option(CLI::App& command, ChatClock& clock);

}  // namespace safetylock::cli
