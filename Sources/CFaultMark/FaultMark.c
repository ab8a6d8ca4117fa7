#define _GNU_SOURCE
#include "CFaultMark.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static const int signals[] = {SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
enum { signalCount = sizeof signals / sizeof signals[0] };
static struct sigaction previous[signalCount];
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Volatile: written by a thread, read by a handler on it.
static _Thread_local volatile int marked = -1;
// What `marked` is about. Of no account without it.
static _Thread_local volatile uintptr_t mapStart;
static _Thread_local volatile size_t mapLength;
static _Thread_local volatile int mapFile;

/// Whether this thread itself has done something wrong. What another process sends says nothing about any page.
static int isOwnFault(int number, const siginfo_t *information) {
    return number == SIGABRT ? information->si_code == SI_TKILL : information->si_code > 0;
}

/// Whether a SIGBUS came from beyond the end of the mapped file, where only a wrong page leads. Storage that cannot be
/// read for a moment gives the same signal for pages that the file has: to mark that would condemn the states of all
/// hosts on it.
static int isBeyondFile(const siginfo_t *information) {
    // What lies before the map becomes a large number.
    uintptr_t offset = (uintptr_t)information->si_addr - mapStart;
    struct stat status;
    return offset < mapLength && fstat(mapFile, &status) == 0 && offset >= (uintptr_t)status.st_size;
}

// Only calls that are safe in a signal handler (signal-safety(7)).
static void handle(int number, siginfo_t *information, void *context) {
    (void)context;
    int code = errno;
    int descriptor = marked;
    if (descriptor >= 0 && isOwnFault(number, information) && (number != SIGBUS || isBeyondFile(information))) {
        marked = -1;
        ssize_t written = pwrite(descriptor, FAULT_MARK_DIED, sizeof FAULT_MARK_DIED - 1, 0);
        (void)written;
        (void)fsync(descriptor);
    }
    for (int i = 0; i < signalCount; i++) {
        if (signals[i] == number) (void)sigaction(number, &previous[i], NULL);
    }
    // An instruction that faults does so again after this; what was raised is raised again.
    if (information->si_code <= 0) (void)raise(number);
    errno = code;
}

static void install(void) {
    struct sigaction action = {0};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < signalCount; i++) (void)sigaction(signals[i], &action, &previous[i]);
}

void faultMarkInstall(void) { pthread_once(&once, install); }

void faultMarkEnter(int descriptor, uintptr_t start, size_t length, int file) {
    mapStart = start;
    mapLength = length;
    mapFile = file;
    marked = descriptor;
}

void faultMarkLeave(void) { marked = -1; }
