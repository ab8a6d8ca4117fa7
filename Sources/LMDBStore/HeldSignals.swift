import Glibc

/// Keeps signals from a thread while LMDB, which does not try again what one interrupts, writes and syncs: other threads
/// take them. Those that say that the process itself is at fault come as ever.
package enum HeldSignals {
    /// - Returns: for `release`, on the same thread.
    package static func hold() -> sigset_t {
        var (held, before) = (sigset_t(), sigset_t())
        sigfillset(&held)
        for number in [SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGBUS, SIGSYS] { sigdelset(&held, number) }
        // Without effect it is as it was.
        _ = pthread_sigmask(SIG_BLOCK, &held, &before)
        return before
    }

    package static func release(_ before: sigset_t) {
        var before = before
        _ = pthread_sigmask(SIG_SETMASK, &before, nil)
    }
}
