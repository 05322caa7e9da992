# safetylock::torch: libtorch as a SYSTEM interface target.
# A libtorch on CMAKE_PREFIX_PATH is taken first; else the wheel of the Python that scripts/setup.sh prepared.
set(SAFETYLOCK_PYTHON "python3" CACHE STRING "A Python that can import torch; the tests run their oracles with it")
if(NOT Torch_DIR)
  find_package(Torch QUIET CONFIG)
  if(NOT Torch_FOUND)
    execute_process(COMMAND ${SAFETYLOCK_PYTHON} -c "import torch; print(torch.utils.cmake_prefix_path)"
      OUTPUT_VARIABLE safetylock_torch_prefix OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE safetylock_rc ERROR_QUIET)
    if(NOT safetylock_rc EQUAL 0)
      message(FATAL_ERROR "libtorch not found. Run scripts/setup.sh, or pass -DCMAKE_PREFIX_PATH=/path/to/libtorch, "
        "or -DSAFETYLOCK_PYTHON=/path/to/python with torch installed.")
    endif()
    list(APPEND CMAKE_PREFIX_PATH "${safetylock_torch_prefix}")
  endif()
endif()
find_package(Torch 2.11 REQUIRED CONFIG)

# at::parallel_for runs serially unless the including file is compiled with OpenMP. Only the compiler switch is taken:
# the runtime is the one libtorch itself brings, so that a process never holds two.
add_library(safetylock_torch INTERFACE)
add_library(safetylock::torch ALIAS safetylock_torch)
target_include_directories(safetylock_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(safetylock_torch INTERFACE ${TORCH_LIBRARIES})
target_compile_options(safetylock_torch INTERFACE -fopenmp)
get_filename_component(safetylock_torch_lib_dir "${TORCH_LIBRARY}" DIRECTORY)
file(GLOB safetylock_openmp
  "${safetylock_torch_lib_dir}/libgomp*.so*" "${safetylock_torch_lib_dir}/libiomp5.so"
  "${safetylock_torch_lib_dir}/../../torch.libs/libgomp*.so*")
if(safetylock_openmp)
  list(GET safetylock_openmp 0 safetylock_openmp)
  target_link_libraries(safetylock_torch INTERFACE "${safetylock_openmp}")
else()
  # A libtorch of a distribution uses the compiler's own runtime.
  target_link_options(safetylock_torch INTERFACE -fopenmp)
endif()
separate_arguments(safetylock_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(safetylock_torch INTERFACE ${safetylock_torch_flags})
