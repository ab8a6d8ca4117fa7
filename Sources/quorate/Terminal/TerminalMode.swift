import Foundation
import Synchronization

/// A terminal that gives every key at once and shows none, until it is given back as it was found.
///
/// It is only touched while this process is in its foreground: in the background it is the shell's, and the attempt
/// would stop the process.
final class TerminalMode: Sendable {
    enum Kind: Sendable {
        /// Keys of a running command: interrupts are signals, as ever.
        case keys
        /// A line that is edited: every key is a key.
        case editing
    }

    private let descriptor: Int32
    private let kind: Kind
    private let found: termios
    private let isRestored = Mutex(false)

    /// Nil if it is no terminal, or not this process's just now.
    init?(_ descriptor: Int32, _ kind: Kind) {
        var found = termios()
        guard Self.isForeground(descriptor), tcgetattr(descriptor, &found) == 0 else { return nil }
        (self.descriptor, self.kind, self.found) = (descriptor, kind, found)
        guard apply() else { return nil }
        Interrupts.owns(terminal: { [self] in restore() })
    }

    /// Whether it is a terminal that listens to this process.
    static func isForeground(_ descriptor: Int32) -> Bool {
        isatty(descriptor) == 1 && tcgetpgrp(descriptor) == getpgrp()
    }

    /// Once more, where a shell has set it back: it does so when a command is stopped and goes on.
    func ensure() {
        isRestored.withLock { isRestored in
            var now = termios()
            guard !isRestored, Self.isForeground(descriptor), tcgetattr(descriptor, &now) == 0,
                now.c_lflag & tcflag_t(ICANON) != 0
            else { return }
            _ = apply()
        }
    }

    func restore() {
        isRestored.withLock { isRestored in
            guard !isRestored else { return }
            isRestored = true
            Interrupts.owns(terminal: nil)
            guard Self.isForeground(descriptor) else { return }
            var found = found
            tcsetattr(descriptor, TCSANOW, &found)
        }
    }

    private func apply() -> Bool {
        var mode = found
        mode.c_lflag &= ~tcflag_t(ICANON | ECHO)
        if kind == .editing {
            mode.c_lflag &= ~tcflag_t(ISIG | IEXTEN)
            // Ctrl-S and Ctrl-Q.
            mode.c_iflag &= ~tcflag_t(IXON)
        }
        withUnsafeMutableBytes(of: &mode.c_cc) { codes in
            (codes[Int(VMIN)], codes[Int(VTIME)]) = (1, 0)
            // A core dump would leave the terminal as it is now.
            codes[Int(VQUIT)] = 0
        }
        return tcsetattr(descriptor, TCSADRAIN, &mode) == 0
    }

    /// Columns of a terminal; 80 where it does not say.
    static func width(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
