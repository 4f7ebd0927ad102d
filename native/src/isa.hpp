// The instruction set that this translation unit is compiled for.
//
// Everything that computes lives in peephole::PEEPHOLE_ISA, so that the same source, compiled once per instruction set
// with another name, gives functions of their own: the linker never merges a template built for one processor into
// code meant for all. CMake gives the name; abi.cpp chooses.
#pragma once

#ifndef PEEPHOLE_ISA
#define PEEPHOLE_ISA baseline
#endif
