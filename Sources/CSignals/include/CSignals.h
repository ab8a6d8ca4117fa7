#ifndef C_SIGNALS_H
#define C_SIGNALS_H

// Signals as bytes in a pipe. A signal that comes at any moment after `signalsWatch` has returned is in the pipe, however
// late somebody begins to read; there is no moment at which it is ignored, or ends the process.

/// The pipe's reading end, which does not block; the same for the whole life of the process.
///
/// Returns -1 with `errno` if there can be none.
int signalsDescriptor(void);

/// From now on each signal of this number is one byte of this value in the pipe. If the pipe is full, some are lost: there
/// are enough to be read then.
///
/// Returns 0, or -1 with `errno`.
int signalsWatch(int number);

#endif
