import Glibc

/// Writes lines to a descriptor. What cannot be written, to a full disk say, is counted, and said as soon as a line
/// fits again.
package struct LogLines {
    private var lost = 0
    private var reason: Int32 = 0
    /// The last thing that was written is a part of a line.
    private var isCut = false

    package init() {}

    /// - Parameter says: makes a line of what is to be said of lines that were lost.
    package mutating func write(_ line: String, to descriptor: Int32, says: (String) -> String) {
        if lost > 0 {
            let count = lost == 1 ? "a line of this log" : "\(lost) lines of this log"
            guard
                put(
                    (isCut ? "\n" : "") + says("\(count) could not be written: \(String(cString: strerror(reason)))"),
                    to: descriptor)
            else {
                lost += 1
                return
            }
            lost = 0
        }
        if !put(line, to: descriptor) { lost += 1 }
    }

    /// One write, so that lines of several processes in one file stay whole.
    private mutating func put(_ text: String, to descriptor: Int32) -> Bool {
        let bytes = Array(text.utf8)
        while true {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count == bytes.count {
                isCut = false
                return true
            }
            // A disk that has no room for the rest has given no reason yet.
            reason = count < 0 ? errno : ENOSPC
            if count > 0 { isCut = true }
            return false
        }
    }
}
