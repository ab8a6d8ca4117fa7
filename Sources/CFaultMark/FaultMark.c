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

/// What is to be written; NULL for nothing. A SIGBUS from beyond the end of the mapped file is a wrong page's doing. From
/// within it is storage that cannot be read, for a moment or for ever: to say `died` of the first would condemn the states
/// of all hosts on it, to say nothing of the second would have each start die anew.
static const char *word(int number, const siginfo_t *information) {
    if (!isOwnFault(number, information)) return NULL;
    if (number != SIGBUS) return FAULT_MARK_DIED;
    // What lies before the map becomes a large number.
    uintptr_t offset = (uintptr_t)information->si_addr - mapStart;
    struct stat status;
    if (offset >= mapLength || fstat(mapFile, &status) != 0) return NULL;
    return offset >= (uintptr_t)status.st_size ? FAULT_MARK_DIED : FAULT_MARK_LOOK;
}

// Only calls that are safe in a signal handler (signal-safety(7)).
static void handle(int number, siginfo_t *information, void *context) {
    (void)context;
    int code = errno;
    int descriptor = marked;
    const char *what = descriptor >= 0 ? word(number, information) : NULL;
    if (what) {
        marked = -1;
        ssize_t written = pwrite(descriptor, what, sizeof FAULT_MARK_DIED - 1, 0);
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
