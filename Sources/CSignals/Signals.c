#define _GNU_SOURCE
#include "CSignals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
// Written before any handler is there, and never again.
static int ends[2] = {-1, -1};
static int failure;

// Only calls that are safe in a signal handler (signal-safety(7)).
static void handle(int number) {
    int code = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t written = write(ends[1], &byte, 1);
    (void)written;
    errno = code;
}

// Threads of a pool may block all signals, and a process may inherit that. This one takes what nobody else does.
static void *take(void *nothing) {
    (void)nothing;
    sigset_t none;
    sigemptyset(&none);
    for (;;) (void)sigsuspend(&none);
    return NULL;
}

static void begin(void) {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        failure = errno;
        return;
    }
    pthread_t thread;
    failure = pthread_create(&thread, NULL, take, NULL);
    if (failure == 0) {
        (void)pthread_setname_np(thread, "signals");
        (void)pthread_detach(thread);
    }
}

int signalsDescriptor(void) {
    (void)pthread_once(&once, begin);
    if (failure == 0) return ends[0];
    errno = failure;
    return -1;
}

int signalsWatch(int number) {
    if (signalsDescriptor() < 0) return -1;
    struct sigaction action = {0};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}
