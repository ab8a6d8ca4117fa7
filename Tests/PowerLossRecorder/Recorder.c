#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include "PowerLossRecorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

// The next definition of NAME after ours: libc's.
#define REAL(NAME) \
    static _Atomic(void *) found; \
    void *address = atomic_load_explicit(&found, memory_order_relaxed); \
    if (!address) { \
        address = dlsym(RTLD_NEXT, NAME); \
        atomic_store_explicit(&found, address, memory_order_relaxed); \
    }

enum { maximumDescriptor = 65536 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int recording;
static char folder[4096];
static size_t folderLength;
static uint8_t *entries;
static size_t used, capacity;
static uint32_t syncs;
/// 0: not ours; 1: a file of the folder; 2: one that is written synchronously.
static _Atomic uint8_t tracked[maximumDescriptor];

static void putBytes(const void *bytes, size_t count) {
    if (used + count > capacity) {
        capacity = (used + count) * 2;
        entries = realloc(entries, capacity);
        if (!entries) abort();
    }
    if (count) memcpy(entries + used, bytes, count);
    used += count;
}
static void putKind(uint8_t kind) { putBytes(&kind, 1); }
static void put32(uint32_t value) { putBytes(&value, 4); }
static void put64(uint64_t value) { putBytes(&value, 8); }
static void putBlob(const void *bytes, size_t count) {
    put32((uint32_t)count);
    putBytes(bytes, count);
}
static void putPath(const char *path) { putBlob(path, strlen(path)); }

static int isRecorded(const char *path) {
    if (!atomic_load_explicit(&recording, memory_order_acquire)) return 0;
    return path && strncmp(path, folder, folderLength) == 0 && (path[folderLength] == '/' || path[folderLength] == 0);
}
static int trackedAs(int fd) {
    if (fd < 0 || fd >= maximumDescriptor) return 0;
    return atomic_load_explicit(&tracked[fd], memory_order_acquire);
}

int powerLossRecorderStart(const char *path) {
    pthread_mutex_lock(&lock);
    int isFree = !atomic_load(&recording) && strlen(path) < sizeof folder;
    if (isFree) {
        strcpy(folder, path);
        folderLength = strlen(path);
        entries = NULL;
        used = capacity = 0;
        syncs = 0;
        atomic_store(&recording, 1);
    }
    pthread_mutex_unlock(&lock);
    return isFree;
}

void powerLossRecorderMark(const void *bytes, size_t count) {
    pthread_mutex_lock(&lock);
    if (atomic_load(&recording)) {
        putKind(11);
        putBlob(bytes, count);
    }
    pthread_mutex_unlock(&lock);
}

uint8_t *powerLossRecorderStop(size_t *count) {
    pthread_mutex_lock(&lock);
    atomic_store(&recording, 0);
    for (int fd = 0; fd < maximumDescriptor; fd++) atomic_store_explicit(&tracked[fd], 0, memory_order_relaxed);
    uint8_t *log = entries;
    *count = used;
    entries = NULL;
    used = capacity = 0;
    pthread_mutex_unlock(&lock);
    return log;
}

// Every call below that changes anything holds the lock from before the call until it is in the log, so that the log's
// order is an order in which they may have happened. A sync does not: writes may be made while it runs, and it does not
// cover them.

static void opened(int fd, int flags, const char *path) {
    if (fd < 0 || fd >= maximumDescriptor) return;
    putKind(1);
    put32((uint32_t)fd);
    put32((uint32_t)flags);
    putPath(path);
    atomic_store(&tracked[fd], (flags & (O_SYNC | O_DSYNC)) ? 2 : 1);
}

static mode_t modeOf(int flags, va_list arguments) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(arguments, unsigned) : 0;
}

#define DEFINE_OPEN(NAME) \
    int NAME(const char *path, int flags, ...) { \
        REAL(#NAME) \
        int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))address; \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = modeOf(flags, arguments); \
        va_end(arguments); \
        if (!isRecorded(path)) return real(path, flags, mode); \
        pthread_mutex_lock(&lock); \
        int fd = real(path, flags, mode); \
        int code = errno; \
        opened(fd, flags, path); \
        pthread_mutex_unlock(&lock); \
        errno = code; \
        return fd; \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(NAME) \
    int NAME(int directory, const char *path, int flags, ...) { \
        REAL(#NAME) \
        int (*real)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))address; \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = modeOf(flags, arguments); \
        va_end(arguments); \
        if (!isRecorded(path)) return real(directory, path, flags, mode); \
        pthread_mutex_lock(&lock); \
        int fd = real(directory, path, flags, mode); \
        int code = errno; \
        opened(fd, flags, path); \
        pthread_mutex_unlock(&lock); \
        errno = code; \
        return fd; \
    }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

