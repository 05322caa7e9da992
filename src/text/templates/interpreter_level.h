#pragma once

#include "text/templates/interpreter.h"

namespace safetylock::jinja {

class Interpreter::Level {
 public:
  explicit Level(Interpreter& interpreter) : interpreter_(interpreter) {
    if (interpreter_.depth_ >= kMaxEvaluationDepth) {
      interpreter_.run_.fail_depth("evaluation", kMaxEvaluationDepth);
    }
    ++interpreter_.depth_;
  }
  ~Level() { --interpreter_.depth_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Interpreter& interpreter_;
};

}  // namespace safetylock::jinja
