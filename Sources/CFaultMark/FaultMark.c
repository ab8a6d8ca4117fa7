#define _GNU_SOURCE
#include "CFaultMark.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

// Not SIGBUS: storage that cannot be read for a moment would condemn the states of all hosts on it. What lasts of it, a file that
// was cut off or a bad sector, the next start meets with ordinary reads.
static const int signals[] = {SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGTRAP};
enum { signalCount = sizeof signals / sizeof signals[0] };
static struct sigaction previous[signalCount];
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Volatile: written by a thread, read by a handler on it.
static _Thread_local volatile int marked = -1;

/// Whether this thread itself has done something wrong. What another process sends says nothing about any page.
static int isOwnFault(int number, const siginfo_t *information) {
    return number == SIGABRT ? information->si_code == SI_TKILL : information->si_code > 0;
}

// Only calls that are safe in a signal handler (signal-safety(7)).
static void handle(int number, siginfo_t *information, void *context) {
    (void)context;
    int code = errno;
    int descriptor = marked;
    if (descriptor >= 0 && isOwnFault(number, information)) {
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
void faultMarkEnter(int descriptor) { marked = descriptor; }
void faultMarkLeave(void) { marked = -1; }