#define DEFINE_CREAT(NAME) \
    int NAME(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
DEFINE_CREAT(creat)
DEFINE_CREAT(creat64)

int close(int fd) {
    REAL("close")
    int (*real)(int) = (int (*)(int))address;
    if (!trackedAs(fd)) return real(fd);
    pthread_mutex_lock(&lock);
    if (atomic_exchange(&tracked[fd], 0) && atomic_load(&recording)) {
        putKind(2);
        put32((uint32_t)fd);
    }
    int result = real(fd);
    int code = errno;
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

static void wrote(int fd, int how, off_t offset, const struct iovec *parts, int count, ssize_t written) {
    if (written <= 0 || !atomic_load(&recording)) return;
    putKind(3);
    put32((uint32_t)fd);
    put64((uint64_t)offset);
    put32((uint32_t)written);
    size_t left = (size_t)written;
    for (int i = 0; i < count && left > 0; i++) {
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        putBytes(parts[i].iov_base, part);
        left -= part;
    }
    putKind(how == 2);
}

#define RECORD_WRITE(PARTS, COUNT, OFFSET, CALL) \
    pthread_mutex_lock(&lock); \
    off_t offsetBefore = (OFFSET); \
    ssize_t written = (CALL); \
    int code = errno; \
    wrote(fd, how, offsetBefore, (PARTS), (COUNT), written); \
    pthread_mutex_unlock(&lock); \
    errno = code; \
    return written;

/// Where the next write goes.
static off_t position(int fd) {
    if (fcntl(fd, F_GETFL) & O_APPEND) {
        struct stat status;
        return fstat(fd, &status) == 0 ? status.st_size : 0;
    }
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL("write")
    ssize_t (*real)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))address;
    int how = trackedAs(fd);
    if (!how) return real(fd, bytes, count);
    struct iovec part = {(void *)bytes, count};
    RECORD_WRITE(&part, 1, position(fd), real(fd, bytes, count))
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL("writev")
    ssize_t (*real)(int, const struct iovec *, int) = (ssize_t(*)(int, const struct iovec *, int))address;
    int how = trackedAs(fd);
    if (!how) return real(fd, parts, count);
    RECORD_WRITE(parts, count, position(fd), real(fd, parts, count))
}

