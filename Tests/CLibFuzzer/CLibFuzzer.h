// What libFuzzer calls and can be called by (compiler-rt, FuzzerInterface.h).
#ifndef CLibFuzzer_h
#define CLibFuzzer_h

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

#endif
