#ifndef C_FAULT_MARK_H
#define C_FAULT_MARK_H

#include <stddef.h>
#include <stdint.h>

// What reads mapped pages dies by a signal when they are not what it believes: LMDB's own checks end in abort. A signal handler may do almost nothing, and a write to a file that is open already is among it.
// So whoever is about to touch such pages names a file, and a fault on this thread before the end leaves its word there. A
// kill from outside and a power cut leave none.

/// What a fault writes over the first bytes of the file.
#define FAULT_MARK_DIED "died\n"
/// What stands there before: as many bytes, so that even a full disk takes the other word.
#define FAULT_MARK_OPEN "open\n"
/// What is written if a page that the file has could not be read: it may be readable again, or never. As many bytes.
#define FAULT_MARK_LOOK "look\n"

/// Handles SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGTRAP and SIGBUS from now on, once a process. Who handled them before does so
/// afterwards, and without anybody the process ends by that signal as ever.
void faultMarkInstall(void);

/// Until `faultMarkLeave`, a fault on this thread is written to `descriptor`, durably. Does not nest.
///
/// A SIGBUS only if it came from the `length` bytes at `start`, where the file behind `file` is mapped from its first
/// byte on: as `died` from beyond the end of that file, else as `look`.
void faultMarkEnter(int descriptor, uintptr_t start, size_t length, int file);
void faultMarkLeave(void);

#endif