#define DEFINE_PWRITE(NAME) \
    ssize_t NAME(int fd, const void *bytes, size_t count, off_t offset) { \
        REAL(#NAME) \
        ssize_t (*real)(int, const void *, size_t, off_t) = (ssize_t(*)(int, const void *, size_t, off_t))address; \
        int how = trackedAs(fd); \
        if (!how) return real(fd, bytes, count, offset); \
        struct iovec part = {(void *)bytes, count}; \
        RECORD_WRITE(&part, 1, offset, real(fd, bytes, count, offset)) \
    }
DEFINE_PWRITE(pwrite)
DEFINE_PWRITE(pwrite64)

#define DEFINE_PWRITEV(NAME) \
    ssize_t NAME(int fd, const struct iovec *parts, int count, off_t offset) { \
        REAL(#NAME) \
        ssize_t (*real)(int, const struct iovec *, int, off_t) = (ssize_t(*)(int, const struct iovec *, int, off_t))address; \
        int how = trackedAs(fd); \
        if (!how) return real(fd, parts, count, offset); \
        RECORD_WRITE(parts, count, offset, real(fd, parts, count, offset)) \
    }
DEFINE_PWRITEV(pwritev)
DEFINE_PWRITEV(pwritev64)

#define DEFINE_SYNC(NAME) \
    int NAME(int fd) { \
        REAL(#NAME) \
        int (*real)(int) = (int (*)(int))address; \
        if (!trackedAs(fd)) return real(fd); \
        pthread_mutex_lock(&lock); \
        uint32_t number = ++syncs; \
        if (atomic_load(&recording)) { \
            putKind(4); \
            put32((uint32_t)fd); \
            put32(number); \
        } \
        pthread_mutex_unlock(&lock); \
        int result = real(fd); \
        int code = errno; \
        pthread_mutex_lock(&lock); \
        if (result == 0 && atomic_load(&recording)) { \
            putKind(5); \
            put32((uint32_t)fd); \
            put32(number); \
        } \
        pthread_mutex_unlock(&lock); \
        errno = code; \
        return result; \
    }
DEFINE_SYNC(fsync)
DEFINE_SYNC(fdatasync)

/// Of a file's size.
static void resized(int fd, uint8_t kind, off_t size) {
    if (!atomic_load(&recording)) return;
    putKind(kind);
    put32((uint32_t)fd);
    put64((uint64_t)size);
}

#define RECORD_SIZE(KIND, SIZE, CALL) \
    pthread_mutex_lock(&lock); \
    int result = (CALL); \
    int code = errno; \
    if (result == 0) resized(fd, (KIND), (SIZE)); \
    pthread_mutex_unlock(&lock); \
    errno = code; \
    return result;

#define DEFINE_FTRUNCATE(NAME) \
    int NAME(int fd, off_t size) { \
        REAL(#NAME) \
        int (*real)(int, off_t) = (int (*)(int, off_t))address; \
        if (!trackedAs(fd)) return real(fd, size); \
        RECORD_SIZE(6, size, real(fd, size)) \
    }
DEFINE_FTRUNCATE(ftruncate)
DEFINE_FTRUNCATE(ftruncate64)

#define DEFINE_POSIX_FALLOCATE(NAME) \
    int NAME(int fd, off_t offset, off_t length) { \
        REAL(#NAME) \
        int (*real)(int, off_t, off_t) = (int (*)(int, off_t, off_t))address; \
        if (!trackedAs(fd)) return real(fd, offset, length); \
        RECORD_SIZE(7, offset + length, real(fd, offset, length)) \
    }
DEFINE_POSIX_FALLOCATE(posix_fallocate)
DEFINE_POSIX_FALLOCATE(posix_fallocate64)

#define DEFINE_FALLOCATE(NAME) \
    int NAME(int fd, int mode, off_t offset, off_t length) { \
        REAL(#NAME) \
        int (*real)(int, int, off_t, off_t) = (int (*)(int, int, off_t, off_t))address; \
        if (!trackedAs(fd)) return real(fd, mode, offset, length); \
        /* What punches, zeroes or collapses is not in the model: better no test than one that lies. */ \
        if (mode != 0) abort(); \
        RECORD_SIZE(7, offset + length, real(fd, mode, offset, length)) \
    }
DEFINE_FALLOCATE(fallocate)
DEFINE_FALLOCATE(fallocate64)

#define RECORD_NAMES(IS_RECORDED, CALL, ENTRY) \
    if (!(IS_RECORDED)) return (CALL); \
    pthread_mutex_lock(&lock); \
    int result = (CALL); \
    int code = errno; \
    if (result == 0) { ENTRY } \
    pthread_mutex_unlock(&lock); \
    errno = code; \
    return result;

int rename(const char *old, const char *new) {
    REAL("rename")
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))address;
    RECORD_NAMES(isRecorded(old) || isRecorded(new), real(old, new), putKind(8); putPath(old); putPath(new);)
}

int renameat(int from, const char *old, int to, const char *new) {
    REAL("renameat")
    int (*real)(int, const char *, int, const char *) = (int (*)(int, const char *, int, const char *))address;
    RECORD_NAMES(isRecorded(old) || isRecorded(new), real(from, old, to, new), putKind(8); putPath(old); putPath(new);)
}

#define DEFINE_REMOVAL(NAME) \
    int NAME(const char *path) { \
        REAL(#NAME) \
        int (*real)(const char *) = (int (*)(const char *))address; \
        RECORD_NAMES(isRecorded(path), real(path), putKind(9); putPath(path);) \
    }
DEFINE_REMOVAL(unlink)
DEFINE_REMOVAL(rmdir)

int unlinkat(int directory, const char *path, int flags) {
    REAL("unlinkat")
    int (*real)(int, const char *, int) = (int (*)(int, const char *, int))address;
    RECORD_NAMES(isRecorded(path), real(directory, path, flags), putKind(9); putPath(path);)
}

int mkdir(const char *path, mode_t mode) {
    REAL("mkdir")
    int (*real)(const char *, mode_t) = (int (*)(const char *, mode_t))address;
    RECORD_NAMES(isRecorded(path), real(path, mode), putKind(10); putPath(path);)
}
