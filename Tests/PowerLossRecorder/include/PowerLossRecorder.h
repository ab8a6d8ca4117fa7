#ifndef POWER_LOSS_RECORDER_H
#define POWER_LOSS_RECORDER_H

#include <stddef.h>
#include <stdint.h>

// Records what this process asks of the disk below one folder. Linked into the test program, its definitions of open,
// pwrite, fdatasync and so on come before libc's for every library of the process; calls on anything outside the folder
// pass through untouched.
//
// The log is a sequence of entries: a byte that says which, then its fields, integers little-endian.
//
//   1 open       fd i32, flags i32, path    (the file is there now: a new file if the path had none)
//   2 close      fd i32
//   3 write      fd i32, offset u64, data, synced u8 (the descriptor is O_SYNC or O_DSYNC)
//   4 sync began fd i32, number u32
//   5 sync ended fd i32, number u32
//   6 truncate   fd i32, size u64
//   7 allocate   fd i32, size u64           (the file is at least so large now)
//   8 rename     path, path
//   9 unlink     path                       (and rmdir)
//  10 mkdir      path
//  11 mark       data
//
// `data` and `path` are a u32 and so many bytes.

/// Starts an empty log. One recording at a time; files of the folder that are open already are not seen.
/// Returns 0 if a recording is running.
int powerLossRecorderStart(const char *folder);

/// Puts a mark of the test's own among the calls.
void powerLossRecorderMark(const void *bytes, size_t count);

/// Ends the recording. The log is the caller's to free.
uint8_t *powerLossRecorderStop(size_t *count);

#endif
